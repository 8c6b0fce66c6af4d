// What a server needs of an engine. Tests implement it without a model.

public import struct Foundation.Date
public import LlamaHost

/// Runs completions and keeps sessions.
///
/// ``Scheduler`` implements it with a model; a program with another engine can write its own.
public protocol InferenceService: Sendable {
  /// The model that answers.
  var model: ModelCard { get }

  /// Queues a request. Nothing of it is computed before this returns.
  ///
  /// - Returns: Its events. Ending the iteration, or cancelling the task that iterates, stops the work within a
  ///   step. Errors later on end the sequence.
  /// - Throws: ``ServingError`` for a request that cannot be served.
  func complete(_ request: CompletionRequest) async throws -> AsyncThrowingStream<CompletionEvent, any Error>

  /// The tokens of a text.
  ///
  /// - Parameters:
  ///   - addSpecial: With BOS and EOS, where the model wants them.
  ///   - parseSpecial: Names of control tokens in it are these tokens.
  /// - Throws: ``ServingError/unsupported(_:)`` unless the engine has an answer, as all of the following do.
  func tokenize(_ text: String, addSpecial: Bool, parseSpecial: Bool) async throws -> [Int32]

  /// The bytes of each token, names of control tokens included; possibly parts of characters.
  func pieces(of tokens: [Int32]) async throws -> [[UInt8]]

  /// What the chat template makes of a conversation, as text.
  func prompt(of request: ChatRequest, addGenerationPrompt: Bool) async throws -> String

  /// How many tokens the prompt of a request has.
  func promptTokens(of request: CompletionRequest) async throws -> Int

  /// A vector for each input.
  func embed(_ inputs: [EmbeddingInput]) async throws -> [Embedding]

  /// How well each document answers `query`.
  func rank(_ documents: [String], query: String) async throws -> [Ranking]

  /// Counts and gauges of the moment.
  func statistics() async -> ServingStatistics

  /// Reads a document into a new session.
  ///
  /// - Returns: Its progress, ended by ``SessionEvent/ready(_:)``. Ending the iteration early deletes what there is.
  /// - Throws: ``ServingError``.
  func createSession(name: String, text: String) async throws -> AsyncThrowingStream<SessionEvent, any Error>

  /// All sessions, the last used first.
  func sessions() async -> [SessionCard]

  /// - Throws: ``ServingError/unknownSession(_:)``.
  func session(_ id: String) async throws -> SessionCard

  /// Deletes a session. Requests that use it already are finished.
  ///
  /// - Throws: ``ServingError/unknownSession(_:)``, ``ServingError/readOnlySession(_:)``.
  func deleteSession(_ id: String) async throws

  /// Takes no more requests; those that run are finished, up to `deadline`, and then fail.
  func drain(until deadline: ContinuousClock.Instant) async
}

/// A document that was read and is kept, ready for questions.
public struct SessionCard: Sendable, Hashable {
  /// Whether it can be used.
  public enum State: String, Sendable, Codable {
    /// Its document is being read.
    case reading
    /// Its document was read.
    case ready
    /// On the disk; the next question maps it, in milliseconds.
    case stored
    /// Its keys and values were given up for others; the next question reads the document again.
    case evicted
  }

  /// What requests name it by.
  public var id: String
  /// For people.
  public var name: String
  /// Whether it can be used.
  public var state: State
  /// Tokens of the document.
  public var tokens: Int
  /// Tokens read so far.
  public var tokensRead: Int
  /// Bytes of keys, values and index, in memory or in files.
  public var bytes: Int
  /// When it was made.
  public var created: Date
  /// When a request last named it.
  public var lastUsed: Date
  /// Whether it cannot be deleted through the service: whoever started that gave it.
  public var isReadOnly: Bool

  /// A card.
  public init(
    id: String, name: String, state: State, tokens: Int, tokensRead: Int, bytes: Int, created: Date,
    lastUsed: Date, isReadOnly: Bool = false
  ) {
    self.id = id
    self.name = name
    self.state = state
    self.tokens = tokens
    self.tokensRead = tokensRead
    self.bytes = bytes
    self.created = created
    self.lastUsed = lastUsed
    self.isReadOnly = isReadOnly
  }
}

/// What happens while a document is read into a session.
public enum SessionEvent: Sendable {
  /// It has a name from now on.
  case created(SessionCard)
  /// Tokens of the document that were read, and the seconds that the rest will take; nil while unknown.
  case progress(done: Int, total: Int, secondsLeft: Double?)
  /// Its document was read.
  case ready(SessionCard)
}

/// Counts since the start, and gauges of the moment.
public struct ServingStatistics: Sendable, Hashable {
  /// Requests that were taken, finished, cancelled by their client, or failed.
  public var accepted = 0, completed = 0, cancelled = 0, failed = 0
  /// Requests turned away because the queue was full.
  public var rejected = 0
  /// Tokens since the start.
  public var promptTokens = 0, cachedTokens = 0, generatedTokens = 0
  /// Batches that were evaluated, and tokens in them.
  public var batches = 0, batchTokens = 0
  /// Seconds spent in batches.
  public var busySeconds = 0.0
  /// Sequences at work, and waiting.
  public var running = 0, waiting = 0
  /// Sessions that can be named.
  public var sessions = 0
  /// Contexts kept for later, and bytes of all contexts.
  public var storedContexts = 0, contextBytes = 0

  /// Nothing done yet.
  public init() {}
}
