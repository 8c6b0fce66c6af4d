// Sessions that nobody named: made of documents when a question is asked, and found again by what they hold.

public import Foundation
import Platform

/// A folder of sessions that are found by their documents, and removed when they take too much room.
///
///     let sessions = DocumentSessions(store: .cache)
///     switch sessions.find(documents, settings: settings) {
///     case .complete(let session)?: ...  // open it, and ask
///     case .changed(let session, _)?: ...  // open it for writing, and read again from the first difference on
///     ...
///     }
///
/// Whatever is in the folder can be read anew, so it belongs into a cache.
public struct DocumentSessions: Sendable {
  public let store: SessionStore

  public init(store: SessionStore) { self.store = store }

  /// What of a session is of use.
  public enum Match: Sendable {
    /// These documents were read to their end.
    case complete(SessionDescription)
    /// Reading them was interrupted.
    case interrupted(SessionDescription)
    /// It is of the same files, of which these names have changed since.
    case changed(SessionDescription, names: [String])
    /// It is of the first so many documents, and of none besides: a copy of it can go on with the others.
    case beginning(SessionDescription, count: Int)
  }

  private static let attribute = "documents"

  /// What makes tokens and keys of documents what they are, besides the documents: sessions of other settings are of no
  /// use. Kept in ``Session/attributes``.
  public static func attributes(settings: String) -> [String: String] { [attribute: settings] }

  /// Lets a session no longer be found by its documents.
  public static func forget(_ session: Session) { session.attributes[attribute] = nil }

  /// The session that has most of what is wanted; nil where none has anything.
  ///
  /// Cost: the manifests of all sessions in the folder.
  ///
  /// - Parameter settings: of ``attributes(settings:)``: everything else that the session's tokens depend on.
  public func find(_ documents: PromptDocuments, settings: String) -> Match? {
    let wanted = documents.elements.map { Key($0.name, $0.hash) }
    var best: (match: Match, common: Int)?
    for session in store.list().sessions where session.attributes[Self.attribute] == settings {
      guard session.tokenCount > 0 || session.pendingTokenCount > 0 else { continue }
      let found = session.documents.map { Key($0.name, $0.contents?.hash ?? "") }
      if found == wanted { return session.pendingTokenCount > 0 ? .interrupted(session) : .complete(session) }
      let count = zip(found, wanted).prefix { $0 == $1 }.count
      let match: Match
      if Self.files(of: session) == documents.elements.map(\.path) {
        let known = Set(found)
        match = .changed(session, names: wanted.filter { !known.contains($0) }.map(\.name))
      } else if count > 0, count == found.count, session.pendingTokenCount == 0 {
        match = .beginning(session, count: count)
      } else {
        continue
      }
      let common = session.documents.prefix(count).reduce(0) { $0 + $1.tokenCount }
      if best.map({ common > $0.common }) ?? true { best = (match, common) }
    }
    return best?.match
  }

  private struct Key: Hashable {
    var name: String
    var hash: String

    init(_ name: String, _ hash: String) { (self.name, self.hash) = (name, hash) }
  }

  /// The paths of a session's documents; nil where one came from no file.
  private static func files(of session: SessionDescription) -> [String?]? {
    let paths = session.documents.map { $0.contents?.path }
    return paths.contains(nil) ? nil : paths
  }

  /// The path for a new session of documents: `contract.txt-1a2b3c4d5e6f7081`. Nothing is there.
  ///
  /// Throws ``SessionError`` when the folder cannot be made.
  public func path(for documents: PromptDocuments, settings: String) throws -> String {
    let key = ([settings] + documents.elements.flatMap { [$0.name, $0.hash] }).joined(separator: "\n")
    let first = documents.elements.first?.name.split(separator: "/").last ?? ""
    let word = String(first.unicodeScalars.prefix(40).map { Self.isPlain($0) ? Character($0) : "_" })
    var name = "\(word.hasPrefix(".") ? "_" : "")\(word)-\(XXH64.hexadecimal(key))"
    while FileManager.default.fileExists(atPath: try store.path(for: name)) {
      // Of the same documents, but changed since or damaged.
      name += "-\(String(UInt32.random(in: 0 ... .max), radix: 36))"
    }
    return try store.path(for: name)
  }

  private static func isPlain(_ scalar: Unicode.Scalar) -> Bool {
    scalar.isASCII
      && (scalar.properties.isAlphabetic || scalar.properties.numericType != nil || scalar == "."
        || scalar == "-")
  }

  // MARK: Room on the disk

  private static let useMark = "used"

  /// Notes that a session is of use now: what has not been for longest goes first.
  public func markUsed(_ directory: String) {
    let mark = "\(directory)/\(Self.useMark)"
    // Without it, the time of the last save counts.
    _ = FileManager.default.createFile(atPath: mark, contents: nil)
  }

  /// When a session was used or saved last.
  public static func lastUse(of session: SessionDescription) -> Date {
    let attributes = try? FileManager.default.attributesOfItem(atPath: "\(session.directory)/\(useMark)")
    return max(session.modified, attributes?[.modificationDate] as? Date ?? session.modified)
  }

  /// Removes the sessions that were not used for longest until the others take no more than a number of bytes on the
  /// disk, and what is damaged.
  ///
  /// Sessions that are open for writing stay; readers that have one open can go on.
  ///
  /// - Parameter kept: the directory of a session that stays whatever it takes.
  /// - Returns: the names of those that were removed.
  @discardableResult
  public func prune(to byteCount: Int, keeping kept: String? = nil) -> [String] {
    let (sessions, damaged) = store.list()
    var removed: [String] = []
    for entry in damaged where (try? store.remove(entry.name)) != nil { removed.append(entry.name) }
    var total = sessions.reduce(0) { $0 + $1.diskByteCount }
    for session in sessions.sorted(by: { Self.lastUse(of: $0) < Self.lastUse(of: $1) }) {
      guard total > byteCount else { break }
      guard session.directory != kept, (try? Session.remove(session.directory)) != nil else { continue }
      total -= session.diskByteCount
      removed.append(session.name)
    }
    return removed
  }
}

extension SessionStore {
  /// For sessions that can be made anew: `$XDG_CACHE_HOME/ra/sessions` or `$HOME/.cache/ra/sessions`; on macOS
  /// `~/Library/Caches/ra/sessions`.
  public static var cache: SessionStore { SessionStore(folder: UserFolder.cache.path("sessions")) }
}
