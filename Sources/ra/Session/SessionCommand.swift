import ArgumentParser
import Foundation
import Generation
import Platform
import RetrievalAttention

struct SessionCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "session",
    abstract: "List, show, verify, copy and remove sessions.",
    discussion: """
      A session is \(SessionName.help): \(SessionStore.standard.folder). Names of sessions that 'ra ask' and 'ra chat' have \
      made of documents mean those in \(SessionStore.cache.folder).
      """,
    subcommands: [
      SessionListCommand.self, SessionShowCommand.self, SessionVerifyCommand.self, SessionForkCommand.self,
      SessionRemoveCommand.self, SessionPruneCommand.self,
    ]
  )
}

struct SessionListCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "list", abstract: "List the sessions in a folder.")

  @Option(
    help: ArgumentHelp("The folder. (default: the user's own)", valueName: "folder"), completion: .directory)
  var folder: String?

  @Flag(help: "List the sessions that 'ra ask' and 'ra chat' have made of documents.")
  var cache = false

  @Flag(help: "Write one JSON document.")
  var json = false

  func validate() throws {
    if cache, folder != nil { throw ValidationError("Give --folder or --cache, not both.") }
  }

  private struct Report: Encodable {
    struct Damaged: Encodable {
      var name: String
      var error: String
    }

    var folder: String
    var sessions: [SessionDescription]
    var damaged: [Damaged]
  }

  func run() throws {
    let console = Console()
    let store = folder.map { SessionStore(folder: $0) } ?? (cache ? .cache : .standard)
    let (sessions, damaged) = store.list()
    if json {
      try console.json(
        Report(
          folder: store.folder, sessions: sessions,
          damaged: damaged.map { Report.Damaged(name: $0.name, error: "\($0.error)") }))
      return
    }
    if sessions.isEmpty, damaged.isEmpty { console.note("no sessions in \(store.folder)") }
    if !sessions.isEmpty {
      let rows = sessions.map { session in
        [
          session.name, "\(session.tokenCount)", formatBytes(session.diskByteCount), session.modelName,
          session.modified.formatted(.iso8601), session.contents,
        ]
      }
      console.output(table([["NAME", "TOKENS", "ON DISK", "MODEL", "SAVED", "CONTENTS"]] + rows))
    }
    for entry in damaged { console.note("\(entry.name): \(entry.error)") }
    let made = cache || folder != nil ? [] : SessionStore.cache.list().sessions
    if !made.isEmpty {
      let bytes = made.reduce(0) { $0 + $1.diskByteCount }
      console.note(
        "and \(formatCount(made.count, "session")) of documents, \(formatBytes(bytes)): 'ra session list --cache'"
      )
    }
  }

  private func table(_ rows: [[String]]) -> String {
    let widths = (0..<rows[0].count).map { column in rows.map { $0[column].count }.max() ?? 0 }
    return rows.map { row in
      let cells = zip(row, widths).map { cell, width in
        cell + String(repeating: " ", count: width - cell.count)
      }
      return String(cells.joined(separator: "  ").reversed().drop { $0 == " " }.reversed()) + "\n"
    }.joined()
  }
}

extension SessionDescription {
  /// A line on what is in it.
  var contents: String {
    var parts = documents.map { URL(fileURLWithPath: $0.name).lastPathComponent }
    if pendingTokenCount > 0 { parts.append("(\(pendingTokenCount) tokens still to be read)") }
    return parts.isEmpty ? "conversation" : parts.joined(separator: ", ")
  }
}

struct SessionShowCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "show", abstract: "Tell what is in a session. Needs no model.")

  @Argument(help: "The session.", completion: .session)
  var session: String

  @Flag(help: "Write one JSON document.")
  var json = false

  func validate() throws { _ = try SessionName(session) }

  func run() throws {
    let console = Console()
    let description = try SessionDescription(at: SessionName(session).path())
    if json { return try console.json(description) }
    var lines = [
      "session    \(description.directory)",
      "model      \(description.modelName) (\(description.architecture)), \(description.modelPath)",
      "attention  \(description.attention), keys and values in \(description.format)",
      "tokens     \(description.tokenCount)"
        + (description.pendingTokenCount > 0
          ? ", \(description.pendingTokenCount) still to be read (ra ingest --resume)" : ""),
      "size       \(formatBytes(description.byteCount)), \(formatBytes(description.diskByteCount)) on disk",
      "made       \(description.created.formatted(.iso8601))",
      "saved      \(description.modified.formatted(.iso8601))",
    ]
    for document in description.documents {
      lines.append(
        "document   \(document.name), \(document.tokenCount) tokens from \(document.firstToken)")
    }
    console.output(lines.joined(separator: "\n") + "\n")
  }
}

