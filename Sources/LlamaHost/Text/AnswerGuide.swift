// Where in an answer a model is: in its thoughts, in a tool call, or in neither.

/// Follows the text of an answer that has a format. Not for use by two threads at once.
final class AnswerGuide {
  private let format: ChatFormat
  private let tokenizer: Tokenizer
  /// Control tokens that belong to the text.
  let preserved: [Int32: [UInt8]]
  private let budget: Int?
  /// The beginning of the answer that the prompt ends with, and the answer.
  private var text: [UInt8]
  /// Where the grammar's trigger is looked for: behind the thoughts.
  private var searchStart: Int
  private var isThinking = false
  private var thoughtTokens = 0
  /// The end of thoughts that have become too many, token by token, the next one last.
  private var forced: [Int32] = []
  private let starts, ends: [[UInt8]]
  private(set) var isTriggered: Bool

  init(_ format: ChatFormat, budget: Int?, tokenizer: Tokenizer) {
    self.format = format
    self.tokenizer = tokenizer
    self.budget = budget
    preserved = format.preservedTokens(tokenizer)
    let opening = Array(format.description.generationPrompt.utf8)
    starts = [Array(format.description.thinkingStart.utf8)].filter { !$0.isEmpty }
    ends = format.description.thinkingEnds.map { Array($0.utf8) }.filter { !$0.isEmpty }
    text = []
    isTriggered = !format.isLazy
    searchStart = opening.count
    append(opening)
    searchStart = max(searchStart, opening.count)
  }

  /// At the beginning of another answer.
  var restarted: AnswerGuide { AnswerGuide(format, budget: budget, tokenizer: tokenizer) }

  /// The token that has to come next; nil where the model chooses.
  var forcedToken: Int32? { forced.last }

  /// The bytes of a token in an answer of this format.
  func bytes(of token: Int32) -> [UInt8] { preserved[token] ?? tokenizer.bytes(of: token) }

  /// Takes a token that has become part of the answer.
  ///
  /// - Returns: the text that the grammar has to follow from its beginning, when this token begins it.
  func take(_ token: Int32) -> [UInt8]? {
    if forced.last == token { forced.removeLast() }
    append(bytes(of: token))
    if isThinking {
      thoughtTokens += 1
      forceEnd()
      return nil
    }
    guard !isTriggered, let place = format.grammarStart(in: text[searchStart...]) else { return nil }
    isTriggered = true
    return Array(text[(searchStart + place)...])
  }

  private func append(_ bytes: [UInt8]) {
    // A tag may have begun before.
    let longest = (starts + ends).reduce(0) { max($0, $1.count) }
    let from = max(0, text.count - longest)
    text += bytes
    let marks = isThinking ? ends : starts
    guard let end = marks.compactMap({ Self.end(of: $0, in: text[from...]) }).min() else { return }
    isThinking.toggle()
    if !isThinking {
      searchStart = end
      forced = []
    }
  }

  private func forceEnd() {
    guard let budget, thoughtTokens >= budget, forced.isEmpty,
      let end = format.description.thinkingEnds.first,
      // Not inside a character.
      String(validating: text, as: UTF8.self) != nil
    else { return }
    forced = ((try? tokenizer.tokenize(end, addSpecial: false, parseSpecial: true)) ?? []).reversed()
  }

  private static func end(of mark: [UInt8], in bytes: ArraySlice<UInt8>) -> Int? {
    guard bytes.count >= mark.count else { return nil }
    let last = bytes.endIndex - mark.count
    for start in bytes.startIndex...last where bytes[start..<start + mark.count].elementsEqual(mark) {
      return start + mark.count
    }
    return nil
  }
}
