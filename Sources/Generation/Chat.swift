// Question after question to one context.

public import LlamaHost
public import RetrievalAttention

/// A conversation in a context that grows with every question and answer.
///
///     let chat = Chat(runner: runner, conversation: try Conversation(model: model))
///     let result = try chat.ask("Who are you?", maximumTokens: 256) { format in
///       try Sampler(settings: settings, model: model, format: format)
///     } onEvent: { event in ... }
///
/// Only what is new is read for a question. Not thread-safe, as its runner is not.
public final class Chat {
  public let runner: any SequenceRunner
  public private(set) var conversation: Conversation
  /// The tokens said so far. The context lacks the last ones when an answer was cut off, since a token is read only to
  /// generate the next one.
  public private(set) var tokens: [Int32]
  /// Whether several tokens of an answer are read at once where they can be foreseen.
  public var drafting = Drafting.text
  /// Whether answers end that go in circles; see ``TextGenerator/stopsAtRepetition``.
  public var stopsAtRepetition = false
  /// Takes note of what the tokens of answers attend to.
  public var trace: AttentionTrace?
  /// Questions answered so far.
  public private(set) var turnCount = 0

  /// Goes on where `conversation` is, with a context that ends there.
  public init(runner: any SequenceRunner, conversation: Conversation) {
    self.runner = runner
    self.conversation = conversation
    tokens = runner.tokens
  }

  /// All tokens that the context has when a question is read, to know their number in advance. They begin like
  /// ``tokens``.
  public func prompt(for question: String) throws -> [Int32] {
    var next = conversation
    return try ask(question, &next)
  }

  private func ask(_ question: String, _ conversation: inout Conversation) throws -> [Int32] {
    var other = conversation
    let whole = try other.ask(question, following: tokens)
    // The last answer stays as it was said where the context cannot go back to its beginning, or far behind it alone.
    let common = zip(tokens, whole).prefix { $0 == $1 }.count
    let context = common < runner.tokenCount ? (runner as? GuestRunner)?.context : nil
    let place = context.map { $0.returnPoint(atMost: common) } ?? common
    guard common - place <= Self.mostReadAgain else {
      return tokens + (try conversation.ask(question))
    }
    conversation = other
    return whole
  }

  /// Tokens that are read again at most, besides those that changed: what a model reads in seconds.
  private static let mostReadAgain = 4096

  /// Reads a question and generates the answer.
  ///
  /// Cancelling the task while the answer is generated ends it there, and the conversation goes on from what was said.
  ///
  /// - Parameter sampler: makes the sampler for an answer of a format; nil for a text and nothing else.
  /// - Throws: as ``TextGenerator/generate(prompt:maximumTokens:sampler:onEvent:)`` does, and
  ///   ``GenerationError/emptyPrompt`` for a question without text. The conversation is as it was then.
  public func ask(
    _ question: String, maximumTokens: Int, sampler makeSampler: (ChatFormat?) throws -> Sampler,
    onEvent: (TextGenerator.Event) -> Void
  ) throws -> TextGenerator.Result {
    var next = conversation
    let whole = try ask(question, &next)
    let sampler = try makeSampler(next.answerFormat)
    let result: TextGenerator.Result
    do {
      // All of it, but for an answer that is said otherwise now.
      if !whole.starts(with: runner.tokens) { _ = try runner.keepPrefix(of: whole) }
      // Where the last answer was cut off, its last token; after a cancelled question, perhaps everything.
      let unread = Array(whole[runner.tokenCount...])
      var generator = TextGenerator(runner: runner, drafting: drafting, trace: trace)
      generator.stopsAtRepetition = stopsAtRepetition
      result = try generator.generate(
        prompt: unread, maximumTokens: maximumTokens, sampler: sampler, onEvent: onEvent)
    } catch {
      // One more token, since the last one of a prompt is never kept.
      _ = try runner.keepPrefix(of: tokens + [0])
      throw error
    }
    conversation = next
    tokens = whole + result.tokens
    turnCount += 1
    return result
  }

  /// Reads what the context lacks of ``tokens``: before a session is saved.
  public func complete() throws {
    let unread = Array(tokens[runner.tokenCount...])
    if unread.count == 1 {
      _ = try runner.decode(unread[0])
    } else if !unread.isEmpty {
      _ = try runner.prefill(unread, progress: nil)
    }
  }
}
