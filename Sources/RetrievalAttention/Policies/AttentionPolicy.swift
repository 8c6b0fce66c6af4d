// The choice of a method of attention.

/// How attention over a long context is computed while tokens are generated. Prompts are read with exact attention,
/// but for those of policies that say otherwise (``PolicySettings/readsPromptsExactly``), such as long ones under
/// retrieval.
///
///     let policy = AttentionPolicy.retrieval(RetrievalSettings())
///
/// Any ``PolicySettings`` make one; ``PolicyRegistry`` makes them from text. The methods of other papers are in the
/// module
/// `AttentionPolicies`.
///
/// ## Groups of query heads
/// Query heads that share a KV head are served together. Unless a policy says otherwise, each chooses rows by itself
/// with the budget of the paper, the union is read once, and all of the group attend to the union.
///
/// ## Rows are never freed
/// Policies that evict choose among rows that all stay in memory, so that they can be compared with exact attention
/// over the same context. What they would free can be told from what they read.
public struct AttentionPolicy: Sendable {
  public let settings: any PolicySettings

  public init(_ settings: some PolicySettings) {
    self.settings = settings
  }

  /// Every key, for every token: the oracle that others are measured against.
  public static var exact: AttentionPolicy { AttentionPolicy(ExactSettings()) }

  /// Sink and window exactly, the rest from clusters with a tail: the default (after arXiv 2409.10516).
  public static func retrieval(_ settings: RetrievalSettings) -> AttentionPolicy { AttentionPolicy(settings) }

  /// Settings of retrieval from clusters; nil for another policy.
  public var retrieval: RetrievalSettings? { settings as? RetrievalSettings }

  /// The name used on the command line and in reports.
  public var name: String { type(of: settings).name }

  /// Whether every token of a prompt attends to all keys before it.
  package var readsPromptsExactly: Bool { settings.readsPromptsExactly }

  /// Whether an index puts the rows that it takes in an order of its own.
  package var movesRows: Bool { settings.movesRows }
}

extension AttentionPolicy: Hashable {
  public static func == (a: AttentionPolicy, b: AttentionPolicy) -> Bool {
    AnyHashable(a.settings) == AnyHashable(b.settings)
  }

  public func hash(into hasher: inout Hasher) { AnyHashable(settings).hash(into: &hasher) }
}

extension AttentionPolicy {
  /// The text that ``PolicyRegistry/parse(_:)`` makes this policy from, with every setting, for files: what is a
  /// default today may not be one tomorrow.
  public var completeDescription: String { settings.completeSpecification }
}

extension AttentionPolicy: CustomStringConvertible {
  /// The text that ``PolicyRegistry/parse(_:)`` makes this policy from, defaults left out.
  public var description: String { settings.specification }
}