struct SessionVerifyCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "verify",
    abstract: "Compare every checksum of sessions. Reads all their files; needs no model.",
    discussion: "Ends with code 1 when a session is damaged.")

  @Argument(help: "The sessions.", completion: .session)
  var sessions: [String]

  @Flag(help: "Write one JSON document.")
  var json = false

  private struct Report: Encodable {
    var session: String
    var isIntact: Bool
    var error: String?
    var byteCount: Int?
  }

  func validate() throws { for session in sessions { _ = try SessionName(session) } }

  func run() async throws {
    let command = self
    let areIntact = try await withInterruption { try command.verify() }
    if !areIntact { throw ExitCode.failure }
  }

  private func verify() throws -> Bool {
    let console = Console()
    var reports: [Report] = []
    for session in sessions {
      let path = try SessionName(session).path()
      do {
        let description = try Session.verify(at: path)
        reports.append(Report(session: path, isIntact: true, byteCount: description.byteCount))
        if !json { console.output("\(session): intact, \(formatBytes(description.byteCount))\n") }
      } catch is CancellationError {
        throw CancellationError()
      } catch {
        reports.append(Report(session: path, isIntact: false, error: "\(error)"))
        console.note("Error: \(error)")
      }
    }
    if json { try console.json(reports) }
    return reports.allSatisfy(\.isIntact)
  }
}

struct SessionForkCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "fork",
    abstract: "Make a session that begins as a copy of another one, and shares its files.",
    discussion: "It costs next to nothing until it goes its own way, and outlives the other one.")

  @Argument(help: "The session.", completion: .session)
  var session: String

  @Argument(help: "The new session.")
  var new: String

  @Flag(help: "Write one JSON document about the new session.")
  var json = false

  func validate() throws { for session in [session, new] { _ = try SessionName(session) } }

  func run() throws {
    let console = Console()
    let description = try Session.copy(SessionName(session).path(), to: SessionName(new).path())
    if json { return try console.json(description) }
    console.output("\(description.directory): \(description.tokenCount) tokens\n")
  }
}

struct SessionRemoveCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "rm", abstract: "Remove sessions from the disk.")

  @Argument(help: "The sessions.", completion: .session)
  var sessions: [String]

  @Flag(name: [.short, .long], help: "Do not ask.")
  var yes = false

  @Flag(help: "Write one JSON document with the removed sessions.")
  var json = false

  func validate() throws { for session in sessions { _ = try SessionName(session) } }

  func run() throws {
    let console = Console()
    let paths = try sessions.map { try SessionName($0).path() }
    // All of them, before any is removed.
    let texts = try paths.map { path in
      do {
        let description = try SessionDescription(at: path)
        return "\(description.name) (\(description.tokenCount) tokens, \(description.contents))"
      } catch let error as SessionError {
        switch error {
        case .damagedManifest, .unsupportedVersion: return "\(path) (\(error))"
        default: throw error
        }
      }
    }
    guard yes || isatty(STDIN_FILENO) != 0 else { throw CommandError.noTerminal(sessions: sessions) }
    var removed: [String] = []
    for (path, text) in zip(paths, texts) {
      guard yes || isAgreed(text) else {
        console.note("kept \(path)")
        continue
      }
      try Session.remove(path)
      removed.append(path)
      if !json { console.note("removed \(path)") }
    }
    if json { try console.json(removed) }
  }

  private func isAgreed(_ text: String) -> Bool {
    StandardStream.error.write("Remove \(text)? [y/N] ")
    return ["y", "yes"].contains(readLine()?.trimmingCharacters(in: .whitespaces).lowercased())
  }
}

struct SessionPruneCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "prune",
    abstract: "Remove the sessions that 'ra ask' and 'ra chat' have made of documents.",
    discussion: """
      Those that were not used for longest go first, until the others take no more than --to. The commands do so by \
      themselves beyond 8 GiB, or what 'session-cache' in the configuration file says.
      """)

  @Option(help: ArgumentHelp("What may stay, such as 2G. (default: nothing)", valueName: "size"))
  var to: ByteCount?

  @Flag(help: "Write one JSON document with the removed sessions.")
  var json = false

  func run() throws {
    let console = Console()
    let sessions = DocumentSessions(store: .cache)
    let removed = sessions.prune(to: to?.bytes ?? 0)
    if json { return try console.json(removed) }
    for name in removed { console.note("removed \(name)") }
    let left = sessions.store.list().sessions
    let bytes = left.reduce(0) { $0 + $1.diskByteCount }
    console.output("\(formatCount(left.count, "session")) of documents left, \(formatBytes(bytes))\n")
  }
}
