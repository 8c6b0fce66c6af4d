// How many requests at once, and how much memory for them.

public import AttentionKernels
import Foundation
package import Generation
public import RetrievalAttention

/// Settings of a ``Scheduler``.
public struct SchedulerSettings: Sendable {
  /// The model's name for clients; the file's name when nil.
  public var modelName: String?
  /// Other names that the model has for clients.
  public var modelAliases: [String] = []
  /// How every context attends.
  public var attention = AttentionPolicy.retrieval(RetrievalSettings())
  /// How contexts store keys and values.
  public var format = KeyValueFormat()
  /// Sequences that are decoded together.
  public var parallel = 4
  /// Requests that may wait for their turn.
  public var queueLength = 64
  /// Most tokens of prompt and answer together; what the model was trained for when nil.
  public var contextLength: Int?
  /// Most tokens of an answer when a request does not say.
  public var defaultMaximumTokens = 2048
  /// Bytes for keys, values and indexes of all contexts; half of the free memory at the start when nil.
  public var memoryBudget: Int?
  /// Bytes that each context may keep of copies of recurrent layers' states; see ``Generation/GuestHost/stateBudget``.
  public var stateBudget = 1 << 30
  /// Whether tokens are foreseen from the text and checked several at a time.
  public var draftsFromText = true
  /// A profile of heads that tell where answers come from, as `ra tune --evidence` writes it; nil for what is known of
  /// the model, or the default.
  public var evidenceProfile: String?
  /// Milliseconds that a step may take when sequences wait for their next token: a long prompt is read in pieces that
  /// take no longer, and an index is built in such pieces.
  public var stallMilliseconds = 250
  /// Threads to compute with.
  public var threads: Int?
  /// Most sessions; more cannot be uploaded.
  public var maximumSessions = 64
  /// Directories of sessions on disk to serve, by the last part of their path. They are never changed.
  public var sessions: [String] = []
  /// A folder in which uploaded documents are kept, so that they are there after the next start. One server has it at a
  /// time. Nil keeps them in memory.
  public var sessionFolder: String?
  /// Which layers devices may attend to prompts in; for tests.
  package var placement = DevicePlacement.devices

  /// As documented at each.
  public init() {}
}

extension SchedulerSettings {
  /// Throws ``ServingError/invalidParameter(_:message:)`` for numbers that make no sense.
  func checkNumbers() throws {
    for (name, value) in [
      ("parallel", parallel), ("queue length", queueLength), ("stall milliseconds", stallMilliseconds),
      ("context length", contextLength ?? 1), ("memory budget", memoryBudget ?? 1),
      ("default maximum tokens", defaultMaximumTokens),
    ] where value <= 0 {
      throw ServingError.invalidParameter(name, message: "The \(name) is \(value), but must be positive.")
    }
  }

  /// Looks at all that can be known without the model, for whoever is about to load one: numbers, and whether the
  /// sessions are there, complete, and free to be served. ``Scheduler/start(model:settings:)`` finds the rest.
  ///
  /// - Throws: ``ServingError``, ``SessionSetupError``, ``Generation/SessionError``. Nothing is changed on the disk.
  public func check() throws {
    try checkNumbers()
    var paths: [String: String] = [:]
    for path in sessions {
      let name = try Self.sessionName(path)
      if let other = paths[name] { throw SessionSetupError.sameName(name, paths: [other, path]) }
      paths[name] = path
      let session = try SessionDescription(at: path)
      guard session.pendingTokenCount == 0, session.tokenCount > 0 else {
        throw SessionSetupError.incomplete(
          path: path, done: session.tokenCount, pending: session.pendingTokenCount)
      }
    }
    if let sessionFolder { try SessionFolder.check(sessionFolder) }
  }

  /// The last part of a session's path, by which clients call it.
  static func sessionName(_ path: String) throws -> String {
    let name = URL(fileURLWithPath: path).lastPathComponent
    guard SessionStore.isValidName(name) else { throw SessionError.invalidName(name) }
    return name
  }
}
