// The same proof at a depth where a batch and a window have been left behind.

/// How closely exact guest attention follows the host after a longer text, read in batches.
///
/// A short prompt tells nothing of what depends on the length of the context: windows, RoPE factors, the way from one
/// batch to the next.
public struct DepthComparison: Sendable {
  /// Tokens of the text; the last ``comparedCount`` are compared.
  public let tokenCount: Int
  /// Tokens whose distributions were compared.
  public let comparedCount: Int
  /// Mean KL(host || guest) of the next token's distribution, in nats.
  public let guestDivergence: Float
  /// The same between the host's two ways of attending: the noise floor.
  public let hostDivergence: Float
  /// Share of tokens after which the most probable next token is the same.
  public let guestTop1: Float
  /// Share of tokens, 0...1, for which the host's two ways to read agree about the best one.
  public let hostTop1: Float

  /// Tokens of one batch, and of the text without a window that is longer.
  static let batch = 512
  static let usualDepth = 640
  /// Behind the end of a window.
  private static let beyondWindow = 64
  /// Deeper only when asked: a large model reads a few tokens a second.
  private static let largestUsualDepth = 1152
  private static let compared = 32

  /// A depth behind a batch and, if that is not far, behind the model's window; fewer tokens for a model with less
  /// context.
  public static func depth(for model: LlamaModel) -> Int {
    let description = model.description
    let window = (description.slidingWindow ?? 0) + beyondWindow
    let wanted = window <= largestUsualDepth ? max(usualDepth, window) : usualDepth
    let limits = [model.contextLimit, model.file.learnedPositionCount ?? 0].filter { $0 > 0 }
    return min(wanted, limits.min() ?? wanted)
  }

  /// A text of so many tokens: `text` again and again, with numbers between.
  static func tokens(of text: String, count: Int, model: LlamaModel) throws -> [Int32] {
    var long = ""
    var tokens: [Int32] = []
    while tokens.count < count {
      for number in 1...max(1, count / 64) { long += "\(number). \(text)\n" }
      tokens = try model.tokenizer.tokenize(long, addSpecial: true, parseSpecial: false)
    }
    return Array(tokens.prefix(count))
  }

  /// - Parameters:
  ///   - text: is repeated, with numbers between, up to `depth` tokens.
  ///   - progress: is told how many tokens were read, of three readings.
  init(
    model: LlamaModel, pool: ThreadPool, text: String, depth: Int,
    progress: ((_ done: Int, _ total: Int) -> Void)?
  ) throws {
    let tokens = try Self.tokens(of: text, count: depth, model: model)
    let last = min(Self.compared, (depth + 1) / 2)
    var done = 0
    func logits(_ context: LlamaContext) throws -> [[Float]] {
      var position = 0
      while position < depth - last {
        let end = min(position + Self.batch, depth - last)
        try context.evaluate(tokens[position..<end], startPosition: position, outputs: .none)
        done += end - position
        progress?(done, 3 * depth)
        position = end
      }
      let rows = try context.evaluate(tokens[position...], startPosition: position, outputs: .all)
      done += last
      progress?(done, 3 * depth)
      return (0..<rows.rowCount).map { Array(rows[$0]) }
    }
    let capacity = min(Self.batch, depth)
    func host(flashAttention: Bool) throws -> [[Float]] {
      try logits(
        HostContext(
          model: model, pool: pool, contextLength: depth, batchCapacity: capacity, outputCapacity: last,
          flashAttention: flashAttention))
    }
    let expected = try host(flashAttention: false)
    let flash = try host(flashAttention: true)
    let guest = try logits(
      GuestContext(
        model: model, pool: pool, batchCapacity: capacity, outputCapacity: last,
        guest: ExactAttention()))
    (guestDivergence, guestTop1) = LogitComparison.compare(expected, guest)
    (hostDivergence, hostTop1) = LogitComparison.compare(expected, flash)
    tokenCount = depth
    comparedCount = last
  }
}
