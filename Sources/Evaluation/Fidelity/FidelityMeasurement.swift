// How much of full attention's answer a policy keeps, measured on the user's own model and text.

public import AttentionKernels
import Generation
public import LlamaHost
public import RetrievalAttention
public import VectorIndex

/// Compares the next-token distributions of a policy with those of full attention over a long context.
///
/// The context is read with exact attention, and once more where the policy reads it otherwise or stores it in another
/// format; then the same tokens are decoded one by one (teacher-forced) with exact attention, with the policy, and
/// with the host's own attention. The distance between the host and exact attention, which compute the same thing, is
/// the noise floor: nothing can be told apart below it.
public final class FidelityMeasurement {
  /// Whose distributions are the reference.
  public enum Reference: String, Sendable, CaseIterable, Codable {
    /// Our exact attention over f16: the same arithmetic, so that only the approximation differs, and the rounding of
    /// keys and values to another format.
    case exact
    /// llama.cpp's attention.
    case host
  }

  /// Steps of the measurement, for progress.
  public enum Phase: Sendable {
    /// Tokens that our attention has read.
    case prefill(done: Int, total: Int)
    /// Tokens that the host has read.
    case hostPrefill(done: Int, total: Int)
    /// Tokens decoded with a policy.
    case decode(policy: String, done: Int, total: Int)
  }

  /// What is measured, on how much of a text.
  public struct Settings: Sendable {
    /// Tokens that are read first.
    public var contextTokens: Int
    /// Tokens after them that are decoded.
    public var decodeTokens: Int
    /// The attention that is compared.
    public var policy: AttentionPolicy
    /// How its context stores keys and values. The reference has f16 and reads the text for itself where that is
    /// something else.
    public var format = KeyValueFormat()
    /// Read and decode with the host too, for the noise floor. Without, only distances to exact attention can be
    /// measured, but the host need not read the context.
    public var comparesHost = true
    /// Also measure the host with flash attention against the host without.
    public var comparesHostPaths = false

    /// Compares `policy` with exact attention and with the host, keys and values in f16.
    public init(contextTokens: Int, decodeTokens: Int, policy: AttentionPolicy) {
      self.contextTokens = contextTokens
      self.decodeTokens = decodeTokens
      self.policy = policy
    }
  }

  /// Tokens that are read first.
  public let contextTokens: Int
  /// Tokens after them, at which distributions are compared.
  public let decodeTokens: Int
  /// Distance of exact attention from the host's; nil when the host was left out.
  public let noiseFloor: Divergence?
  /// Distance between the host's own two attention paths, with and without flash attention, if asked for.
  public let hostNoise: Divergence?

  private let runner: GuestRunner
  private let tokens: [Int32]
  private let exact: LogitRecord
  private let host: LogitRecord?
  private let exactSeconds: Double
  private let seconds: Double
  /// Reads the context with another policy and tells how long that took.
  private let read: (AttentionPolicy) throws -> (runner: GuestRunner, seconds: Double)
  /// What reading the context as the policy does has cost; nil where that is exact.
  public private(set) var reading: PromptReadingReport?
  private let onPhase: (Phase) -> Void

