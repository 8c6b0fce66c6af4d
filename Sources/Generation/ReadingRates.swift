// How fast prompts were read on this machine, so that the next one's time can be told beforehand.

import Foundation
package import LlamaHost
import Platform
package import RetrievalAttention

/// What reading a token costs: `first + growth * n` seconds at depth n, which is the law of attention.
package struct ReadingLaw: Codable, Equatable, Sendable {
  /// Seconds of the first token.
  package var first: Double
  /// Seconds that each token before it adds.
  package var growth: Double

  package init(first: Double, growth: Double) {
    self.first = first
    self.growth = growth
  }

  /// Seconds of the tokens of a range of positions.
  package func seconds(_ tokens: Range<Int>, depth: ReadingDepth = ReadingDepth()) -> Double {
    let (begin, end) = (Double(tokens.lowerBound), Double(tokens.upperBound))
    return first * (end - begin) + growth * depth.sum(from: begin, to: end)
  }
}

/// How many tokens a token's cost depends on: all before it, or behind some depth a share of those.
package struct ReadingDepth: Sendable, Equatable {
  /// Where keys begin to be chosen; nil for nowhere.
  package var chosenFrom: Double?

  /// What a key that is before a token costs where keys are chosen, of what it costs elsewhere: about what is read of a
  /// text between some thousands and some ten thousands of tokens.
  private static let share = 0.2

  /// - Parameter chosenFrom: where keys begin to be chosen; nil for nowhere.
  package init(chosenFrom: Int? = nil) { self.chosenFrom = chosenFrom.map(Double.init) }

  /// What prompts of a policy are read like.
  package init(_ policy: AttentionPolicy) {
    let retrieval = policy.retrieval.flatMap { $0.prefillTolerance > 0 ? $0.prefillStart : nil }
    self.init(chosenFrom: retrieval)
  }

  /// The depths of all tokens of a range of positions together.
  func sum(from begin: Double, to end: Double) -> Double { sum(to: end) - sum(to: begin) }

  private func sum(to end: Double) -> Double {
    guard let chosenFrom, end > chosenFrom else { return end * end / 2 }
    let rest = end - chosenFrom
    return chosenFrom * chosenFrom / 2 + chosenFrom * rest + Self.share * rest * rest / 2
  }
}

/// The laws that were measured, by what they depend on, in a file of the user's cache.
///
/// What it says is a help and no more: a file that cannot be read counts as empty, and one that cannot be written is
/// left as it is.
package struct ReadingRates {
  private struct Entry: Codable {
    var law: ReadingLaw
    /// Tokens that it was measured on.
    var tokens: Int
  }

  /// Fewer tokens tell too little.
  package static let leastTokens = 512
  /// Old measurements count at most so many times as much as a new one: machines and builds change.
  private static let patience = 3
  /// More models and settings are nobody's.
  private static let mostEntries = 256

  private let path: String
  private var entries: [String: Entry]

  /// Reads what was measured.
  package init(path: String = UserFolder.cache.path("reading-rates.json")) {
    self.path = path
    entries =
      FileManager.default.contents(atPath: path).flatMap {
        try? JSONDecoder().decode([String: Entry].self, from: $0)
      } ?? [:]
    entries = entries.filter { $0.value.law.first > 0 && $0.value.law.growth >= 0 && $0.value.tokens > 0 }
  }

  package subscript(key: String) -> ReadingLaw? { entries[key]?.law }

  /// Takes account of a measurement, and writes the file.
  package mutating func add(_ law: ReadingLaw, tokens: Int, for key: String) {
    guard tokens >= Self.leastTokens, law.first > 0, law.first.isFinite, law.growth >= 0, law.growth.isFinite
    else { return }
    var entry = Entry(law: law, tokens: tokens)
    if let old = entries[key] {
      let share = Double(tokens) / Double(tokens + min(old.tokens, Self.patience * tokens))
      entry.law.first = old.law.first + share * (law.first - old.law.first)
      entry.law.growth = old.law.growth + share * (law.growth - old.law.growth)
      entry.tokens = old.tokens + tokens
    }
    entries[key] = entry
    if entries.count > Self.mostEntries, let rarest = entries.min(by: { $0.value.tokens < $1.value.tokens }) {
      entries[rarest.key] = nil
    }
    write()
  }

  private func write() {
    guard let data = try? JSONEncoder().encode(entries) else { return }
    let url = URL(fileURLWithPath: path)
    try? FileManager.default.createDirectory(
      at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
    try? data.write(to: url, options: .atomic)
  }
}

/// What is known of reading with a model and an attention before it begins.
package struct ReadingForecast {
  /// Tokens that have been read.
  package let start: Int
  /// What a token's cost depends on.
  package let depth: ReadingDepth
  private let bytesPerToken: Int
  private let key: String
  private var rates: ReadingRates

  /// Costs a look at the model's file; nil where that cannot be read.
  ///
  /// - Parameter attention: all that reading depends on besides the model and the threads.
  private init?(
    _ model: LlamaModel, attention: String, depth: ReadingDepth = ReadingDepth(), threads: Int,
    bytesPerToken: Int, start: Int, rates: ReadingRates
  ) {
    guard let fingerprint = try? ModelFingerprint.text(ofFile: model.file.path) else { return nil }
    self.start = start
    self.depth = depth
    self.bytesPerToken = bytesPerToken
    key = "\(fingerprint), \(threads) threads, \(attention)"
    self.rates = rates
  }

  /// For what a runner reads next.
  package init?(_ runner: any SequenceRunner, rates: ReadingRates = ReadingRates()) {
    if let guest = runner as? GuestRunner {
      self.init(
        guest.model, policy: guest.context.policy, shape: guest.engine.shape, threads: guest.pool.threadCount,
        start: guest.tokenCount, rates: rates)
    } else {
      self.init(
        runner.model, attention: "host", threads: (runner as? HostRunner)?.pool.threadCount ?? 0,
        bytesPerToken: HostContext.bytesPerToken(runner.model.description), start: runner.tokenCount,
        rates: rates)
    }
  }

  /// For contexts of a policy.
  package init?(
    _ model: LlamaModel, policy: AttentionPolicy, shape: ModelShape, threads: Int, start: Int = 0,
    rates: ReadingRates = ReadingRates()
  ) {
    self.init(
      model, attention: "\(policy.completeDescription) \(shape.format)", depth: ReadingDepth(policy),
      threads: threads,
      bytesPerToken: shape.bytesPerTokenWithIndex, start: start, rates: rates)
  }

  /// Seconds of reading so many tokens from ``start`` on; nil where nothing like it was read here.
  package func seconds(_ count: Int) -> Double? { seconds(of: start..<start + count) }

  /// Seconds of reading the tokens of a range of positions; nil where nothing like it was read here.
  package func seconds(of tokens: Range<Int>) -> Double? { rates[key]?.seconds(tokens, depth: depth) }

  /// By how much a token costs more for each one before it, as a share of the first one's cost; nil where nothing like
  /// it was read here.
  package var growth: Double? { rates[key].map { $0.growth / $0.first } }

  /// Bytes of keys, values and index that they add.
  package func bytes(_ count: Int) -> Int { bytesPerToken * count }

  /// Takes account of a text of so many tokens that was read.
  package mutating func add(_ law: ReadingLaw, tokens: Int) { rates.add(law, tokens: tokens, for: key) }
}
