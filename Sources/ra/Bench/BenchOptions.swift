// What the subcommands of `ra bench` share.

import ArgumentParser
import AttentionKernels
import Benchmarking
import Foundation
import Generation
import LlamaHost

struct BenchOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "A text file to read. (default: generated sentences of common words, the same in each run)",
      valueName: "file"), completion: .file())
  var text: String?

  @Flag(help: "Write JSON.")
  var json = false

  /// What is read, as named in results.
  var textName: String { text ?? "generated sentences" }

  func tokens(count: Int, model: LlamaModel) throws -> [Int32] {
    guard let text else { return try BenchmarkText.tokens(count: count, model: model) }
    return try model.tokenizer.tokenize(TextFile.read(text), addSpecial: true, parseSpecial: false)
  }
}

/// What a benchmark writes as JSON.
struct BenchReport<Result: Encodable>: Encodable {
  var model: String
  var threads: Int
  var simd: String
  var text: String
  /// How keys and values are stored, but for the host's.
  var kvType: String
  /// Whether Ctrl-C ended it early.
  var interrupted: Bool
  var results: [Result]
  /// Of hybrid models.
  var states: StateCosts?

  init(
    model: LlamaModel, pool: ThreadPool, text: String, format: KeyValueFormat, interrupted: Bool,
    results: [Result]
  ) {
    self.model = URL(fileURLWithPath: model.description.path).lastPathComponent
    threads = pool.threadCount
    simd = SIMDLevel.active.rawValue
    self.text = text
    kvType = format.description
    self.interrupted = interrupted
    self.results = results
  }

  /// The first lines for people.
  var heading: String {
    "\(model), \(threads) threads, \(simd), keys and values \(kvType), text: \(text)\(interrupted ? ", interrupted" : "")\n"
  }
}

extension Console {
  func progress(_ phase: BenchmarkPhase) {
    switch phase {
    case .prefill(let name, let done, let total):
      progress("reading \(total) tokens, \(name)", done: done, total: total, unit: "tokens")
    case .decode(let depth, let done, let total):
      progress("decoding at depth \(depth)", done: done, total: total, unit: "steps")
    }
  }

  /// Runs a benchmark; true if Ctrl-C ended it.
  func isInterrupted(_ body: () throws -> Void) throws -> Bool {
    defer { clear() }
    do {
      try body()
      return false
    } catch is CancellationError {
      return true
    }
  }
}
