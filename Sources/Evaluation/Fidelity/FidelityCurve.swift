// How errors go on while a text is decoded: the same tokens by both attentions, step by step.

public import AttentionKernels
import Generation
public import LlamaHost
public import RetrievalAttention

/// Divergence of a policy from exact attention along a long text that is decoded token by token (teacher-forced).
///
/// Keys and values of decoded tokens come from the policy's own attention, so what it loses may add up. Beside that
/// stands what it loses where all keys and values before a token are those of exact attention: the difference is what
/// has added up. Distributions are compared as they are made and not kept, so texts may be long.
public struct FidelityCurve: Sendable, Codable {
  /// Means over some consecutive tokens.
  public struct Block: Sendable, Codable {
    /// Tokens that were decoded before it.
    public var firstToken: Int
    public var tokens: Int
    /// Mean KL(exact || policy) of the next token's distribution, in nats.
    public var meanKL: Double
    /// Share of tokens whose most probable successor is the same, 0...1.
    public var top1: Double
    /// KL of tokens behind exact keys and values.
    public var isolatedKL: Double
    /// KL(host || exact): less than this cannot be told apart. Nil without the host.
    public var noiseKL: Double?
    /// Mean negative log-likelihood of the text, in nats a token, by the policy and by exact attention.
    public var loss: Double
    public var exactLoss: Double
    /// Share of the context that was looked up, 0...1, with sink and window.
    public var keysReadWithStatic: Double
  }

  /// What is run beside the policy and exact attention.
  public struct Settings: Sendable {
    /// Tokens that are read first.
    public var contextTokens: Int
    /// Tokens after them that are decoded.
    public var decodeTokens: Int
    /// Tokens of a block.
    public var blockTokens: Int
    /// The attention that is compared.
    public var policy: AttentionPolicy
    /// How the policy's context stores keys and values. The reference has f16.
    public var format = KeyValueFormat()
    /// Decode with the host too, for the noise floor.
    public var comparesHost = true

    public init(contextTokens: Int, decodeTokens: Int, blockTokens: Int, policy: AttentionPolicy) {
      self.contextTokens = contextTokens
      self.decodeTokens = decodeTokens
      self.blockTokens = blockTokens
      self.policy = policy
    }
  }

  public var policy: String
  public var context: Int
  /// In the order of the text; the last one may be shorter.
  public var blocks: [Block]

  /// Reads the context and decodes.
  ///
  /// - Parameters:
  ///   - tokens: the text: the context, what is decoded, and one more token that is predicted.
  ///   - onPhase: told of each batch and step.
  /// - Throws: ``Generation/GenerationError/textTooShort(tokens:required:)``,
  ///   ``Generation/GenerationError/invalidCount(name:value:requirement:)``, and what runners throw.
  public init(
    model: LlamaModel, pool: ThreadPool, tokens: [Int32], settings: Settings,
    onPhase: @escaping (FidelityMeasurement.Phase) -> Void = { _ in }
  ) throws {
    let counts = [
      ("context", settings.contextTokens), ("tokens", settings.decodeTokens), ("curve", settings.blockTokens),
    ]
    for (name, value) in counts where value <= 0 {
      throw GenerationError.invalidCount(name: name, value: value, requirement: "positive")
    }
    let end = settings.contextTokens + settings.decodeTokens
    guard tokens.count > end else {
      throw GenerationError.textTooShort(tokens: tokens.count, required: end + 1)
    }
    let runners = try CurveRunners(model: model, pool: pool, settings: settings)
    try runners.read(Array(tokens[..<settings.contextTokens]), onPhase)
    policy = runners.policy.attentionName
    context = settings.contextTokens
    blocks = []
    var sums = CurveSums()
    for step in 0..<settings.decodeTokens {
      let place = settings.contextTokens + step
      sums.add(try runners.decode(tokens[place]), next: Int(tokens[place + 1]))
      onPhase(.decode(policy: policy, done: step + 1, total: settings.decodeTokens))
      guard sums.count == settings.blockTokens || step == settings.decodeTokens - 1 else { continue }
      blocks.append(
        sums.block(from: step + 1 - sums.count, read: runners.policy.engine.statistics.keysReadWithStatic))
      runners.policy.engine.statistics = ReadStatistics()
      sums = CurveSums()
    }
  }
}

