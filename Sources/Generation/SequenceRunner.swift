// What generation needs of a model with a context, whoever computes attention.

public import LlamaHost
public import RetrievalAttention

/// A model that has read some tokens and can read more.
public protocol SequenceRunner: AnyObject {
  var model: LlamaModel { get }
  /// Tokens read so far.
  var tokenCount: Int { get }
  /// The tokens read so far.
  var tokens: [Int32] { get }
  /// The name of the attention in reports: `retrieval`, `exact`, `host`.
  var attentionName: String { get }
  var memory: MemoryUse { get }
  /// What decode steps read; nil when the host computes attention.
  var reads: ReadStatistics? { get }
  /// Seconds spent building the index.
  var indexSeconds: Double { get }
  /// Reads several tokens and returns the logits after the last.
  ///
  /// Cancelling the task stops it within a layer. `progress` is told how many of the tokens have been read.
  func prefill(_ tokens: [Int32], progress: ((Int) -> Void)?) throws -> Logits
  /// Reads one token and returns the logits after it, valid until the next call.
  func decode(_ token: Int32) throws -> Logits
  /// Most drafts that ``decode(_:drafts:)`` takes now; 0 for a runner that takes none.
  var draftCapacity: Int { get }
  /// Reads one token, and drafts of what may follow it: row `i` of the logits is that after `i` drafts.
  ///
  /// Nothing else may be asked of the runner until ``keepDrafts(_:)`` has told which drafts are right.
  func decode(_ token: Int32, drafts: [Int32]) throws -> Logits
  /// Keeps the first drafts that were read last, and drops the others. The logits are gone then.
  func keepDrafts(_ count: Int) throws
  /// Drops tokens from `position` on; throws when they cannot be taken back, and nothing has changed then.
  func truncate(to position: Int) throws
  /// Keeps what was read and is the beginning of `prompt`, or as much of it as can be gone back to, and drops the rest.
  ///
  /// The last token of the prompt is never kept, since its logits are still wanted.
  ///
  /// - Returns: how many tokens were kept; `prompt` from there on is to be read.
  func keepPrefix(of prompt: [Int32]) throws -> Int
}

extension SequenceRunner {
  /// None.
  public var draftCapacity: Int { 0 }
  /// Reads the token alone; throws ``GenerationError/invalidCount(name:value:requirement:)`` for drafts.
  public func decode(_ token: Int32, drafts: [Int32]) throws -> Logits {
    try checkDrafts(drafts.count)
    return try decode(token)
  }
  /// There are none; throws ``GenerationError/invalidCount(name:value:requirement:)`` for any.
  public func keepDrafts(_ count: Int) throws { try checkDrafts(count) }

  /// Throws ``GenerationError/invalidCount(name:value:requirement:)`` for more drafts than there may be now.
  func checkDrafts(_ count: Int) throws(GenerationError) {
    guard (0...draftCapacity).contains(count) else {
      throw .invalidCount(name: "drafts", value: count, requirement: "in 0...\(draftCapacity)")
    }
  }
}

/// Memory that belongs to one context, in bytes.
public struct MemoryUse: Sendable, Hashable, Codable {
  /// Keys, values and positions.
  public var store = 0
  /// The index, without the rows it refers to.
  public var index = 0
  /// Query samples that the index learns from.
  public var samples = 0
  /// Copies of recurrent layers' states, for models that have such layers.
  public var states: Int?
  /// The whole process, if the system tells.
  public var resident: Int?

  public init() {}
}
