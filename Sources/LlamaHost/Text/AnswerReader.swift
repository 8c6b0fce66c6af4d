// Answers taken apart while they grow.

import Foundation

/// What came to an answer: more of its text, of its thoughts, of its calls.
public struct AnswerChange: Sendable, Hashable {
  /// More of a call.
  public struct Call: Sendable, Hashable {
    /// Which of the answer's calls.
    public var index: Int
    /// With a call's first piece alone.
    public var id, name: String?
    /// More of the text of its arguments.
    public var arguments: String

    /// A piece of a call.
    public init(index: Int, id: String? = nil, name: String? = nil, arguments: String = "") {
      self.index = index
      self.id = id
      self.name = name
      self.arguments = arguments
    }
  }

  /// More for whoever asked.
  public var content = ""
  /// More of what the model thinks.
  public var reasoning = ""
  /// More of what it asks for.
  public var calls: [Call] = []

  /// Nothing new.
  public init() {}

  /// Whether nothing is new.
  public var isEmpty: Bool { content.isEmpty && reasoning.isEmpty && calls.isEmpty }
}

/// Takes an answer apart piece by piece: what it gives, joined, is what the whole answer says.
///
/// The text is looked at as a whole each time, in shares of the time that passes: a long answer is told in larger
/// pieces.
public struct AnswerReader: Sendable {
  private let format: ChatFormat
  private var text = ""
  /// What was told.
  private var told = ChatAnswer()
  private let beginning: ChatAnswer
  private var lastLook = ContinuousClock.now
  private var cost = Duration.zero

  /// Of an answer that begins.
  public init(_ format: ChatFormat) {
    self.format = format
    // What the prompt has of the answer already is not told again.
    told = format.parse("", isPartial: true) ?? ChatAnswer()
    beginning = told
  }

  /// Whether the answer asks for a tool.
  public var hasCalls: Bool { !told.calls.isEmpty }

  /// Takes more of the answer's text.
  ///
  /// - Parameter isLast: nothing follows.
  public mutating func append(_ more: String, isLast: Bool = false) -> AnswerChange {
    text += more
    let now = ContinuousClock.now
    guard isLast || lastLook + cost * 8 <= now else { return AnswerChange() }
    let answer = answer(isLast: isLast)
    cost = ContinuousClock.now - now
    lastLook = now
    return change(to: answer, isLast: isLast)
  }

  private func answer(isLast: Bool) -> ChatAnswer {
    if let answer = format.parse(text, isPartial: !isLast) { return answer }
    if isLast {
      // Cut off in the middle of a call, or no answer in this form.
      if let answer = format.parse(text, isPartial: true), answer != beginning { return answer }
      if told == beginning {
        var plain = beginning
        plain.content += text
        return plain
      }
    }
    return told
  }

  private mutating func change(to answer: ChatAnswer, isLast: Bool) -> AnswerChange {
    var change = AnswerChange()
    change.reasoning = Self.more(&told.reasoning, answer.reasoning)
    change.content = Self.more(&told.content, answer.content)
    for (index, call) in answer.calls.enumerated() {
      let isKnown = index < told.calls.count
      // A name may still grow while there is nothing behind it.
      guard isKnown || isLast || !call.arguments.isEmpty || index + 1 < answer.calls.count else { break }
      guard isKnown || !call.name.isEmpty else { break }
      var piece = AnswerChange.Call(index: index)
      if !isKnown {
        let id = call.id.isEmpty ? Self.identifier() : call.id
        piece.id = id
        piece.name = call.name
        told.calls.append(ToolCall(id: id, name: call.name, arguments: ""))
      }
      piece.arguments = Self.more(&told.calls[index].arguments, call.arguments)
      if isLast, told.calls[index].arguments.isEmpty {
        piece.arguments = "{}"
        told.calls[index].arguments = "{}"
      }
      if !isKnown || !piece.arguments.isEmpty { change.calls.append(piece) }
    }
    return change
  }

  /// What a text has more than what was told of it; nothing where it is another one.
  private static func more(_ told: inout String, _ text: String) -> String {
    let (old, new) = (told.utf8, text.utf8)
    guard new.count > old.count, new.starts(with: old) else { return "" }
    defer { told = text }
    return String(decoding: Array(new.dropFirst(old.count)), as: UTF8.self)
  }

  private static func identifier() -> String {
    "call_" + UUID().uuidString.replacingOccurrences(of: "-", with: "").lowercased().prefix(24)
  }
}
