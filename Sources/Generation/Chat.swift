// Question after question to one context.

public import LlamaHost

/// A conversation in a context that grows with every question and answer.
///
///     let chat = Chat(runner: runner, conversation: try Conversation(model: model))
///     let result = try chat.ask("Who are you?", maximumTokens: 256, sampler: sampler) { event in ... }
///
/// Only what is new is read for a question. Not thread-safe, as its runner is not.
public final class Chat {
  public let runner: any SequenceRunner
  public private(set) var conversation: Conversation
  /// The tokens said so far. The context lacks the last ones when an answer was cut off, since a token is read only to
  /// generate the next one.
  public private(set) var tokens: [Int32]
  /// Questions answered so far.
  public private(set) var turnCount = 0

  /// Goes on where `conversation` is, with a context that ends there.
  public init(runner: any SequenceRunner, conversation: Conversation) {
    self.runner = runner
    self.conversation = conversation
    tokens = runner.tokens
  }

  /// What a question would be read as, to know its length in advance: ``tokens`` and then these.
  public func prompt(for question: String) throws -> [Int32] {
    var next = conversation
    return try next.ask(question)
  }

  /// Reads a question and generates the answer.
  ///
  /// Cancelling the task while the answer is generated ends it there, and the conversation goes on from what was said.
  ///
  /// - Throws: as ``TextGenerator/generate(prompt:maximumTokens:sampler:onEvent:)`` does, and
  ///   ``GenerationError/emptyPrompt`` for a question without text. The conversation is as it was then.
  public func ask(
    _ question: String, maximumTokens: Int, sampler: Sampler, onEvent: (TextGenerator.Event) -> Void
  ) throws -> TextGenerator.Result {
    var next = conversation
    let whole = tokens + (try next.ask(question))
    // Where the last answer was cut off, its last token; after a cancelled question, perhaps everything.
    let unread = Array(whole[runner.tokenCount...])
    let result: TextGenerator.Result
    do {
      result = try TextGenerator(runner: runner).generate(
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