  /// Reads the context and decodes with exact attention and with the host.
  ///
  /// - Parameters:
  ///   - tokens: the text; the first ones are the context, the next ones are decoded, and one more is predicted.
  ///   - onPhase: told of each batch and step.
  /// - Throws: ``Generation/GenerationError/textTooShort(tokens:required:)`` and what runners throw.
  public init(
    model: LlamaModel, pool: ThreadPool, tokens: [Int32], settings: Settings,
    onPhase: @escaping (Phase) -> Void = { _ in }
  ) throws {
    let (contextTokens, decodeTokens) = (settings.contextTokens, settings.decodeTokens)
    let (policy, format) = (settings.policy, settings.format)
    for (name, value) in [("context", contextTokens), ("tokens", decodeTokens)] where value <= 0 {
      throw GenerationError.invalidCount(name: name, value: value, requirement: "positive")
    }
    // The last decoded token predicts one more, whose probability enters the perplexity.
    let required = contextTokens + decodeTokens + 1
    guard tokens.count >= required else {
      throw GenerationError.textTooShort(tokens: tokens.count, required: required)
    }
    self.tokens = Array(tokens[..<required])
    self.contextTokens = contextTokens
    self.decodeTokens = decodeTokens
    self.onPhase = onPhase
    let context = Array(tokens[..<contextTokens])
    let decoded = tokens[contextTokens..<contextTokens + decodeTokens]

    func read(
      _ policy: AttentionPolicy, _ format: KeyValueFormat
    ) throws -> (runner: GuestRunner, seconds: Double) {
      let runner = try GuestRunner(
        model: model, pool: pool, policy: policy, plannedTokens: contextTokens + decodeTokens, format: format)
      let clock = ContinuousClock()
      let start = clock.now
      _ = try runner.prefill(context) { onPhase(.prefill(done: $0, total: contextTokens)) }
      return (runner, (clock.now - start).seconds)
    }
    self.read = { try read($0, format) }
    func exactRecord(_ runner: GuestRunner) throws -> LogitRecord {
      try Self.exactRecord(decoded, runner: runner, contextTokens: contextTokens, onPhase: onPhase)
    }
    if format == KeyValueFormat(), policy.readsPromptsExactly {
      (runner, seconds) = try read(policy, format)
      exact = try exactRecord(runner)
      exactSeconds = seconds
    } else {
      let reference = try read(.exact, KeyValueFormat())
      (exact, exactSeconds) = (try exactRecord(reference.runner), reference.seconds)
      (runner, seconds) = try read(policy, format)
    }

    if !policy.readsPromptsExactly {
      reading = PromptReadingReport(
        runner, seconds: (seconds, exactSeconds), record: try exactRecord(runner), reference: exact,
        next: self.tokens[(contextTokens + 1)...])
    }

    func hostRecord(flashAttention: Bool) throws -> LogitRecord {
      let runner = try HostRunner(
        model: model, pool: pool, contextLength: contextTokens + decodeTokens, flashAttention: flashAttention)
      _ = try runner.prefill(context) { onPhase(.hostPrefill(done: $0, total: contextTokens)) }
      return try Self.record(decoded, runner: runner, name: "host", onPhase: onPhase)
    }
    guard settings.comparesHost else {
      (host, noiseFloor, hostNoise) = (nil, nil, nil)
      return
    }
    let host = try hostRecord(flashAttention: false)
    self.host = host
    noiseFloor = Divergence(reference: host, other: exact)
    hostNoise =
      settings.comparesHostPaths
      ? Divergence(reference: host, other: try hostRecord(flashAttention: true)) : nil
  }

  /// Decodes with the policy and compares.
  ///
  /// Can be called again with other search parameters, over the same index, as long as decoding so few tokens
  /// that none is inserted (less than the policy's insertion block).
  ///
  /// - Parameters:
  ///   - search: replaces the policy's search parameters; the policy's own when nil.
  ///   - observesHeads: also tell what single heads lose in the first 16 steps.
  public func measure(
    against reference: Reference, search: ClusterIndex.SearchParameters? = nil, observesHeads: Bool = false
  ) throws -> FidelityReport {
    guard let referenceRecord = reference == .exact ? exact : host else {
      throw GenerationError.invalidCount(
        name: "host logits", value: 0, requirement: "recorded to be the reference")
    }
    try runner.truncate(to: contextTokens)
    if let search { runner.engine.search = search }
    runner.engine.statistics = ReadStatistics()
    let decoded = tokens[contextTokens..<contextTokens + decodeTokens]
    let ours = try Self.record(decoded, runner: runner, name: runner.attentionName, onPhase: onPhase)
    let reads = runner.engine.statistics
    let next = tokens[(contextTokens + 1)...]
    let divergence = Divergence(reference: referenceRecord, other: ours)
    let (perplexity, referencePerplexity) = (ours.perplexity(of: next), referenceRecord.perplexity(of: next))
    let heads = observesHeads ? try headErrors() : nil
    return FidelityReport(
      policy: runner.attentionName, kvType: runner.engine.shape.format.description,
      reference: reference.rawValue, context: contextTokens, tokens: decodeTokens,
      meanKL: divergence.meanKL, p99KL: divergence.p99KL, top1: divergence.top1,
      perplexity: perplexity, referencePerplexity: referencePerplexity,
      perplexityDifference: perplexity - referencePerplexity,
      keysRead: reads.keysRead, keysReadWithStatic: reads.keysReadWithStatic,
      bytesPerToken: reads.bytesPerToken,
      tolerance: (search ?? runner.engine.policy.retrieval?.search).map { Double($0.tolerance) },
      noiseFloor: noiseFloor,
      hostNoise: hostNoise,
      headError: heads.flatMap { HeadErrors.mean($0.outputError) },
      recoveredMass: heads.flatMap { HeadErrors.mean($0.recoveredMass) }, heads: heads, reading: reading)
  }

