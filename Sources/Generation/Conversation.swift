// Documents, questions and answers as one growing row of tokens, each turn an exact continuation of what was read.

import Foundation
public import LlamaHost

/// Where in a conversation a context ends, and which tokens continue it.
///
///     var conversation = try Conversation(model: model)
///     let (tokens, documents) = try conversation.read([(name: "alice.txt", text: text)])
///     try session.ingest(tokens, documents: documents)
///     session.attributes.merge(conversation.attributes) { $1 }
///
///     // Another day:
///     var conversation = try Conversation(continuing: session.attributes, model: model)
///     let prompt = try conversation.ask("Who stole the tarts?")
///
/// Documents are the beginning of the user's first message, and the first question is its end, so that one context
/// serves any number of questions. The tokens are those that the whole prompt has when it is tokenized at once, but for
/// questions that start unusually: a document's last token is left to the question where it depends on it.
public struct Conversation: Sendable {
  /// What a context ends with.
  public enum Place: String, Codable, Sendable {
    /// Nothing was said yet.
    case start
    /// Documents, which a question is to follow in the same message.
    case documents
    /// The model's answer, or the place where it is to begin.
    case answer
  }

  public private(set) var place = Place.start
  /// No template: texts follow each other, with empty lines between them.
  public let isRaw: Bool
  /// Text after the last document that becomes tokens together with what follows.
  private var openText = ""
  private let turns: ChatTemplate.Turns
  private let tokenizer: Tokenizer

  private static let separator = "\n\n"

  /// The start of a conversation.
  ///
  /// - Parameter raw: no chat template, even if the model has one.
  /// - Throws: the host's errors for a template that it does not know.
  public init(model: LlamaModel, raw: Bool = false) throws {
    let template = raw ? nil : model.chatTemplate
    isRaw = template == nil
    turns =
      try template?.turns()
      ?? ChatTemplate.Turns(opening: "", answer: "", next: Self.separator, trimsContent: false)
    tokenizer = model.tokenizer
  }

  /// Adds documents before the first question.
  ///
  /// - Returns: the tokens to read, and where in them each document is; documents without text have no tokens.
  /// - Throws: ``GenerationError/documentsAfterQuestion`` when something was asked already,
  ///   ``GenerationError/emptyPrompt`` when there is no text at all, and the host's errors; nothing has changed then.
  public mutating func read(
    _ documents: [(name: String, text: String)]
  ) throws -> (tokens: [Int32], documents: [SessionDocument]) {
    guard place != .answer else { throw GenerationError.documentsAfterQuestion }
    guard !documents.allSatisfy({ $0.text.allSatisfy(\.isWhitespace) }) else {
      throw GenerationError.emptyPrompt
    }
    var next = self
    var tokens: [Int32] = []
    var ranges: [SessionDocument] = []
    for document in documents {
      let start = tokens.count
      tokens += try next.read(document.text)
      ranges.append(
        SessionDocument(name: document.name, firstToken: start, tokenCount: tokens.count - start))
    }
    if place == .start, let first = ranges.first {
      // What the template says before it is not part of the first document.
      let opening = try withBOS(tokenizer.tokenize([.template(turns.opening)]))
      let common = zip(tokens.prefix(first.tokenCount), opening).prefix { $0 == $1 }.count
      ranges[0].firstToken += common
      ranges[0].tokenCount -= common
    }
    self = next
    return (tokens, ranges)
  }

  private mutating func read(_ text: String) throws -> [Int32] {
    let isFirst = place == .start
    var text = text
    if isFirst, turns.trimsContent { text = String(text.drop { $0.isWhitespace }) }
    var pieces: [PromptPiece] = [.content(openText + text + Self.separator)]
    if isFirst { pieces.insert(.template(turns.opening), at: 0) }
    var tokens: [Int32]
    (tokens, openText) = try settled(pieces, continuing: !isFirst)
    if isFirst { tokens = withBOS(tokens) }
    place = .documents
    return tokens
  }

  /// Asks something, after which the model is to answer.
  ///
  /// - Returns: the tokens to read; the answer's tokens follow them in the context.
  /// - Throws: ``GenerationError/emptyPrompt`` for a question without text, and the host's errors; nothing has changed
  ///   then.
  public mutating func ask(_ question: String) throws -> [Int32] {
    guard !question.allSatisfy(\.isWhitespace) else { throw GenerationError.emptyPrompt }
    let question = isRaw ? question : question.trimmingCharacters(in: .whitespacesAndNewlines)
    var pieces: [PromptPiece] = [.content(openText + question), .template(turns.answer)]
    switch place {
    case .start: pieces.insert(.template(turns.opening), at: 0)
    case .documents: break
    case .answer: pieces.insert(.template(turns.next), at: 0)
    }
    var tokens = try tokenizer.tokenize(pieces, continuing: place != .start)
    if place == .start { tokens = withBOS(tokens) }
    openText = ""
    place = .answer
    return tokens
  }

