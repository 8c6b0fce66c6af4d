// The public choice of a method, and the small protocol that each method implements for one KV head.

public import VectorIndex

/// How attention over a long context is computed while tokens are generated. Prompts are read with exact attention.
///
///     let policy = try AttentionPolicy.parse("quest:page=16,budget=1024")
///
/// ## Groups of query heads
/// Query heads that share a KV head are served together. Unless a policy says otherwise, each chooses rows by itself
/// with the budget of the paper, the union is read once, and all of the group attend to the union.
///
/// ## Rows are never freed
/// Policies that evict choose among rows that all stay in memory, so that they can be compared with exact attention
/// over the same context. What they would free can be told from what they read.
public enum AttentionPolicy: Sendable, Hashable {
  /// Every key, for every token: the oracle that others are measured against.
  case exact
  /// Sink and window exactly, the rest from clusters with a tail: the default (after arXiv 2409.10516).
  case retrieval(RetrievalSettings)
  /// The same with a graph, as in the paper (arXiv 2409.10516).
  case graph(GraphRetrievalSettings)
  /// The same with the exact top k: the paper's Flat.
  case flat(FlatRetrievalSettings)
  /// The same with inverted lists: the paper's IVF.
  case ivf(IVFRetrievalSettings)
  /// First and last tokens only: StreamingLLM (arXiv 2309.17453).
  case streaming(StreamingSettings)
  /// Keys that the end of the prompt attends to: SnapKV (arXiv 2404.14469).
  case snapKV(SnapKVSettings)
  /// Keys that recent queries cared for: CORM (arXiv 2404.15949).
  case corm(CormSettings)
  /// A window that thins out with age: Cascading KV cache (arXiv 2406.17808).
  case cascade(CascadeSettings)
  /// Blocks with representatives: InfLLM (arXiv 2402.04617).
  case infLLM(InfLLMSettings)
  /// Pages chosen by bounds of their keys: Quest (arXiv 2406.10774).
  case quest(QuestSettings)
  /// A sample by hashing, with its estimator: MagicPIG (arXiv 2410.16179).
  case magicPIG(MagicPIGSettings)
  /// Blocks found by halving spans: HiP (arXiv 2406.09827).
  case hip(HiPSettings)
  /// Keys of the highest scores by product codes: PQCache (arXiv 2407.12820).
  case pqCache(PQCacheSettings)
  /// Clusters read, estimated and left out: RetroInfer (arXiv 2505.02922).
  case retroInfer(RetroInferSettings)

  /// Whether an index puts the rows that it takes in an order of its own.
  package var movesRows: Bool {
    switch self {
    case .retrieval, .ivf: true
    default: false
    }
  }

  package var settings: any PolicySettings {
    switch self {
    case .exact: ExactSettings()
    case .retrieval(let settings): settings
    case .graph(let settings): settings
    case .flat(let settings): settings
    case .ivf(let settings): settings
    case .streaming(let settings): settings
    case .snapKV(let settings): settings
    case .corm(let settings): settings
    case .cascade(let settings): settings
    case .infLLM(let settings): settings
    case .quest(let settings): settings
    case .magicPIG(let settings): settings
    case .hip(let settings): settings
    case .pqCache(let settings): settings
    case .retroInfer(let settings): settings
    }
  }

  /// The name used on the command line and in reports.
  public var name: String { type(of: settings).name }
}

/// Settings of ``AttentionPolicy/retrieval(_:)``. The paper's symbols are in parentheses.
public struct RetrievalSettings: Sendable, Hashable {
  /// First tokens that are always attended to (the paper's 128 initial tokens of W).
  public var sinkCount = 128
  /// Last tokens that are always attended to (the paper's 512 local tokens of W). The window grows to
  /// `windowCount + insertionCount` between insertions.
  public var windowCount = 512
  /// Most tokens of one segment of the index; a long prompt is clustered in segments as they fill.
  public var segmentCount = 8192
  /// Generated tokens that are inserted together, as a segment of their own.
  public var insertionCount = 512
  /// With fewer tokens than this between sink and window there is no index: exact attention is faster there.
  public var minimumIndexedCount = 1536
  public var build = ClusterIndex.BuildParameters()
  public var search = ClusterIndex.SearchParameters()
  /// Tolerance of the search in each layer, instead of the one in ``search``; empty: all layers alike. Layers differ in
  /// what their errors do to the model's output, so that equal tolerances are not equally well spent.
  public var layerTolerances: [Float] = []

