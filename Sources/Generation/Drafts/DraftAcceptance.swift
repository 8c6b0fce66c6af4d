// How many drafts are worth checking, learned from those that were checked.

import LlamaHost

/// Counts how often drafts were right, in classes of drafts that are equally likely to be.
///
/// It does not look at the clock: the same text is drafted in the same way in every run on one machine.
struct DraftAcceptance {
  /// `[classes]`: drafts that were looked at, those right among them; older ones count less and less.
  private var tried: [Double]
  private var right: [Double]
  private let costOfDraft: Double

  /// What a draft costs, of what a step of one token costs: weights are read once for all, sums are computed for each,
  /// which takes longer where the host has no matrix unit to compute them.
  static let defaultCost = HostProcessor.hasMatrixUnit ? 0.2 : 0.35
  /// The same of a step that has drafts at all.
  private static let costOfDrafting = 0.1
  /// Weight of what is expected before anything was seen.
  private static let prior = 4.0
  /// What counts of the past with each new draft.
  private static let memory = 0.97

  /// - Parameter expected: how often drafts of each class are expected to be right, 0...1.
  init(expected: [Double], costOfDraft: Double = defaultCost) {
    self.costOfDraft = costOfDraft
    tried = Array(repeating: Self.prior, count: expected.count)
    right = expected.map { $0 * Self.prior }
  }

  func probability(_ kind: Int) -> Double { right[kind] / tried[kind] }

  /// Takes note of `right` drafts in a row, which a wrong one followed or none.
  mutating func note(_ kind: Int, right count: Int, wasWrong: Bool) {
    for isRight in repeatElement(true, count: count) + (wasWrong ? [false] : []) {
      tried[kind] = tried[kind] * Self.memory + 1
      right[kind] = right[kind] * Self.memory + (isRight ? 1 : 0)
    }
  }

  /// How many drafts give most tokens for what they cost, at most `most`; 0 when none is worth it.
  ///
  /// - Parameter making: what it costs to make a draft, of what a step costs.
  func length(_ kind: Int, most: Int, making: Double = 0) -> Int {
    let p = probability(kind)
    var (best, bestRate) = (0, 1.0)
    var (tokens, chance) = (1.0, 1.0)
    for count in stride(from: 1, through: most, by: 1) {
      chance *= p
      tokens += chance
      let rate = tokens / (1 + Self.costOfDrafting + Double(count) * (costOfDraft + making))
      if rate > bestRate { (best, bestRate) = (count, rate) }
    }
    return best
  }
}

/// What drafts have brought.
public struct DraftStatistics: Sendable, Hashable, Codable {
  /// Drafts that were checked.
  public var proposed = 0
  /// Those among them that became part of the answer.
  public var accepted = 0
  /// Evaluations of the model for generated tokens.
  public var steps = 0

  public init() {}

  /// Adds what another answer's drafts have brought.
  public static func += (sum: inout DraftStatistics, other: DraftStatistics) {
    sum.proposed += other.proposed
    sum.accepted += other.accepted
    sum.steps += other.steps
  }
}
