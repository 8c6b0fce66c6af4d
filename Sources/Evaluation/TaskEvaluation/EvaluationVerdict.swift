// What an evaluation says, in a sentence for each attention.

public import Evidence
import Foundation

/// An attention beside the one that computes everything, over the questions that both answered.
public struct EvaluationVerdict: Sendable, Codable {
  /// How much the answers tell.
  public enum Finding: String, Sendable, Codable {
    /// The interval of the difference holds zero, and no loss of more than five points.
    case same
    /// The interval is above, or below, zero.
    case better, worse
    /// The interval holds zero, and losses that matter.
    case open
    /// Too few questions for an interval.
    case tooFew
  }

  /// The attention's name, and the reference's: `exact`, or `host` where that was not evaluated.
  public var attention, reference: String
  /// Mean scores over the questions that both answered.
  public var score, referenceScore: Double
  /// Of the attention's score less the reference's, question by question.
  public var difference: BootstrapMean
  public var finding: Finding
  /// Bytes that a decode step read, as a share of the reference's; nil where one of them tells none.
  public var bytes: Double?

  /// Fewer questions tell nothing.
  static let leastQuestions = 20
  /// A larger loss matters.
  static let tolerated = 0.05

  /// Nil for the reference itself, and where no question has both answers.
  init?(_ attention: String, reference: String, _ results: EvaluationResults) {
    guard attention != reference else { return nil }
    var references: [EvaluationKey: AnswerRecord] = [:]
    for answer in results.answers where answer.attention == reference { references[answer.key] = answer }
    let pairs = results.answers.compactMap { answer -> (AnswerRecord, AnswerRecord)? in
      guard answer.attention == attention else { return nil }
      var twin = answer
      twin.attention = reference
      return references[twin.key].map { (answer, $0) }
    }
    guard let difference = BootstrapMean(pairs.map { $0.score - $1.score }) else { return nil }
    let mean = { (values: [Double]) in values.isEmpty ? nil : values.reduce(0, +) / Double(values.count) }
    self.attention = attention
    self.reference = reference
    score = mean(pairs.map(\.0.score)) ?? 0
    referenceScore = mean(pairs.map(\.1.score)) ?? 0
    self.difference = difference
    if let own = mean(pairs.compactMap(\.0.bytesPerToken)),
      let theirs = mean(pairs.compactMap(\.1.bytesPerToken)), theirs > 0
    {
      bytes = own / theirs
    }
    finding =
      pairs.count < Self.leastQuestions
      ? .tooFew
      : difference.high < 0
        ? .worse
        : difference.low > 0 ? .better : difference.low >= -Self.tolerated ? .same : .open
  }

  /// The verdict in words.
  public var sentence: String {
    let scores = String(
      format: "%.3f against %.3f on %d question%@", score, referenceScore, difference.count,
      difference.count == 1 ? "" : "s")
    let interval = String(
      format: "difference %+.3f, 95 %% interval %+.3f to %+.3f", difference.mean, difference.low,
      difference.high)
    let reading = bytes.map { String(format: ", reading %.1f %% of the bytes", $0 * 100) } ?? ""
    switch finding {
    case .same: return "\(attention) answers as \(reference) does (\(scores); \(interval))\(reading)."
    case .better: return "\(attention) answers better than \(reference) (\(scores); \(interval))\(reading)."
    case .worse: return "\(attention) answers worse than \(reference) (\(scores); \(interval))\(reading)."
    case .open:
      return """
        Whether \(attention) answers as \(reference) does, these questions do not tell (\(scores); \(interval))\
        \(reading).
        """
    case .tooFew:
      return """
        Too few questions to judge \(attention) by (\(scores); at least \(Self.leastQuestions) make a verdict)\(reading).
        """
    }
  }
}

extension EvaluationSummary {
  /// The attention that computes everything; nil where none was evaluated.
  static func reference(of attentions: [String]) -> String? {
    ["exact", "host"].first(where: attentions.contains)
  }
}
