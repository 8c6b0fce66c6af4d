// Proof, on a short prompt, that a guest sees what the host sees and that its output arrives.

/// How closely exact guest attention follows the host, for one model.
///
/// Two attention paths of the host itself differ by rounding, and quantized weights amplify that; their
/// difference in the same run is the yardstick.
public struct ParityReport: Sendable, CustomStringConvertible {
  /// One layer's output, ours against the host's, both from the same queries, keys and values.
  public struct LayerError: Sendable {
    /// Counted from 0.
    public let layer: Int
    /// Euclidean norm of the difference over that of the host's output.
    public let relativeError: Float
  }

  /// What the probe found.
  public let takeover: TakeoverReport
  /// Tokens of the prompt.
  public let tokenCount: Int
  /// One for each layer with attention.
  public let layerErrors: [LayerError]
  /// Mean Kullback-Leibler divergence in nats of the next token's distribution, host without flash attention
  /// against guest.
  public let guestDivergence: Float
  /// The same between the host's two ways of attending: the noise floor.
  public let hostDivergence: Float
  /// Share of tokens after which the most probable next token is the same.
  public let guestTop1: Float
  /// Share of tokens, 0...1, for which the host's two ways to compute agree about the best one.
  public let hostTop1: Float
  /// The same after a longer text; nil when only given tokens were compared.
  public let depth: DepthComparison?

  /// The largest error of a layer that rounding explains: the host accumulates half-precision values in half
  /// precision, with 11 bits, over up to 128 keys.
  public static let largestLayerError: Float = 0.01

  /// Whether layers agree up to rounding and the guest's distribution is no further from the host's than
  /// three times the noise floor (or 0.01 nats, where the floor is next to nothing).
  public var passed: Bool {
    func isClose(_ guest: Float, _ host: Float) -> Bool { guest <= max(3 * host, 0.01) }
    return layerErrors.allSatisfy { $0.relativeError <= Self.largestLayerError }
      && isClose(guestDivergence, hostDivergence)
      && (depth.map { isClose($0.guestDivergence, $0.hostDivergence) } ?? true)
  }

  /// Compares on `tokens`, or on a built-in text: on about 100 tokens of it layer by layer, and on more of it behind a
  /// batch and a window.
  ///
  /// - Parameters:
  ///   - depth: tokens of the longer text; nil for ``DepthComparison/depth(for:)``.
  ///   - progress: is told how many tokens of the longer text were read.
  /// - Throws: ``LlamaError/takeoverUnsupported(_:)``; ``LlamaError/batchTooLong(tokenCount:capacity:)`` for
  ///   more than 512 tokens; whatever evaluation throws.
  public init(
    checking model: LlamaModel, pool: ThreadPool, tokens givenTokens: [Int32]? = nil, depth: Int? = nil,
    progress: ((_ done: Int, _ total: Int) -> Void)? = nil
  ) throws {
    let tokens =
      try givenTokens
      ?? Array(model.tokenizer.tokenize(Self.text, addSpecial: true, parseSpecial: false).prefix(128))
    guard !tokens.isEmpty else { throw LlamaError.emptyBatch }
    guard tokens.count <= 512 else { throw LlamaError.batchTooLong(tokenCount: tokens.count, capacity: 512) }
    let report = try model.takeover(pool: pool)
    guard report.isSupported else { throw LlamaError.takeoverUnsupported(report.reasons) }
    takeover = report
    tokenCount = tokens.count
    layerErrors = try Self.compareLayers(model, pool, tokens)

    func hostLogits(flashAttention: Bool) throws -> [[Float]] {
      let context = try HostContext(
        model: model, pool: pool, contextLength: tokens.count, batchCapacity: tokens.count,
        flashAttention: flashAttention)
      return try Self.copy(context.evaluate(tokens, startPosition: 0, outputs: .all))
    }
    let expected = try hostLogits(flashAttention: false)
    let flash = try hostLogits(flashAttention: true)
    // Decode the second half token by token: a guest must also get single tokens and the past right.
    let context = try GuestContext(
      model: model, pool: pool, batchCapacity: tokens.count, guest: ExactAttention())
    let half = (tokens.count + 1) / 2
    var guest = try Self.copy(context.evaluate(tokens[..<half], startPosition: 0, outputs: .all))
    for index in half..<tokens.count {
      guest += try Self.copy(context.evaluate(tokens[index...index], startPosition: index))
    }
    (guestDivergence, guestTop1) = LogitComparison.compare(expected, guest)
    (hostDivergence, hostTop1) = LogitComparison.compare(expected, flash)
    self.depth =
      givenTokens != nil
      ? nil
      : try DepthComparison(
        model: model, pool: pool, text: Self.text,
        depth: depth ?? DepthComparison.depth(for: model), progress: progress)
  }