  public init() {}

  /// Throws ``AttentionError/invalidSetting(name:value:requirement:)`` for the first value that makes no sense.
  public func validate() throws(AttentionError) {
    let positive = [
      ("segmentCount", segmentCount), ("insertionCount", insertionCount), ("windowCount", windowCount),
      ("clusterSize", build.clusterSize), ("iterations", build.iterations),
      ("maximumRetrieved", search.maximumRetrieved),
    ]
    for (name, value) in positive where value <= 0 {
      throw .invalidSetting(name: name, value: "\(value)", requirement: "positive")
    }
    for (name, value) in [
      ("sinkCount", sinkCount), ("minimumIndexedCount", minimumIndexedCount),
      ("minimumGroupedClusters", search.minimumGroupedClusters),
    ] where value < 0 {
      throw .invalidSetting(name: name, value: "\(value)", requirement: "zero or positive")
    }
    // Sums of these with row counts must not overflow; a store has no more rows than this anyway.
    let limit = Int(UInt32.max)
    let counts = [
      ("sinkCount", sinkCount), ("windowCount", windowCount), ("segmentCount", segmentCount),
      ("insertionCount", insertionCount), ("minimumIndexedCount", minimumIndexedCount),
    ]
    for (name, value) in counts where value > limit {
      throw .invalidSetting(name: name, value: "\(value)", requirement: "at most \(limit)")
    }
    for (name, value) in [
      ("tolerance", search.tolerance), ("refinement", search.refinement),
      ("spreadFactor", search.spreadFactor), ("expansion", search.expansion),
    ] + layerTolerances.map({ ("layerTolerances", $0) })
    where !(value >= 0 && value.isFinite) {
      throw .invalidSetting(name: name, value: "\(value)", requirement: "zero or positive")
    }
  }
}

/// What one KV head of one layer keeps, and how its group of query heads attends to it.
///
/// A policy takes rows and answers with softmax states; it never hands out which keys it used. All calls for one
/// head come from one thread at a time, except ``attend(part:of:queries:states:workspace:)`` and
/// ``attend(share:queries:states:tail:workspace:)``, whose parts may run at the same time, and
/// ``observe(_:workspace:)``, which may run for several tokens of a prompt batch at once.
///
/// Everything but the first group has a default that does nothing: see `HeadPolicy+Defaults.swift`.
package protocol HeadPolicy: AnyObject {
  var rows: HeadRows { get }
  /// Adds the attention of the newest token's queries `[groupSize, d]`, scaled, to `states`: of all keys if
  /// `parts` is 1, otherwise of one part of them.
  func attend(
    part: Int, of parts: Int, queries: UnsafePointer<Float>, states: RunningStates, workspace: Workspace
  ) -> ReadStatistics.Head
  /// How many tasks follow when all parts of a decode step are done, ``plan(_:known:states:workspace:)`` not counted; 0
  /// when the parts are all there is to do.
  var shareCount: Int { get }
  /// Decides what the shares of a decode step will do, and may do some of it already.
  ///
  /// - Parameters:
  ///   - known: log-sum-exps of all parts together, `[groupSize]`.
  ///   - workspace: of nobody else until the step is done: the plan lies in its ``VectorIndex/Workspace/lasting``
  ///     scope, which the next plan renews.
  func plan(
    _ queries: UnsafePointer<Float>, known: UnsafePointer<Float>, states: RunningStates, workspace: Workspace
  ) -> ReadStatistics.Head
  /// Adds one share of the plan to `states`, and to `tail`, in which nothing is yet, estimates that may take
  /// away from the whole.
  func attend(
    share: Int, queries: UnsafePointer<Float>, states: RunningStates, tail: TailSums,
    workspace: Workspace
  ) -> ReadStatistics.Head
  /// Drops rows from `count` on. ``checkTruncation(to:)`` has passed.
  func truncate(to count: Int) throws(AttentionError)

  /// The first row that a query standing at `row` sees in prefill; it sees all rows from there to its own.
  func firstVisibleRow(for row: Int) -> Int
  /// Makes room for `rows` more, for policies that drop what nobody will see again.
  func willAppend(rows: Int)
  /// In how many parts a decode step of this head can be computed, for `workers` that share it.
  func partCount(workers: Int) -> Int
  /// Throws when rows from `count` on cannot be taken back. Changes nothing.
  func checkTruncation(to count: Int) throws(AttentionError)

  /// Whether ``observe(_:workspace:)`` is to be told of a token whose batch ends before position `batchEnd`.
  func wants(position: Int, batchEnd: Int) -> Bool
  /// Sees the queries and outputs of a token, of a prompt or generated.
  func observe(_ token: ObservedToken, workspace: Workspace)
  /// Whether ``didPrefill(_:workspace:)`` is to be called.
  var readsBatches: Bool { get }
  /// Sees a batch of a prompt after its rows were appended and its outputs computed.
  func didPrefill(_ batch: HeadBatch, workspace: Workspace)
  /// Whether ``update(_:askPosition:workspace:)`` would do anything. Cheap: asked for every token.
  func needsUpdate(_ moment: UpdateMoment) -> Bool
  /// Brings what the policy derives from rows up to date.
  ///
  /// - Parameter askPosition: where the queries to come will stand.
  func update(_ moment: UpdateMoment, askPosition: Int, workspace: Workspace)

  /// Rows that an index stands for.
  var indexedRowCount: Int { get }
  /// Bytes of what is derived from rows, without the rows.
  var indexByteCount: Int { get }
  /// Bytes of recorded queries.
  var sampleByteCount: Int { get }
}

