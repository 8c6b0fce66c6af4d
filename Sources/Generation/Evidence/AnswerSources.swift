// From what an answer's tokens attended to, to what finds its passages.

public import Evidence
public import LlamaHost
public import RetrievalAttention

/// Documents in a context, in which passages are found.
public struct AnswerSources: Sendable {
  /// Those that are found in the context as they are.
  public let documents: [SourceDocument]
  /// Numbers of those that are not, as where a template has changed them.
  public let missing: [Int]

  /// Takes documents from a context's tokens, each without its name above it.
  public init(_ ranges: [SessionDocument], in tokens: [Int32], tokenizer: Tokenizer) {
    let context = ContextText(tokens: tokens, tokenizer: tokenizer)
    var (documents, missing): ([SourceDocument], [Int]) = ([], [])
    for (number, range) in ranges.enumerated() {
      let text = context.text(of: range.tokens.clamped(to: tokens.indices))
      let title = "File: \(range.name)\n"
      let body = text.hasPrefix(title) ? String(text.dropFirst(title.count)) : text
      guard let place = context.place(of: body, from: context.offsets[min(range.firstToken, tokens.count)]),
        let document = try? SourceDocument(
          name: range.name, text: body, firstPosition: place.tokens.lowerBound, tokenOffsets: place.offsets)
      else {
        missing.append(number)
        continue
      }
      documents.append(document)
    }
    (self.documents, self.missing) = (documents, missing)
  }

  /// Finds documents among tokens, in their order.
  ///
  /// - Parameters:
  ///   - texts: names and texts as they were given.
  ///   - tokens: of the context.
  public init(_ texts: [(name: String, text: String)], in tokens: [Int32], tokenizer: Tokenizer) {
    let context = ContextText(tokens: tokens, tokenizer: tokenizer)
    var (documents, missing): ([SourceDocument], [Int]) = ([], [])
    var start = 0
    for (number, (name, text)) in texts.enumerated() {
      guard let place = context.place(of: text, from: start) ?? context.place(of: text),
        let document = try? SourceDocument(
          name: name, text: text, firstPosition: place.tokens.lowerBound, tokenOffsets: place.offsets)
      else {
        missing.append(number)
        continue
      }
      start = context.offsets[place.tokens.upperBound]
      documents.append(document)
    }
    (self.documents, self.missing) = (documents, missing)
  }
}

extension TextGenerator.Result {
  /// What the answer's tokens attended to, in the form that passages are found from.
  ///
  /// - Parameters:
  ///   - trace: had the answer's tokens and the prompt's last ones.
  ///   - heads: those that the trace is of.
  ///   - question: positions of the question's tokens; nil where they are not known.
  public func evidenceTrace(
    _ trace: AttentionTrace, heads: EvidenceHeads, question: Range<Int>?, tokenizer: Tokenizer
  ) -> AnswerTrace {
    AnswerTrace(
      text: text, tokens: tokens, start: answerStart, question: question, trace: trace, heads: heads,
      tokenizer: tokenizer)
  }
}

extension AnswerTrace {
  /// What the tokens of an answer attended to.
  ///
  /// - Parameters:
  ///   - text: the answer without what its form has around it: thoughts, marks.
  ///   - tokens: all that were generated.
  ///   - start: position of the first one in the context.
  ///   - question: positions of the question's tokens; nil where they are not known.
  public init(
    text: String, tokens: [Int32], start: Int, question: Range<Int>? = nil, trace: AttentionTrace,
    heads: EvidenceHeads, tokenizer: Tokenizer
  ) {
    /// The step that chooses a token is that of the one in front of it.
    func weights(choosing position: Int) -> [[PositionWeight]] { weights(of: position - 1) }
    func weights(of position: Int) -> [[PositionWeight]] {
      var byHead = [[PositionWeight]](repeating: [], count: heads.entries.count)
      for weight in trace.weights(of: position) where byHead.indices.contains(weight.head) {
        byHead[weight.head].append(
          PositionWeight(position: UInt32(weight.position), weight: weight.weight))
      }
      return byHead
    }
    let context = ContextText(tokens: tokens, tokenizer: tokenizer)
    let count = text.utf8.count
    var traced: [AnswerTrace.Token] = []
    if let shift = context.lastPlace(of: text) {
      for number in tokens.indices {
        let (begin, end) = (context.offsets[number] - shift, context.offsets[number + 1] - shift)
        guard end > 0, begin < count else { continue }
        traced.append(
          .init(bytes: max(0, begin)..<min(count, end), weights: weights(choosing: start + number)))
      }
    }
    let background = (1..<AttentionTrace.templateTokens).map { weights(choosing: start - $0) }
    self.init(
      text: text, headWeights: heads.entries.map(\.weight), tokens: traced,
      background: background.filter { !$0.allSatisfy(\.isEmpty) },
      question: (question ?? 0..<0).map(weights(of:)).filter { !$0.allSatisfy(\.isEmpty) })
  }
}
