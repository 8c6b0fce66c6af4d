// Runs the built program and hands back what it wrote.

import Foundation
// For all files of this target.
@_exported import TestSupport
import Testing

/// What a run of `ra` gave.
struct Output {
  var status: Int32
  var signalled: Bool
  var standardOutput: String
  var standardError: String
}

enum Program {
  struct Missing: Error, CustomStringConvertible {
    var description: String
  }

  /// The program that was built with the tests: beside the test bundle on Linux, beside the folder that is the
  /// bundle on macOS.
  static func path() throws -> String {
    var candidates: [URL] = []
    for argument in CommandLine.arguments where argument.contains(".xctest") {
      candidates.append(URL(fileURLWithPath: argument))
    }
    candidates.append(Bundle.main.bundleURL.appendingPathComponent("x"))
    candidates += Bundle.allBundles.filter { $0.bundlePath.hasSuffix(".xctest") }.map(\.bundleURL)
    for start in candidates {
      var folder = start.deletingLastPathComponent()
      for _ in 0..<4 {
        let program = folder.appendingPathComponent("ra").path
        if FileManager.default.isExecutableFile(atPath: program) { return program }
        folder.deleteLastPathComponent()
      }
    }
    throw Missing(description: "found no built ra beside \(candidates.map(\.path))")
  }

  static func model() throws -> String { try TestModel.path() }

  /// No model, configuration or cache of whoever runs the tests.
  static let environment: [String: String] = {
    let base = (try? home.get().url("none").path) ?? "/dev/null"
    return [
      "RA_MODEL": "", "RA_MODELS": base, "XDG_CONFIG_HOME": base, "XDG_CACHE_HOME": base,
      "XDG_STATE_HOME": base,
      "SWIFT_BACKTRACE": "enable=no",
    ]
  }()

  /// `@unchecked`: nobody changes it.
  private struct Shared: @unchecked Sendable { let folder: TemporaryFolder }
  private static let kept = Result { Shared(folder: try TemporaryFolder()) }
  private static var home: Result<TemporaryFolder, any Error> { kept.map(\.folder) }

  /// Runs `ra` with `arguments`, nothing on standard input, and `environment` added to our own.
  ///
  /// - Parameter addressSpace: kilobytes that the process may map, nil for no limit.
  static func run(
    _ arguments: [String], input: String = "", environment: [String: String] = [:], addressSpace: Int? = nil
  ) throws -> Output {
    guard let addressSpace else { return try run(try path(), arguments, input: input, environment) }
    let command = ["-c", "ulimit -v \(addressSpace) && exec \"$0\" \"$@\"", try path()]
    return try run("/bin/sh", command + arguments, input: input, environment)
  }

  /// Runs `ra` in a shell, nothing on standard input, with outputs that go where `redirection` says.
  static func shell(_ arguments: [String], _ redirection: String) throws -> Output {
    try run("/bin/sh", ["-c", "\"$0\" \"$@\" \(redirection)", try path()] + arguments, input: "", [:])
  }

  private static func run(
    _ executable: String, _ arguments: [String], input: String, _ environment: [String: String]
  ) throws -> Output {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: executable)
    process.arguments = arguments
    // A crash is told by its signal; the runtime's report of it takes half a minute.
    process.environment = ProcessInfo.processInfo.environment.merging(Self.environment) { $1 }
      .merging(environment) { $1 }
    // Files instead of pipes: nobody has to empty them while the program runs.
    let folder = try TemporaryFolder()
    try Data(input.utf8).write(to: folder.url("input"))
    for name in ["output", "error"] { try Data().write(to: folder.url(name)) }
    process.standardInput = try FileHandle(forReadingFrom: folder.url("input"))
    process.standardOutput = try FileHandle(forWritingTo: folder.url("output"))
    process.standardError = try FileHandle(forWritingTo: folder.url("error"))
    try process.run()
    process.waitUntilExit()
    return Output(
      status: process.terminationStatus, signalled: process.terminationReason == .uncaughtSignal,
      standardOutput: String(decoding: try Data(contentsOf: folder.url("output")), as: UTF8.self),
      standardError: String(decoding: try Data(contentsOf: folder.url("error")), as: UTF8.self))
  }

  /// `ra generate` with the test model, two threads.
  static func generate(_ arguments: [String], input: String = "", addressSpace: Int? = nil) throws -> Output {
    try run(
      ["generate", "--model", try model(), "--threads", "2"] + arguments, input: input,
      addressSpace: addressSpace)
  }
}

/// The run failed as it should: a code, one sentence, nothing on standard output, no crash.
func expectRefusal(
  _ output: Output, _ parts: String..., sourceLocation: SourceLocation = #_sourceLocation
) {
  #expect(!output.signalled, "signal \(output.status)", sourceLocation: sourceLocation)
  #expect(output.status != 0, sourceLocation: sourceLocation)
  #expect(output.standardOutput.isEmpty, sourceLocation: sourceLocation)
  let lines = output.standardError.split(separator: "\n")
  let errors = lines.filter { $0.hasPrefix("Error: ") }
  #expect(errors.count == 1, "\(output.standardError)", sourceLocation: sourceLocation)
  // Mistakes in the command line are followed by help on the option and the usage; notes tell what was decided before.
  let others = lines.filter {
    line in
    !["Error: ", "Usage: ", "Help: ", "  ", "note: ", "warning: "].contains { line.hasPrefix($0) }
  }
  #expect(others.isEmpty, "\(output.standardError)", sourceLocation: sourceLocation)
  for part in parts {
    #expect(errors.first?.contains(part) == true, "\(output.standardError)", sourceLocation: sourceLocation)
  }
}