/// Attends to every row.
package final class ExactHead: HeadPolicy {
  package let rows: HeadRows

  package init(rows: HeadRows) {
    self.rows = rows
  }

  package func partCount(workers: Int) -> Int { Self.partCount(rows: rows.count, workers: workers) }
  package func truncate(to count: Int) throws(AttentionError) { rows.removeLast(to: count) }

  package func attend(
    part: Int, of parts: Int, queries: UnsafePointer<Float>, states: RunningStates, workspace: Workspace
  ) -> ReadStatistics.Head {
    Self.attend(rows, part: part, of: parts, queries: queries, states: states, workspace: workspace)
  }

  /// Parts of at least 1024 rows, and no more than keep all workers busy with some to spare for balance.
  static func partCount(rows: Int, workers: Int) -> Int {
    max(1, min(rows / 1024, 2 * workers))
  }

  static func attend(
    _ rows: HeadRows, part: Int, of parts: Int, queries: UnsafePointer<Float>, states: RunningStates,
    workspace: Workspace
  ) -> ReadStatistics.Head {
    let begin = rows.count * part / parts
    let end = rows.count * (part + 1) / parts
    workspace.recorder?.read(begin..<end)
    states.attend(queries, to: begin..<end, of: rows, workspace: workspace)
    return ReadStatistics.Head(retrieved: end - begin)
  }
}

/// Attends exactly to the last `window` rows and keeps little more than those.
package final class SlidingWindowHead: HeadPolicy {
  package let rows: HeadRows
  private let window: Int

  /// Rows that are kept beyond window and batch, so that a few tokens can be taken back.
  static let slack = 2048

  package init(rows: HeadRows, window: Int) {
    self.rows = rows
    self.window = window
  }

  package func firstVisibleRow(for row: Int) -> Int { max(0, row - window + 1) }

  package func willAppend(rows newRows: Int) {
    guard rows.count + newRows > rows.capacity else { return }
    rows.keepLast(min(rows.count, window + Self.slack / 2))
  }

  package func truncate(to count: Int) throws(AttentionError) {
    rows.removeLast(to: count)
  }

  package func attend(
    part: Int, of parts: Int, queries: UnsafePointer<Float>, states: RunningStates, workspace: Workspace
  ) -> ReadStatistics.Head {
    let begin = firstVisibleRow(for: rows.count - 1)
    states.attend(queries, to: begin..<rows.count, of: rows, workspace: workspace)
    return ReadStatistics.Head()
  }
}
