// How long the rest of a text takes to read.

package import LlamaHost

/// Seconds that are left of reading a text, where a token costs the more the more tokens stand before it.
///
/// The law is the one of attention: a token at depth n costs a + b n, and less where keys are chosen
/// (``ReadingDepth``). Both are fitted to what was measured, by weighted least squares on the rates of pieces. While
/// too little was read to tell b, earlier texts or the model's shape tell what to expect.
///
///     var estimate = ReadingEstimate(growth: ReadingEstimate.expectedGrowth(model.description))
///     estimate.add(done: 512, seconds: 1.4)
///     let left = estimate.secondsLeft(total: 32_768)
package struct ReadingEstimate {
  /// b / a, per token, as expected.
  private let growth: Double?
  /// Tokens that stand before the text.
  private let start: Double
  private let depths: ReadingDepth
  private var last: (done: Double, seconds: Double)
  // Sums over pieces, each with its tokens for a weight: of one, depth, depth squared, rate, rate times depth.
  private var weight = 0.0
  private var depth = 0.0
  private var depthSquared = 0.0
  private var rates = 0.0
  private var ratesByDepth = 0.0

  /// What is expected counts as much as having read so many tokens: their spread of depths.
  private static let priorTokens = 1024.0
  /// Shorter pieces are added to the next one: the clock and other work make them noisy.
  private static let leastPiece = 0.02

  /// - Parameters:
  ///   - growth: how much a token costs more for each one before it, as a share of the first one's cost; nil
  ///   for work whose parts cost the same.
  ///   - start: tokens that were read before.
  ///   - depth: what a token's cost depends on.
  package init(growth: Double? = nil, from start: Int = 0, depth: ReadingDepth = ReadingDepth()) {
    self.growth = growth
    depths = depth
    self.start = Double(start)
    last = (Double(start), 0)
  }

  /// Notes that `done` tokens were read `seconds` after the beginning.
  package mutating func add(done: Double, seconds: Double) {
    let done = start + done
    let (tokens, time) = (done - last.done, seconds - last.seconds)
    guard tokens > 0, time >= Self.leastPiece else { return }
    let middle = depths.sum(from: last.done, to: done) / tokens
    weight += tokens
    depth += tokens * middle
    depthSquared += tokens * (middle * middle + tokens * tokens / 12)
    rates += time
    ratesByDepth += time * middle
    last = (done, seconds)
  }

  /// Tokens a second so far; nil before anything was measured.
  package var rate: Double? { last.seconds > 0 ? (last.done - start) / last.seconds : nil }

  /// Seconds from the last note until `total` tokens are read; nil before anything was measured.
  package func secondsLeft(total: Double) -> Double? {
    guard weight > 0, rates > 0 else { return nil }
    let (a, b) = fit()
    let end = start + total
    let rest = max(0, end - last.done)
    return a * rest + b * depths.sum(from: last.done, to: max(end, last.done))
  }

  /// What was measured; nil before anything was.
  package var law: ReadingLaw? {
    guard weight > 0, rates > 0 else { return nil }
    let (a, b) = fit()
    return ReadingLaw(first: a, growth: b)
  }

  /// The cost of the first token, and by how much each one before a token adds to it; neither is negative.
  private func fit() -> (a: Double, b: Double) {
    guard let growth else { return (rates / weight, 0) }
    let prior = Self.priorTokens * Self.priorTokens * Self.priorTokens / 12
    let (aa, ab) = (weight + prior * growth * growth, depth - prior * growth)
    let bb = depthSquared + prior
    let determinant = aa * bb - ab * ab
    let a = (rates * bb - ratesByDepth * ab) / determinant
    let b = (ratesByDepth * aa - rates * ab) / determinant
    // Where one would be negative, it is zero and the other one is fitted alone.
    if a < 0 { return (0, ratesByDepth / bb) }
    return b > 0 ? (a, b) : (rates / weight, 0)
  }

  /// How long a multiply-add of attention takes, compared with one of quantized weights by vector instructions and by a
  /// matrix unit, about (SmolLM2, Qwen2.5).
  private static let attentionCost = (vectors: 0.35, matrixUnit: 1.5)

  /// What a model's shape tells of its growth: multiply-adds of attention for one more key, as a share of those of the
  /// weights.
  ///
  /// - Parameter hasMatrixUnit: whether the host's products with weights are made by one.
  package static func expectedGrowth(
    _ model: ModelDescription, hasMatrixUnit: Bool = HostProcessor.hasMatrixUnit
  ) -> Double? {
    let attention = zip(model.headCounts, model.kvHeadCounts).reduce(0.0) { sum, heads in
      sum + (heads.1 > 0 ? Double(heads.0 * (model.keyHeadDimension + model.valueHeadDimension)) : 0)
    }
    // The table of embeddings is looked up, not multiplied with, but for the last token of a text.
    let weights = Double(model.parameterCount - model.vocabularySize * model.embeddingWidth)
    guard attention > 0, weights > 0 else { return nil }
    return attention / weights * (hasMatrixUnit ? attentionCost.matrixUnit : attentionCost.vectors)
  }
}
