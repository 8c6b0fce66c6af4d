// Outputs that cannot be written: one sentence and a status, never a crash.

import Foundation
import Testing

@Suite(.serialized) struct OutputTests {
  /// Runs `ra` in a shell, so that outputs go where `redirection` says.
  private func shell(_ arguments: [String], _ redirection: String) throws -> Output {
    let folder = try TemporaryFolder()
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/bin/sh")
    process.arguments = ["-c", "\"$0\" \"$@\" \(redirection)", try Program.path()] + arguments
    process.environment = ProcessInfo.processInfo.environment.merging(["SWIFT_BACKTRACE": "enable=no"]) { $1 }
    for name in ["output", "error"] { try Data().write(to: folder.url(name)) }
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = try FileHandle(forWritingTo: folder.url("output"))
    process.standardError = try FileHandle(forWritingTo: folder.url("error"))
    try process.run()
    process.waitUntilExit()
    return Output(
      status: process.terminationStatus, signalled: process.terminationReason == .uncaughtSignal,
      standardOutput: String(decoding: try Data(contentsOf: folder.url("output")), as: UTF8.self),
      standardError: String(decoding: try Data(contentsOf: folder.url("error")), as: UTF8.self))
  }

  #if os(Linux)
    private static let full = "Error: cannot write to standard output: No space left on device\n"

    @Test(arguments: [
      ["attention", "list"], ["--help"], ["--version"], ["session", "list", "--folder", "/"],
      ["session", "list", "--folder", "/", "--json"], ["help", "generate"],
    ])
    func `A full standard output is told`(arguments: [String]) throws {
      let output = try shell(arguments, ">/dev/full")
      // What there is to say besides may come first.
      guard arguments != ["session", "list", "--folder", "/"] else {
        #expect(output.status == 0, "nothing was to be written there")
        return
      }
      #expect(output.status == 1 && !output.signalled, "\(output)")
      #expect(output.standardError == Self.full)
    }

    @Test func `An answer that cannot be written ends at once`() throws {
      let output = try shell(
        ["generate", "-m", try Program.model(), "-p", "Count to a thousand.", "--max-tokens", "2000"],
        ">/dev/full")
      #expect(output.status == 1 && !output.signalled)
      #expect(output.standardError.contains(Self.full))
    }

    @Test func `A full standard error stops nothing`() throws {
      let output = try shell(
        ["generate", "-m", try Program.model(), "-p", "Say yes.", "--max-tokens", "3"], "2>/dev/full")
      #expect(output.status == 1 && !output.signalled)
      #expect(!output.standardOutput.isEmpty)
    }
  #endif

  @Test func `A closed standard output is told, and no file gets its place`() throws {
    let output = try shell(
      ["generate", "-m", try Program.model(), "-p", "Say yes.", "--max-tokens", "3"], ">&-")
    #expect(output.status == 1 && !output.signalled)
    #expect(output.standardError.contains("Error: cannot write to standard output: Bad file descriptor\n"))
  }

  @Test func `A closed standard error is nobody's business`() throws {
    let output = try shell(
      ["generate", "-m", try Program.model(), "-p", "Say yes.", "--max-tokens", "3"], "2>&-")
    #expect(output.status == 0 && !output.signalled)
    #expect(!output.standardOutput.isEmpty)
  }

  @Test func `A pipe without a reader ends the program quietly`() throws {
    let output = try shell(["attention", "list"], "| true; exec 2>&-")
    #expect(output.standardError.isEmpty)
  }
}
