// Going back in a conversation, and reading on the way.

import Documents
import Foundation
import Generation
import LlamaHost

extension ChatWorker {
  /// What follows a command.
  enum Step: Sendable {
    case next, end
    /// A message that is to be answered.
    case answer(String)
  }

  /// A place in the conversation.
  struct Place: Sendable {
    var conversation: Conversation
    var tokens: [Int32]
  }

  /// A question that was answered.
  struct Turn: Sendable {
    var before: Place
    var message: String
    /// What stood in front of it.
    var pendingText: PromptDocuments?
  }

  var place: Place? { chat.map { Place(conversation: $0.conversation, tokens: $0.tokens) } }

  /// Makes the context what it was. Models with recurrent layers read what is behind their last copy of the states.
  func goBack(to place: Place) throws {
    guard let runner = chat?.runner else { preconditionFailure("not opened") }
    lastAnswer = nil
    // One more token, since the last one of a prompt is never kept.
    _ = try runner.keepPrefix(of: place.tokens + [0])
    try read(place.tokens[runner.tokenCount...], of: "reading again")
    chat = Chat(runner: runner, conversation: place.conversation)
    // Documents that were read behind it are gone.
    ranges.removeAll { $0.tokens.upperBound > place.tokens.count }
    session?.documents = ranges
  }

  private func read(_ tokens: ArraySlice<Int32>, of name: String) throws {
    guard let runner = chat?.runner, !tokens.isEmpty else { return }
    defer { console.clear() }
    _ = try runner.prefill(Array(tokens)) {
      self.console.progress(name, done: $0, total: tokens.count, unit: "tokens")
    }
  }

  func undo() throws {
    guard let turn = turns.last else { return console.note("nothing was said in this run") }
    try goBack(to: turn.before)
    turns.removeLast()
    pendingText = turn.pendingText
    try keepTurn()
    console.note("took back: \(turn.message.prefix(60))")
  }

  func retry() throws -> Step {
    guard let turn = turns.last else {
      console.note("nothing was said in this run")
      return .next
    }
    try goBack(to: turn.before)
    turns.removeLast()
    pendingText = turn.pendingText
    if command.sampling.temperature == 0 {
      console.note("(the most probable answer does not change; --temperature 0.7 makes others)")
    }
    return .answer(turn.message)
  }

  /// The passages that the last answer came from, whether or not it was asked for them.
  func showSources() throws {
    guard let chat else { preconditionFailure("not opened") }
    guard let lastAnswer else { return console.note("nothing was answered in this run") }
    guard !ranges.isEmpty else { return console.note("no documents were read: /read FILE reads some") }
    guard
      var recorder = try command.evidence.makeRecorder(
        for: chat.runner, judges: !lastAnswer.isFollowUp, console)
    else { return }
    let found = try recorder.findAgain(
      lastAnswer.result, documents: ranges, question: lastAnswer.question, console)
    if found.isJudgedAway { return }
    console.note(
      found.evidence.citations.isEmpty
        ? "no passage stands out that the answer came from"
        : found.text.trimmingCharacters(in: .newlines))
  }

  func clear() throws {
    guard let base else { return }
    try goBack(to: base)
    turns = []
    pendingText = nil
    try keepTurn()
    console.note("back to the beginning of this run: \(formatTokens(base.tokens.count))")
  }

  func setSystem(_ text: String?) throws {
    guard let chat, !chat.conversation.isRaw else {
      return console.note("the model has no chat template, and so no system message")
    }
    if let session, !session.documents.isEmpty {
      return console.note(
        "the session's documents were read behind another system message; 'ra ingest --system' sets one")
    }
    let next = try chat.conversation.restarted(systemPrompt: text)
    try goBack(to: Place(conversation: next, tokens: []))
    turns = []
    pendingText = nil
    if !documents.elements.isEmpty { try read(documents) }
    base = place
    try keepTurn()
    console.note(
      text == nil ? "the template's own system message, and a new conversation" : "a new conversation begins")
  }

  /// Reads documents: in front of the first question at once, else together with the next one.
  func read(_ names: String?) throws {
    guard let names else { return console.note("give a file, a folder or a pattern: /read FILE") }
    let words = DocumentReader.isDocument(names) ? [names] : names.split(separator: " ").map(String.init)
    let found = try command.documentOptions.found(words, console)
    let isFirst = chat?.conversation.place != .answer
    let end = isFirst ? documents.elements.last?.range.upperBound ?? 0 : 0
    var added = isFirst ? PromptDocuments(startingAt: end) : pendingText ?? PromptDocuments()
    for document in found { added.append(name: document.name, path: document.path, text: document.text) }
    guard isFirst else {
      pendingText = added
      return console.note("\(added.title) will be read with the next message")
    }
    try read(added)
    for document in found { documents.append(name: document.name, path: document.path, text: document.text) }
    base = place
    try keepTurn()
  }

  private func read(_ added: PromptDocuments) throws {
    guard let chat, let before = place else { preconditionFailure("not opened") }
    var next = chat.conversation
    let (tokens, ranges) = try next.read(added)
    try checkRoom(tokens: chat.tokens.count + tokens.count)
    console.note("reading \(added.title): \(formatTokens(tokens.count))")
    do {
      try read((chat.tokens + tokens)[chat.runner.tokenCount...], of: "reading")
    } catch {
      try goBack(to: before)
      throw error
    }
    let shifted = ranges.map {
      SessionDocument(
        name: $0.name, firstToken: before.tokens.count + $0.firstToken, tokenCount: $0.tokenCount,
        contents: $0.contents)
    }
    self.ranges += shifted
    session?.documents = self.ranges
    self.chat = Chat(runner: chat.runner, conversation: next)
  }
}