  /// Continues with all messages of a conversation, as a client sends them that keeps it itself, after which the model
  /// is to answer.
  ///
  /// System messages in front become the beginning of the first question: documents come before everything, so that all
  /// conversations about them begin alike.
  ///
  /// - Returns: the tokens to read.
  /// - Throws: the host's errors; nothing has changed then.
  public mutating func ask(_ messages: [ChatMessage]) throws -> [Int32] {
    let leading = messages.prefix { $0.role == .system }
    var rest = messages.dropFirst(leading.count)
    var first = leading.map(\.content)
    if let question = rest.first, question.role != .assistant {
      first.append(question.content)
      rest = rest.dropFirst()
    }
    var pieces: [PromptPiece] = [
      .content(openText + trimmed(first.joined(separator: Self.separator))), .template(turns.answer),
    ]
    switch place {
    case .start: pieces.insert(.template(turns.opening), at: 0)
    case .documents: break
    case .answer: pieces.insert(.template(turns.next), at: 0)
    }
    for message in rest {
      if message.role != .assistant { pieces.append(.template(turns.next)) }
      pieces.append(.content(trimmed(message.content)))
      if message.role != .assistant { pieces.append(.template(turns.answer)) }
    }
    // An answer of the client's own: another one follows it.
    if rest.last?.role == .assistant { pieces += [.template(turns.next), .template(turns.answer)] }
    var tokens = try tokenizer.tokenize(pieces, continuing: place != .start)
    if place == .start { tokens = withBOS(tokens) }
    openText = ""
    place = .answer
    return tokens
  }

  private func trimmed(_ text: String) -> String {
    turns.trimsContent ? text.trimmingCharacters(in: .whitespacesAndNewlines) : text
  }

  private func withBOS(_ tokens: [Int32]) -> [Int32] {
    guard tokenizer.addsBOS, let bos = tokenizer.bos, tokens.first != bos else { return tokens }
    return [bos] + tokens
  }

  /// Beginnings of different kinds: vocabularies cut white space in front of them in different ways.
  private static let probes = ["What", "(", "1"]

  /// The tokens of `pieces` that do not depend on what follows, and the text of the others.
  ///
  /// Found by trying: tokens that are the same before all probes are taken to be the same before everything.
  private func settled(
    _ pieces: [PromptPiece], continuing: Bool
  ) throws -> (tokens: [Int32], openText: String) {
    let whole = try Self.probes.map {
      try tokenizer.tokenize(pieces + [.content($0)], continuing: continuing)
    }
    let common = whole.dropFirst().reduce(whole[0].count) { count, other in
      min(count, zip(whole[0], other).prefix { $0 == $1 }.count)
    }
    let rest = tokenizer.detokenize(whole[0][common...])
    // Else the text is so unusual that its last token has become one with the probe's.
    guard rest.hasSuffix(Self.probes[0]), !rest.contains("\u{FFFD}") else {
      return (try tokenizer.tokenize(pieces, continuing: continuing), "")
    }
    return (Array(whole[0][..<common]), String(rest.dropLast(Self.probes[0].count)))
  }
}

extension Conversation {
  private struct State: Codable {
    var place: Place
    var raw: Bool
    var open: String
  }

  private static let attribute = "conversation"

  /// What to keep with a session, in ``Session/attributes``, to continue from there.
  public var attributes: [String: String] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    let state = State(place: place, raw: isRaw, open: openText)
    // Strings and a flag can always be encoded.
    guard let data = try? encoder.encode(state) else { return [:] }
    return [Self.attribute: String(decoding: data, as: UTF8.self)]
  }

  /// Goes on where ``attributes`` were taken.
  ///
  /// - Throws: ``GenerationError/unknownConversation(_:)`` when they hold none that this version understands.
  public init(continuing attributes: [String: String], model: LlamaModel) throws {
    let text = attributes[Self.attribute] ?? ""
    guard let state = try? JSONDecoder().decode(State.self, from: Data(text.utf8)) else {
      throw GenerationError.unknownConversation(text)
    }
    try self.init(model: model, raw: state.raw)
    place = state.place
    openText = state.open
  }
}