  /// A few lines for people.
  public var description: String {
    let worst = layerErrors.max { $0.relativeError < $1.relativeError }
    return """
      \(takeover)
      \(tokenCount) tokens, largest error of a layer \(worst.map { "\($0.relativeError) (layer \($0.layer))" } ?? "none")
      guest against host: KL \(guestDivergence) nats, top-1 \(guestTop1)
      host against itself: KL \(hostDivergence) nats, top-1 \(hostTop1)\(depthDescription)
      \(passed ? "passed" : "FAILED")
      """
  }

  private var depthDescription: String {
    guard let depth else { return "" }
    return """


      after \(depth.tokenCount) tokens, the last \(depth.comparedCount):
      guest against host: KL \(depth.guestDivergence) nats, top-1 \(depth.guestTop1)
      host against itself: KL \(depth.hostDivergence) nats, top-1 \(depth.hostTop1)
      """
  }

  private static let text = """
    The lighthouse keeper wrote every evening: wind from the north-west, 14 knots; sea calm; visibility twelve miles. \
    On 3 March he added a line that nobody could explain. "The light answered," it said, and below it a small drawing \
    of two ships. func brightness(_ hours: Double) -> Double { 0.5 + 0.5 * cos(hours / 12 * .pi) } Die Lampe brannte \
    die ganze Nacht, und am Morgen war das Öl noch da. What had he seen from the gallery, and why did he never write again?
    """

  /// The built-in text, repeated up to `count` tokens.
  package static func tokens(_ count: Int, model: LlamaModel) throws -> [Int32] {
    try DepthComparison.tokens(of: text, count: count, model: model)
  }

  private static func compareLayers(
    _ model: LlamaModel, _ pool: ThreadPool, _ tokens: [Int32]
  ) throws -> [LayerError] {
    let comparing = ComparingGuest()
    let context = try GuestContext(
      model: model, pool: pool, batchCapacity: tokens.count, outputCapacity: 1, guest: comparing,
      keepsHostAttention: true)
    try context.evaluate(tokens, startPosition: 0)
    return comparing.errors
  }

  private static func copy(_ logits: Logits) -> [[Float]] { (0..<logits.rowCount).map { Array(logits[$0]) } }
}

/// Computes attention, compares it with what the host has written, and leaves the host's result in place, so
/// that every layer is compared on the host's own inputs.
private final class ComparingGuest: AttentionGuest {
  private(set) var errors: [ParityReport.LayerError] = []
  private let exact = ExactAttention()

  func attend(_ call: AttentionCall, sequence: Int, parallel: ParallelRunner) throws {
    let expected = read(call)
    try exact.attend(call, sequence: sequence, parallel: parallel)
    let found = read(call)
    var difference = 0.0
    var norm = 0.0
    for (left, right) in zip(expected, found) {
      difference += Double(left - right) * Double(left - right)
      norm += Double(left) * Double(left)
    }
    errors.append(
      ParityReport.LayerError(
        layer: call.layer, relativeError: Float((difference / max(norm, .leastNormalMagnitude)).squareRoot()))
    )
    unsafe expected.withUnsafeBufferPointer {
      guard let base = $0.baseAddress else { return }
      unsafe call.output.scatter(
        base, heads: 0..<call.shape.headCount, tokens: 0..<call.tokenCount, width: call.shape.valueDimension)
    }
  }

  private func read(_ call: AttentionCall) -> [Float] {
    let (heads, width) = (call.shape.headCount, call.shape.valueDimension)
    return unsafe [Float](unsafeUninitializedCapacity: call.tokenCount * heads * width) { target, count in
      if let base = target.baseAddress {
        unsafe call.output.gather(heads: 0..<heads, tokens: 0..<call.tokenCount, width: width, into: base)
      }
      count = target.count
    }
  }
}
