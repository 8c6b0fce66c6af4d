// Sessions of the test model for the tests of the commands: made once, copied by whoever changes one.

import Foundation
import Testing

/// A user's folder of sessions, and documents to read.
final class SessionHome {
  let folder: TemporaryFolder
  let alice: String
  let note: String

  init() throws {
    folder = try TemporaryFolder()
    // About 900 tokens: two batches of the host.
    alice = try folder.file("alice.txt", Data(try TestText.read("alice.txt", characters: 3500).utf8))
    note = try folder.file("note.txt", Data("The password of the library is \"rosebud\".\n".utf8))
  }

  /// `ra` with this home; one thread, since the tests may share the machine.
  func ra(_ arguments: [String], input: String = "") throws -> Output {
    try Program.run(arguments, input: input, environment: environment)
  }

  var environment: [String: String] {
    [
      "XDG_DATA_HOME": folder.url("data").path, "HOME": folder.url("home").path,
      "XDG_CACHE_HOME": folder.url("cache").path, "XDG_STATE_HOME": folder.url("state").path,
      "XDG_CONFIG_HOME": folder.url("config").path,
    ]
  }

  func ingest(_ name: String, _ arguments: [String] = []) throws -> Output {
    try ra(
      ["ingest", "--model", try Program.model(), "--threads", "1", "--session", name] + arguments)
  }

  func ask(_ name: String, _ question: String, _ arguments: [String] = []) throws -> Output {
    try ra(["ask", "--threads", "1", "--max-tokens", "8", "--session", name, question] + arguments)
  }

  /// The value that a command wrote with --json.
  func json(_ arguments: [String]) throws -> [String: Any] {
    let output = try ra(arguments + ["--json"])
    #expect(output.status == 0, "\(output.standardError)")
    return try #require(
      try JSONSerialization.jsonObject(with: Data(output.standardOutput.utf8)) as? [String: Any])
  }

  func show(_ name: String) throws -> [String: Any] { try json(["session", "show", name]) }

  /// The directory of a session.
  func directory(_ name: String) throws -> URL {
    URL(fileURLWithPath: try #require(try show(name)["directory"] as? String))
  }

  /// All bytes of a session's files, by name, but for the text that says who wrote last.
  func contents(_ name: String) throws -> [String: Data] {
    let directory = try directory(name)
    var contents: [String: Data] = [:]
    for file in try FileManager.default.contentsOfDirectory(atPath: directory.path) where file != "lock" {
      contents[file] = try Data(contentsOf: directory.appendingPathComponent(file))
    }
    return contents
  }

  func copy(_ name: String, _ new: String) throws {
    #expect(try ra(["session", "fork", name, new]).status == 0)
  }
}

/// A run of `ra` that goes on while a test looks at it.
final class RunningProgram {
  private let process = Process()
  private let folder: TemporaryFolder
  private let input = Pipe()

  /// - Parameter executable: what to start, nil for `ra`.
  init(_ arguments: [String], environment: [String: String], executable: String? = nil) throws {
    folder = try TemporaryFolder()
    process.executableURL = URL(fileURLWithPath: try executable ?? Program.path())
    process.arguments = arguments
    process.environment = ProcessInfo.processInfo.environment.merging(Program.environment) { $1 }
      .merging(environment) { $1 }
    for name in ["output", "error"] { try Data().write(to: folder.url(name)) }
    process.standardInput = input
    process.standardOutput = try FileHandle(forWritingTo: folder.url("output"))
    process.standardError = try FileHandle(forWritingTo: folder.url("error"))
    try process.run()
  }

  deinit { if process.isRunning { process.terminate() } }

  var isRunning: Bool { process.isRunning }
  var standardOutput: String { (try? String(contentsOf: folder.url("output"), encoding: .utf8)) ?? "" }
  var standardError: String { (try? String(contentsOf: folder.url("error"), encoding: .utf8)) ?? "" }

  func send(_ text: String) { input.fileHandleForWriting.write(Data(text.utf8)) }
  func signal(_ number: Int32) { kill(process.processIdentifier, number) }

  /// Waits for something that the program does; half a minute at most.
  func wait(for condition: () -> Bool) throws {
    for _ in 0..<3000 {
      if condition() { return }
      try #require(process.isRunning, "\(standardError)")
      usleep(10_000)
    }
    Issue.record("waited in vain: \(standardOutput) \(standardError)")
  }

  /// Ends the input and waits for the end.
  func finish() throws -> Output {
    try input.fileHandleForWriting.close()
    process.waitUntilExit()
    return Output(
      status: process.terminationStatus, signalled: process.terminationReason == .uncaughtSignal,
      standardOutput: standardOutput, standardError: standardError)
  }
}