  /// Reads the context once more, as another policy does, and compares tokens that are decoded exactly behind it with
  /// those behind a context that was read exactly.
  ///
  /// Costs a reading of the context. Throws what reading throws.
  public func measureReading(_ policy: AttentionPolicy) throws -> PromptReadingReport {
    let (other, seconds) = try read(policy)
    let record = try Self.exactRecord(
      tokens[contextTokens..<contextTokens + decodeTokens], runner: other, contextTokens: contextTokens,
      onPhase: onPhase)
    return PromptReadingReport(
      other, seconds: (seconds, exactSeconds), record: record, reference: exact,
      next: tokens[(contextTokens + 1)...])
  }

  /// Decodes exactly and goes back.
  private static func exactRecord(
    _ decoded: ArraySlice<Int32>, runner: GuestRunner, contextTokens: Int, onPhase: (Phase) -> Void
  ) throws -> LogitRecord {
    runner.options.isExact = true
    defer { runner.options.isExact = false }
    let exact = try record(decoded, runner: runner, name: "exact", onPhase: onPhase)
    try runner.truncate(to: contextTokens)
    return exact
  }

  /// Decodes some tokens once more, with exact attention beside the policy's in every head.
  private func headErrors() throws -> HeadErrors {
    try runner.truncate(to: contextTokens)
    var sums = HeadErrorSums(shape: runner.engine.shape)
    runner.options.observer = AttentionObserver(onHead: { sums.add($0) })
    defer { runner.options.observer = nil }
    let observed = tokens[contextTokens..<contextTokens + min(decodeTokens, FidelityProbe.observedSteps)]
    _ = try Self.record(observed, runner: runner, name: "\(runner.attentionName), heads", onPhase: onPhase)
    return sums.means
  }

  private static func record(
    _ tokens: ArraySlice<Int32>, runner: any SequenceRunner, name: String, onPhase: (Phase) -> Void
  ) throws -> LogitRecord {
    var record = LogitRecord()
    for (step, token) in tokens.enumerated() {
      record.append(try runner.decode(token).last)
      onPhase(.decode(policy: name, done: step + 1, total: tokens.count))
    }
    return record
  }
}

/// The result of one measurement, with the names of its JSON form.
public struct FidelityReport: Sendable, Codable {
  /// The attention that was measured, with its settings.
  public var policy: String
  /// How the policy's keys and values were stored.
  public var kvType: String
  /// What it was compared with: `exact` or `host`.
  public var reference: String
  /// Tokens that were read first.
  public var context: Int
  /// Tokens at which distributions were compared.
  public var tokens: Int
  /// Mean divergence from the reference, in nats.
  public var meanKL: Double
  /// 99th percentile of the divergence, in nats.
  public var p99KL: Double
  /// Share of tokens, 0...1, for which both have the same best one.
  public var top1: Double
  /// Of the text that was decoded.
  public var perplexity: Double
  /// Of the same text, for the reference.
  public var referencePerplexity: Double
  /// ``perplexity`` less ``referencePerplexity``.
  public var perplexityDifference: Double
  /// Share of the context that was looked up, 0...1: retrieved keys, and what was read of the index, in bytes of keys
  /// and values.
  public var keysRead: Double
  /// The same with sink and window.
  public var keysReadWithStatic: Double
  /// Bytes of keys, values and index read for a token.
  public var bytesPerToken: Double
  /// Of a retrieval policy; nil for others.
  public var tolerance: Double?
  /// Our exact attention compared with the host's: less than this cannot be told apart. Nil without the host.
  public var noiseFloor: Divergence?
  /// The host's two ways to attend, compared; nil when not asked for.
  public var hostNoise: Divergence?
  /// Mean over heads and tokens of ``HeadErrors/outputError`` and ``HeadErrors/recoveredMass``, if asked for.
  public var headError: Double?
  /// Mean share of the softmax mass that the keys read have, 0...1; nil when not measured.
  public var recoveredMass: Double?
  /// What single heads lost, if asked for.
  public var heads: HeadErrors?
  /// What reading the context has lost, which ``meanKL`` has in it; nil where it was read exactly.
  public var reading: PromptReadingReport?
}
