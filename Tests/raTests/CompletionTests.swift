// What shells offer when somebody presses Tab: the scripts that the program writes, run as a shell runs them.

import Foundation
import Testing

@Suite struct CompletionTests {
  private let home: TemporaryFolder

  /// A home with two sessions, one of which cannot be read, and a folder of files.
  init() throws {
    home = try TemporaryFolder()
    #if os(macOS)
      let sessions = "Library/Application Support/RetrievalAttention/Sessions"
    #else
      let sessions = ".local/share/retrieval-attention/sessions"
    #endif
    for name in ["alice", "persuasion"] {
      let folder = home.url("\(sessions)/\(name)")
      try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
      try Data("{".utf8).write(to: folder.appendingPathComponent("manifest.json"))
    }
    try FileManager.default.createDirectory(
      at: home.url("\(sessions)/no-session"), withIntermediateDirectories: true)
    try FileManager.default.createDirectory(at: home.url("files/models"), withIntermediateDirectories: true)
    for name in ["small.gguf", "notes.txt"] { try Data().write(to: home.url("files/\(name)")) }
  }

  /// What bash offers for the last of the words behind `ra`.
  private func offered(_ words: String...) throws -> [String] {
    let script = try run(Program.path(), ["--generate-completion-script", "bash"])
    let path = try home.file("completions", Data(script.utf8))
    let driver = """
      source "$1"; shift
      COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}
      function=$(complete -p ra | sed 's/.*-F //; s/ .*//')
      "$function" "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
      printf '%s\\n' "${COMPREPLY[@]}"
      """
    let output = try run("/bin/bash", ["--norc", "-c", driver, "bash", path, try Program.path()] + words)
    return output.split(separator: "\n").map(String.init)
  }

  private func run(_ executable: String, _ arguments: [String]) throws -> String {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: executable)
    process.arguments = arguments
    process.currentDirectoryURL = home.url("files")
    process.environment = [
      "HOME": home.url("").path, "PATH": ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin",
      "SWIFT_BACKTRACE": "enable=no",
    ]
    let pipe = Pipe()
    process.standardOutput = pipe
    process.standardInput = FileHandle.nullDevice
    try process.run()
    let data = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    #expect(process.terminationStatus == 0)
    return String(decoding: data, as: UTF8.self)
  }

  @Test(arguments: ["bash", "zsh", "fish"]) func everyShellHasAScript(shell: String) throws {
    let output = try Program.run(["--generate-completion-script", shell])
    #expect(output.status == 0)
    for word in ["ask", "session", "kv-type", "---completion"] {
      #expect(output.standardOutput.contains(word), "\(shell): \(word)")
    }
  }

  @Test func commands() throws {
    let offered = try offered("")
    for name in ["ask", "chat", "ingest", "session", "serve"] { #expect(offered.contains(name)) }
    #expect(try self.offered("session", "v") == ["verify"])
  }

  @Test(arguments: [["ask", "-s"], ["chat", "--session"], ["session", "show"], ["session", "rm"]])
  func sessions(command: [String]) throws {
    let all = try offered(command[0], command[1], "")
    #expect(all.filter { !$0.hasPrefix("-") } == ["alice", "persuasion"])
    #expect(try offered(command[0], command[1], "al") == ["alice"])
  }

  @Test func models() throws {
    // A folder may have some, too.
    #expect(try offered("ask", "-m", "") == ["models", "small.gguf"])
    #expect(try offered("doctor", "sm") == ["small.gguf"])
    let folder = home.url("files").path
    #expect(try offered("ask", "--model", "\(folder)/s") == ["\(folder)/small.gguf"])
  }

  @Test func modelsOfTheUsersFolderAreOfferedWhereNothingWasTyped() throws {
    #if os(macOS)
      let models = home.url("Library/Application Support/ra/models")
    #else
      let models = home.url(".local/share/ra/models")
    #endif
    try FileManager.default.createDirectory(at: models, withIntermediateDirectories: true)
    let model = models.appendingPathComponent("Large.gguf")
    try Data().write(to: model)
    #expect(try offered("ask", "-m", "").contains(model.path))
  }

  @Test func documents() throws {
    let offered = try offered("ask", "n")
    #expect(offered == ["notes.txt"])
  }

  @Test func attentions() throws {
    let all = try offered("ask", "--attention", "")
    for name in ["exact", "host", "quest", "retrieval"] { #expect(all.contains(name)) }
    #expect(try offered("ask", "--attention", "que") == ["quest"])
    let settings = try offered("ask", "--attention", "quest:")
    #expect(settings.contains { $0.hasPrefix("quest:page=") })
    let rest = try offered("ask", "--attention", "quest:page=8,")
    #expect(!rest.isEmpty && rest.allSatisfy { $0.hasPrefix("quest:page=8,") && !$0.contains(",page=") })
    #expect(try offered("evaluate", "--attention", "exact,que") == ["exact,quest"])
  }

  @Test func valuesOfOptions() throws {
    #expect(try offered("ask", "--kv-type", "q") == ["q8", "q8,f16"])
    #expect(try offered("serve", "--log-level", "w") == ["warning"])
    #expect(
      try offered("evaluate", "--tasks", "niah_single_1,niah_single_2").allSatisfy {
        $0.hasPrefix("niah_single_1,")
      })
  }
}