/// Logits of one step.
private struct CurveStep {
  var exact: [Float]
  var policy: [Float]
  var isolated: [Float]
  var host: [Float]?
}

/// Contexts that read the same text.
private struct CurveRunners {
  let exact: GuestRunner
  let policy: GuestRunner
  let isolated: GuestRunner
  let host: HostRunner?

  init(model: LlamaModel, pool: ThreadPool, settings: FidelityCurve.Settings) throws {
    let planned = settings.contextTokens + settings.decodeTokens
    exact = try GuestRunner(model: model, pool: pool, policy: .exact, plannedTokens: planned)
    policy = try GuestRunner(
      model: model, pool: pool, policy: settings.policy, plannedTokens: planned, format: settings.format)
    isolated = try GuestRunner(host: policy.host, policy: settings.policy, plannedTokens: planned)
    host =
      settings.comparesHost
      ? try HostRunner(model: model, pool: pool, contextLength: planned, flashAttention: false) : nil
  }

  func read(_ context: [Int32], _ onPhase: @escaping (FidelityMeasurement.Phase) -> Void) throws {
    for runner in [exact, policy, isolated] {
      _ = try runner.prefill(context) { onPhase(.prefill(done: $0, total: context.count)) }
    }
    if let host {
      _ = try host.prefill(context) { onPhase(.hostPrefill(done: $0, total: context.count)) }
    }
  }

  func decode(_ token: Int32) throws -> CurveStep {
    try CurveStep(
      exact: Array(exact.decode(token).last), policy: Array(policy.decode(token).last),
      isolated: Self.probe(isolated, token),
      host: host.map { Array(try $0.decode(token).last) })
  }

  /// Decodes by the policy, takes that back, and decodes exactly.
  private static func probe(_ runner: GuestRunner, _ token: Int32) throws -> [Float] {
    let count = runner.tokenCount
    runner.indexesDecodedTokens = false
    let logits = Array(try runner.decode(token).last)
    try runner.truncate(to: count)
    (runner.indexesDecodedTokens, runner.isLossless) = (true, true)
    defer { runner.isLossless = false }
    _ = try runner.decode(token)
    return logits
  }
}

/// What is summed over a block.
private struct CurveSums {
  private(set) var count = 0
  private var policy = 0.0
  private var isolated = 0.0
  private var noise = 0.0
  private var agreements = 0
  private var loss = 0.0
  private var exactLoss = 0.0
  private var hasNoise = false

  mutating func add(_ step: CurveStep, next: Int) {
    count += 1
    policy += LogitComparison.divergence(step.exact, step.policy)
    isolated += LogitComparison.divergence(step.exact, step.isolated)
    if let row = step.host {
      noise += LogitComparison.divergence(row, step.exact)
      hasNoise = true
    }
    if LogitComparison.best(step.exact) == LogitComparison.best(step.policy) { agreements += 1 }
    loss -= LogitComparison.logProbability(of: next, in: step.policy)
    exactLoss -= LogitComparison.logProbability(of: next, in: step.exact)
  }

  func block(from first: Int, read: Double) -> FidelityCurve.Block {
    let n = Double(count)
    return FidelityCurve.Block(
      firstToken: first, tokens: count, meanKL: policy / n, top1: Double(agreements) / n,
      isolatedKL: isolated / n, noiseKL: hasNoise ? noise / n : nil, loss: loss / n,
      exactLoss: exactLoss / n, keysReadWithStatic: read)
  }
}
