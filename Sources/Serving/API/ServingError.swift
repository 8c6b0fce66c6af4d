// Why a request cannot be served. What status that is, the HTTP layer knows.

/// A request that is wrong, or comes at the wrong time.
public enum ServingError: Error, Equatable, Sendable {
  /// A value that cannot be used; `parameter` is its name in the request.
  case invalidParameter(String, message: String)
  /// Prompt and answer together are more tokens than a context has.
  case contextTooLong(tokens: Int, requested: Int, limit: Int)
  /// The prompt is so long that it was not even tokenized; it would have at least `leastTokens`.
  case promptTooLong(leastTokens: Int, limit: Int)
  /// No session has this name.
  case unknownSession(String)
  /// The session's document is still being read.
  case sessionNotReady(String)
  /// The model is served with llama.cpp's own attention, whose contexts cannot be kept.
  case noSessions
  /// The session was given to the server at its start, and only whoever did that can remove it.
  case readOnlySession(String)
  /// More sessions or contexts than the memory budget holds.
  case outOfMemory(required: Int, budget: Int)
  /// So many requests wait already.
  case queueFull(waiting: Int, retryAfterSeconds: Int)
  /// The server ends and takes no more requests.
  case draining
  /// The engine failed at this request; others go on.
  case engineFailure(String)
  /// Something that this model or engine does not do, in a sentence.
  case unsupported(String)
}

extension ServingError: CustomStringConvertible {
  /// A sentence.
  public var description: String {
    switch self {
    case .invalidParameter(_, let message): message
    case .contextTooLong(let tokens, let requested, let limit):
      """
      This model's maximum context length is \(limit) tokens. However, the prompt has \(tokens) tokens and \
      \(requested) were asked for. Shorten the prompt or lower max_tokens.
      """
    case .promptTooLong(let least, let limit):
      """
      This model's maximum context length is \(limit) tokens. However, the prompt has at least \(least) tokens. \
      Shorten the prompt.
      """
    case .unknownSession(let id): "There is no session '\(id)'. List the sessions with GET /v1/sessions."
    case .sessionNotReady(let id): "The session '\(id)' is still being read. Try again when it is ready."
    case .noSessions:
      "This model is served with llama.cpp's own attention, which keeps no sessions. Put the document into the prompt."
    case .readOnlySession(let id):
      "The session '\(id)' was given to the server at its start. It can be removed where it is kept, not here."
    case .outOfMemory(let required, let budget):
      "The request needs \(required) bytes of context, but the server's budget is \(budget). Use a shorter text."
    case .queueFull(let waiting, let seconds):
      "\(waiting) requests are waiting already. Try again in about \(seconds) s."
    case .draining: "The server is shutting down. Try again in a moment."
    case .engineFailure(let reason): "The engine failed: \(reason)"
    case .unsupported(let message): message
    }
  }
}
