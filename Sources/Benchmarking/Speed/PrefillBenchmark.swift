// Speed of reading prompts of several lengths, ours beside the host's, in one process.

package import AttentionKernels
package import Evaluation
import Generation
package import LlamaHost
import RetrievalAttention

/// Measures how fast prompts are read, each in a fresh context.
///
/// The host runs with flash attention off and on, since either can be the faster one; ours includes building the
/// index. Rounds are interleaved, and the median of each is reported.
package final class PrefillBenchmark {
  /// What is measured.
  package struct Settings: Sendable {
    /// Tokens of the prompts.
    package var lengths = [512, 2048, 8192]
    /// How often each prompt is read by each.
    package var rounds = 1
    /// Longest prompt that is read more than once. Short ones end before a busy machine is quiet for a moment.
    package var longestRepeated = Int.max
    package var attentions: [EvaluatedAttention] = [.host, .retrieval()]
    /// How our contexts store keys and values; the host's are f16.
    package var format = KeyValueFormat()

    package init() {}
  }

  /// What has been measured, ascending in length; complete after ``run(onPhase:onLength:)``, partial when that
  /// threw.
  package private(set) var results: [PrefillResult] = []

  private let settings: Settings
  private let lengths: [Int]
  private let contenders: [Contender]
  private let tokens: [Int32]
  private let model: LlamaModel
  private let pool: ThreadPool

  private enum Contender: Equatable {
    case host(flashAttention: Bool)
    case ours(name: String, AttentionPolicy)

    var name: String {
      switch self {
      case .host(let flashAttention): flashAttention ? "host with flash attention" : "host"
      case .ours(let name, _): name
      }
    }
  }

  private struct Sample {
    var seconds: Double
    var indexSeconds: Double
    var keysRead: Double?
  }

  /// Throws ``Generation/GenerationError/invalidCount(name:value:requirement:)`` for settings that make no sense
  /// and ``Generation/GenerationError/textTooShort(tokens:required:)``.
  package init(model: LlamaModel, pool: ThreadPool, tokens: [Int32], settings: Settings = Settings()) throws {
    lengths = try TokenCounts.checked(settings.lengths, name: "prompt length", minimum: 1)
    guard settings.rounds > 0 else {
      throw GenerationError.invalidCount(name: "rounds", value: settings.rounds, requirement: "positive")
    }
    let required = lengths.last ?? 0
    guard tokens.count >= required else {
      throw GenerationError.textTooShort(tokens: tokens.count, required: required)
    }
    self.model = model
    self.pool = pool
    self.settings = settings
    self.tokens = tokens
    contenders = settings.attentions.flatMap { attention in
      attention.policy.map { [Contender.ours(name: attention.name, $0)] }
        ?? [.host(flashAttention: false), .host(flashAttention: true)]
    }
  }

  /// Measures all lengths.
  ///
  /// Cancelling the task stops it within a layer with `CancellationError`; ``results`` then has what was measured.
  ///
  /// - Parameter onLength: told the results of each length as they come.
  package func run(
    onPhase: (BenchmarkPhase) -> Void = { _ in }, onLength: ([PrefillResult]) -> Void = { _ in }
  ) throws {
    results = []
    try model.warmUp(pool: pool, tokens: tokens)
    for length in lengths {
      var samples = contenders.map { _ in [Sample]() }
      defer {
        let new = summary(samples, length: length)
        results += new
        onLength(new)
      }
      for _ in 0..<(length > settings.longestRepeated ? 1 : settings.rounds) {
        for (index, contender) in contenders.enumerated() {
          samples[index].append(try sample(contender, length: length, onPhase: onPhase))
        }
      }
    }
  }

  private func sample(
    _ contender: Contender, length: Int, onPhase: (BenchmarkPhase) -> Void
  ) throws -> Sample {
    let runner: any SequenceRunner
    switch contender {
    case .host(let flashAttention):
      runner = try HostRunner(
        model: model, pool: pool, contextLength: length, flashAttention: flashAttention,
        keepsWholeCache: false)
    case .ours(_, let policy):
      runner = try GuestRunner(
        model: model, pool: pool, policy: policy, plannedTokens: length, format: settings.format)
    }
    let clock = ContinuousClock()
    let start = clock.now
    try withoutActuallyEscaping(onPhase) { tell in
      _ = try runner.prefill(Array(tokens[..<length])) {
        tell(.prefill(name: contender.name, done: $0, total: length))
      }
    }
    return Sample(
      seconds: (clock.now - start).seconds, indexSeconds: runner.indexSeconds,
      keysRead: (runner as? GuestRunner)?.engine.promptReads.share)
  }

  private func summary(_ samples: [[Sample]], length: Int) -> [PrefillResult] {
    var results: [PrefillResult] = []
    for (contender, samples) in zip(contenders, samples) {
      guard let spread = TimeSpread(samples.map(\.seconds)),
        let index = TimeSpread(samples.map { $0.indexSeconds / $0.seconds })
      else { continue }
      var result = PrefillResult(
        policy: "", length: length, rounds: samples.count, seconds: spread.median,
        tokensPerSecond: Double(length) / spread.median, spread: spread)
      switch contender {
      case .host(let flashAttention):
        result.policy = PrefillResult.hostPolicy
        result.configuration =
          flashAttention ? HostConfiguration.flashAttentionOn : HostConfiguration.flashAttentionOff
      case .ours(let name, _):
        result.policy = name
        result.indexShare = index.median
        result.keysRead = samples.last?.keysRead
      }
      results.append(result)
    }
    // Only the better one of the host's two configurations is called the host's.
    let hosts = results.indices.filter { results[$0].policy == PrefillResult.hostPolicy }
    let best = hosts.min { results[$0].seconds < results[$1].seconds }
    for index in hosts where index != best { results[index].policy = PrefillResult.otherHostPolicy }
    return results
  }
}

/// The prefill speed of one attention at one length, with the names of its JSON form.
package struct PrefillResult: Sendable, Codable {
  /// `retrieval`, `exact`, `host` for the host's faster configuration or `host-other` for the other one.
  package var policy: String
  /// How the host was run; nil for our attention.
  package var configuration: String?
  /// Tokens of the prompt.
  package var length: Int
  package var rounds: Int
  /// The median over rounds, building the index included.
  package var seconds: Double
  package var tokensPerSecond: Double
  /// Seconds of the single rounds.
  package var spread: TimeSpread
  /// Share of the time that went into building the index, 0...1; nil for the host.
  package var indexShare: Double?
  /// Share of the keys, 0...1, that were read for a token; estimates count as keys. Nil for the host.
  package var keysRead: Double?

  /// The names of the host's two rows.
  static let hostPolicy = "host"
  static let otherHostPolicy = "host-other"
}
