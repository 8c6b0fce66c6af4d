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

  public internal(set) var place = Place.start
  /// No template: texts follow each other, with empty lines between them.
  public let isRaw: Bool
  /// Text after the last document that becomes tokens together with what follows.
  var openText = ""
  /// Where in the context the template's text in front of the last answer begins, if that is known and tokens can be
  /// changed from there on.
  var answerStart: Int?
  /// The form of the answer to what was asked last; nil where that is a text and nothing else.
  public private(set) var answerFormat: ChatFormat?
  var template: ChatTemplate?
  let tokenizer: Tokenizer

  private static let separator = "\n\n"

  /// The start of a conversation.
  ///
  /// - Parameter raw: no chat template, even if the model has one.
  /// - Throws: the host's errors for a template that cannot be used.
  public init(model: LlamaModel, raw: Bool = false) throws {
    template = raw ? nil : model.chatTemplate
    isRaw = template == nil
    tokenizer = model.tokenizer
    try template?.check()
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
      let opening = try tokenizer.withBOS(tokenizer.tokenize(template?.opening().pieces ?? []))
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
    var opening: [PromptPiece] = []
    if isFirst, let template {
      let (pieces, trimsContent) = try template.opening()
      opening = pieces
      if trimsContent { text = String(text.drop { $0.isWhitespace }) }
    }
    var tokens: [Int32]
    (tokens, openText) = try settled(
      opening + [.content(openText + text + Self.separator)], continuing: !isFirst)
    if isFirst { tokens = tokenizer.withBOS(tokens) }
    place = .documents
    return tokens
  }

  /// Asks something, after which the model is to answer.
  ///
  /// - Returns: the tokens to read; the answer's tokens follow them in the context.
  /// - Throws: ``GenerationError/emptyPrompt`` for a question without text, and the host's errors, of which
  ///   `LlamaError.chatTemplateRewrites` tells that a second question cannot follow the first; nothing has changed
  /// then.
  public mutating func ask(_ question: String) throws -> [Int32] {
    try ask(ChatRequest([ChatMessage(role: .user, content: question)]), isQuestion: true)
  }

  /// Continues with all messages of a conversation, as a client sends them that keeps it itself, after which the model
  /// is to answer.
  ///
  /// System messages in front become the beginning of the first question: documents come before everything, so that all
  /// conversations about them begin alike.
  ///
  /// - Returns: the tokens to read.
  /// - Throws: the host's errors; nothing has changed then.
  public mutating func ask(_ request: ChatRequest) throws -> [Int32] {
    let leading = request.messages.prefix { $0.role == .system }
    var rest = request.messages.dropFirst(leading.count)
    var first = leading.map(\.content)
    if let question = rest.first, question.role != .assistant {
      first.append(question.content)
      rest = rest.dropFirst()
    }
    let question = ChatMessage(role: .user, content: first.joined(separator: Self.separator))
    var request = request
    request.messages = [question] + rest
    return try ask(request, isQuestion: false)
  }

  private mutating func ask(_ request: ChatRequest, isQuestion: Bool) throws -> [Int32] {
    let (pieces, format) = try continuation(request, isQuestion: isQuestion)
    var tokens = try tokenizer.tokenize(pieces, continuing: place != .start)
    answerFormat = format
    if place == .start { tokens = tokenizer.withBOS(tokens) }
    openText = ""
    answerStart = nil
    place = .answer
    return tokens
  }

  /// What messages, of which the first one is the user's, are behind what was read.
  private func continuation(
    _ request: ChatRequest, isQuestion: Bool
  ) throws -> (pieces: [PromptPiece], format: ChatFormat?) {
    var request = request
    var messages = request.messages
    if isQuestion {
      guard !messages[0].content.allSatisfy(\.isWhitespace) else { throw GenerationError.emptyPrompt }
      if !isRaw { messages[0].content = messages[0].content.trimmingCharacters(in: .whitespacesAndNewlines) }
    }
    guard let template else {
      return ([.content((place == .answer ? Self.separator : openText) + plain(messages))], nil)
    }
    switch place {
    case .start:
      request.messages = messages
      return try template.prepare(request)
    case .documents:
      messages[0].content = openText + messages[0].content
      request.messages = messages
      return try template.continuation(of: request, from: 0)
    case .answer:
      guard try template.keepsOpening() else { throw LlamaError.chatTemplateRewrites }
      let earlier = [ChatMessage(role: .user, content: "x"), ChatMessage(role: .assistant, content: "")]
      request.messages = earlier + messages
      return try template.continuation(of: request, from: 1)
    }
  }

  /// Messages without a template, of which the first one is the user's: answers follow questions as they are.
  private func plain(_ messages: [ChatMessage]) -> String {
    var text = messages[0].content
    for message in messages.dropFirst() {
      text += (message.role == .assistant ? "" : Self.separator) + message.content
    }
    return text + (messages.last?.role == .assistant ? Self.separator : "")
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
