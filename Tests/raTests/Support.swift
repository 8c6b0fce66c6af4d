// Runs the built program and hands back what it wrote.

import Foundation
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

  static func model() throws -> String {
    guard let path = ProcessInfo.processInfo.environment["RA_TEST_MODEL"] else {
      throw Missing(description: "Set RA_TEST_MODEL to the path of SmolLM2-135M-Instruct in GGUF format.")
    }
    return path
  }

  /// Runs `ra` with `arguments`, nothing on standard input, and `environment` added to our own.
  ///
  /// - Parameter addressSpace: kilobytes that the process may map, nil for no limit.
  static func run(
    _ arguments: [String], input: String = "", environment: [String: String] = [:], addressSpace: Int? = nil
  ) throws -> Output {
    let process = Process()
    if let addressSpace {
      process.executableURL = URL(fileURLWithPath: "/bin/sh")
      process.arguments = ["-c", "ulimit -v \(addressSpace) && exec \"$0\" \"$@\"", try path()] + arguments
    } else {
      process.executableURL = URL(fileURLWithPath: try path())
      process.arguments = arguments
    }
    // A crash is told by its signal; the runtime's report of it takes half a minute.
    process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
      .merging(["SWIFT_BACKTRACE": "enable=no"]) { $1 }
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

/// A folder that goes with the object.
final class TemporaryFolder {
  private let base: URL

  init() throws {
    base = FileManager.default.temporaryDirectory.appendingPathComponent("ra-tests-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: base, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(at: base) }

  func url(_ name: String) -> URL { base.appendingPathComponent(name) }

  /// Writes a file and returns its path.
  func file(_ name: String, _ data: Data) throws -> String {
    try data.write(to: url(name))
    return url(name).path
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
  // Mistakes in the command line are followed by help on the option and the usage.
  let others = lines.filter {
    !$0.hasPrefix("Error: ") && !$0.hasPrefix("Usage: ") && !$0.hasPrefix("Help: ") && !$0.hasPrefix("  ")
  }
  #expect(others.isEmpty, "\(output.standardError)", sourceLocation: sourceLocation)
  for part in parts {
    #expect(errors.first?.contains(part) == true, "\(output.standardError)", sourceLocation: sourceLocation)
  }
}
