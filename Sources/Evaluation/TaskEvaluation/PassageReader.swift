// Which passages of a context an answer came from.

import Evidence
import Generation
import LlamaHost
import RetrievalAttention

/// Finds the passages of answers, in a sample's context.
struct PassageReader {
  let heads: EvidenceHeads
  private let context: String

  init(heads: EvidenceHeads, context: String) {
    self.heads = heads
    self.context = context
  }

  /// Nil where the context is not in the prompt as it is.
  ///
  /// - Parameters:
  ///   - answer: its text and tokens, and where in the context they begin.
  ///   - prompt: the tokens in front of it.
  func passages(
    of answer: GivenAnswer, trace: AttentionTrace, prompt: [Int32], tokenizer: Tokenizer
  ) throws -> [ReadPassage]? {
    let found = AnswerSources([(name: "context", text: context)], in: prompt, tokenizer: tokenizer)
    guard !found.documents.isEmpty else { return nil }
    let evidence = try AnswerEvidence(
      try EvidenceSources(found.documents),
      of: AnswerTrace(
        text: answer.text, tokens: answer.tokens, start: prompt.count, trace: trace, heads: heads,
        tokenizer: tokenizer))
    let length = Double(max(1, context.utf8.count))
    return evidence.citations.sorted { $0.score > $1.score }.map {
      ReadPassage(
        quote: $0.quote, depth: Double($0.documentBytes.lowerBound) / length, score: $0.score)
    }
  }
}
