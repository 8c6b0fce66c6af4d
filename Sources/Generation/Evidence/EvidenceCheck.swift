// Whether an answer needs the passages that it is said to come from: what it is worth without them.

public import Evidence
import Foundation
import LlamaHost
public import RetrievalAttention

/// Hides passages and asks how probable the answer is then (leave-one-out, as in ContextCite, arXiv 2409.00729).
///
/// Only question and answer are read again, by exact attention: keys and values of the document stay as they are, those
/// of later tokens that have read the passage among them. So what is measured is what these look up.
public final class EvidenceCheck {
  /// What a citation is worth.
  public struct Outcome: Sendable, Hashable, Codable {
    /// Nats of the sentence's log-probability that go when the passage is hidden.
    public var loss: Double
    /// The same for passages of equal length elsewhere: their mean, and the largest.
    public var elsewhere: Double
    public var mostElsewhere: Double
    /// Whether the sentence needs the passage.
    public var isNeeded: Bool
  }

  private let runner: GuestRunner
  private let answer: [Int32]
  private let start: Int
  /// The tokens from the question's first one, or the one before the answer, to the answer.
  private let asked: [Int32]

  /// A loss below this is rounding and chance.
  private static let leastLoss = 0.2
  /// Passages elsewhere that a loss is compared with.
  private static let comparisons = 3
  /// Tokens that are read at once.
  private static let batch = 16

  /// - Parameters:
  ///   - runner: whose context has the answer in it; it stays as it is.
  ///   - answer: the answer's tokens.
  ///   - start: position of the first one.
  ///   - question: positions of the question's tokens; nil where they are not to be read again.
  /// - Throws: what forking and going back throw, as when the answer is in the index already.
  public init(_ runner: GuestRunner, answer: [Int32], start: Int, question: Range<Int>? = nil) throws {
    self.runner = try runner.fork()
    self.answer = answer
    self.start = start
    // The token before the answer is read again for its logits.
    let last = start - 1
    var first = max(0, min(question?.lowerBound ?? last, last))
    do {
      try self.runner.truncate(to: min(self.runner.tokenCount, first))
    } catch  where first < last {
      // The question has left a short window.
      first = last
      try self.runner.truncate(to: min(self.runner.tokenCount, first))
    }
    asked = Array(runner.tokens[first..<start])
  }

  /// Log-probabilities of the answer's tokens without some positions, in nats.
  public func logProbabilities(hiding hidden: [Range<Int>]) throws -> [Double] {
    runner.options.hidden = hidden
    defer { runner.options.hidden = [] }
    var sums: [Double] = []
    let tokens = asked + answer
    var done = 0
    while done < tokens.count - 1 {
      let batch = Array(tokens[done..<min(tokens.count - 1, done + Self.batch)])
      let logits = try runner.check(batch)
      for row in batch.indices where done + row >= asked.count - 1 {
        sums.append(Self.logProbability(of: tokens[done + row + 1], logits[row]))
      }
      done += batch.count
    }
    try runner.truncate(to: start - asked.count)
    return sums
  }

  /// What the answer's tokens attend to, by exact attention: for an answer that nobody took note of.
  public func trace(_ heads: EvidenceHeads) throws -> AttentionTrace {
    let trace = heads.makeTrace()
    runner.options.trace = trace
    defer { runner.options.trace = nil }
    _ = try logProbabilities(hiding: [])
    return trace
  }

  private static func logProbability(of token: Int32, _ row: LogitRow) -> Double {
    let highest = Double(row.max() ?? 0)
    let sum = row.reduce(0.0) { $0 + exp(Double($1) - highest) }
    return Double(row[Int(token)]) - highest - log(sum)
  }

  /// Checks a citation against passages of as many tokens in the same document.
  ///
  /// - Parameters:
  ///   - cited: positions of the passage.
  ///   - others: positions of the answer's other passages.
  ///   - document: positions of the document.
  ///   - sentence: the sentence's tokens, counted from the answer's first.
  ///   - whole: log-probabilities with nothing hidden.
  public func check(
    _ cited: Range<Int>, besides others: [Range<Int>], in document: Range<Int>, sentence: Range<Int>,
    whole: [Double]
  ) throws -> Outcome {
    func loss(_ hidden: Range<Int>) throws -> Double {
      let without = try logProbabilities(hiding: [hidden])
      return sentence.reduce(0) { $0 + whole[$1] - without[$1] }
    }
    let found = try loss(cited)
    var losses: [Double] = []
    for number in 1...Self.comparisons {
      // Evenly over the document, where the passage is not.
      let room = max(1, document.count - cited.count)
      let first =
        document.lowerBound
        + (cited.lowerBound - document.lowerBound + room * number / (Self.comparisons + 1)) % room
      let other = first..<min(document.upperBound, first + cited.count)
      // What the answer needs as well is no comparison.
      guard !other.isEmpty, !other.overlaps(cited), !others.contains(where: other.overlaps) else { continue }
      losses.append(try loss(other))
    }
    let most = losses.max() ?? 0
    return Outcome(
      loss: found, elsewhere: losses.isEmpty ? 0 : losses.reduce(0, +) / Double(losses.count),
      mostElsewhere: most, isNeeded: found >= Self.leastLoss && found > 2 * max(0, most))
  }
}

extension AnswerEvidence {
  /// The same without citations that the answer does not need.
  ///
  /// - Parameters:
  ///   - trace: which tokens each sentence has.
  ///   - onProgress: told citations checked, of how many.
  /// - Returns: what is left, and what each citation was found to be worth, in their order.
  public func checked(
    _ check: EvidenceCheck, sources: EvidenceSources, trace: AnswerTrace,
    onProgress: (_ done: Int, _ total: Int) -> Void
  ) throws -> (evidence: AnswerEvidence, outcomes: [EvidenceCheck.Outcome]) {
    let whole = try check.logProbabilities(hiding: [])
    let total = citations.count
    var outcomes: [EvidenceCheck.Outcome] = []
    var result = self
    for index in result.sentences.indices {
      let bytes = result.sentences[index].answerBytes
      let tokens = trace.tokens.indices.filter { trace.tokens[$0].bytes.overlaps(bytes) }
      guard let first = tokens.first, let last = tokens.last, last < whole.count else { continue }
      let needed = try result.sentences[index].citations.filter { citation in
        onProgress(outcomes.count, total)
        let document = sources.documents[citation.document]
        let others = citations.filter { $0 != citation && $0.document == citation.document }
        let outcome = try check.check(
          document.positions(of: citation.documentBytes),
          besides: others.map { document.positions(of: $0.documentBytes) }, in: document.positions,
          sentence: first..<last + 1,
          whole: whole)
        outcomes.append(outcome)
        return outcome.isNeeded
      }
      result.sentences[index].citations = needed
    }
    onProgress(total, total)
    return (result, outcomes)
  }
}

extension SourceDocument {
  /// Positions of the tokens that have some of the bytes.
  func positions(of bytes: Range<Int>) -> Range<Int> {
    let tokens = (0..<tokenOffsets.count - 1).filter {
      tokenOffsets[$0] < bytes.upperBound && tokenOffsets[$0 + 1] > bytes.lowerBound
    }
    let first = tokens.first ?? 0
    return firstPosition + first..<firstPosition + (tokens.last.map { $0 + 1 } ?? first)
  }
}
