// What a method of attention implements for one KV head: a small core, and capabilities that it may have besides.

public import VectorIndex

/// What one KV head of one layer keeps, and how its group of query heads attends to it.
///
/// A head takes rows and answers with softmax states; it never hands out which keys it used. All calls for one head
/// come from one thread at a time, but for what a capability says otherwise. Rows of a batch are in ``rows`` before
/// anything is asked about them.
///
/// What else a head can do it says by conforming to ``ObservingHead``, ``BatchReadingHead``, ``UpdatedHead`` and
/// ``MeasuredHead``; the engine asks once, when the head is made.
public protocol HeadPolicy: AnyObject {
  var rows: HeadRows { get }
  /// Adds the attention of the newest token's queries to the step's states, and tells what was read.
  func attend(_ step: HeadStep) -> ReadStatistics.Head
  /// Drops rows from `count` on, here and in ``rows``, and what was derived from them.
  ///
  /// - Throws: ``AttentionError`` when the head cannot go back there; nothing has changed then.
  func truncate(to count: Int) throws(AttentionError)
}

/// A head that sees queries and outputs of tokens.
public protocol ObservingHead: HeadPolicy {
  /// Whether ``observe(_:workspace:)`` is to be told of a token whose batch ends before position `batchEnd`. Asked for
  /// every token.
  func wants(position: Int, batchEnd: Int) -> Bool
  /// Sees a token, of a prompt or generated. May run for several tokens of a prompt's batch at once.
  func observe(_ token: ObservedToken, workspace: Workspace)
}

/// A head that sees the batches of prompts.
public protocol BatchReadingHead: HeadPolicy {
  /// Sees a batch of a prompt after its rows were appended and its outputs computed.
  func didPrefill(_ batch: HeadBatch, workspace: Workspace)
}

/// A head that derives something from its rows.
public protocol UpdatedHead: HeadPolicy {
  /// Whether ``update(_:askPosition:workspace:)`` would do anything. Cheap: asked for every token.
  func needsUpdate(_ moment: UpdateMoment) -> Bool
  /// Brings what is derived from rows up to date.
  ///
  /// - Parameter askPosition: where the queries to come will stand.
  func update(_ moment: UpdateMoment, askPosition: Int, workspace: Workspace)
}

/// A head that tells how large that is which it keeps besides rows.
public protocol MeasuredHead: HeadPolicy {
  /// Rows that an index stands for.
  var indexedRowCount: Int { get }
  /// Bytes of what is derived from rows, without the rows.
  var indexByteCount: Int { get }
  /// Bytes of recorded queries.
  var sampleByteCount: Int { get }
}

extension MeasuredHead {
  public var indexedRowCount: Int { 0 }
  public var indexByteCount: Int { 0 }
  public var sampleByteCount: Int { 0 }
}

/// A head that cannot go back everywhere.
public protocol EvictingHead: HeadPolicy {
  /// Throws what ``HeadPolicy/truncate(to:)`` would. Changes nothing.
  func checkTruncation(to count: Int) throws(AttentionError)
}

/// A head whose queries see the last rows only, and which keeps little more than those.
package protocol WindowedHead: HeadPolicy {
  /// The first row that a query standing at `row` sees in prefill; it sees all rows from there to its own.
  func firstVisibleRow(for row: Int) -> Int
  /// Makes room for `rows` more.
  func willAppend(rows: Int)
}

/// A head whose decode step can be divided: ``HeadPolicy/attend(_:)`` may run for several parts at once.
package protocol DividedHead: HeadPolicy {
  /// In how many parts, for `workers` that share it.
  func partCount(workers: Int) -> Int
}

/// A head that chooses keys, and whose queries may go through a step in blocks: ``HeadPolicy/attend(_:)`` and what
/// follows it may run for several of them at once, each as if it were the whole group.
package protocol BlockedHead: HeadPolicy {
  /// Whether it may now.
  var takesBlocks: Bool { get }
}

/// A head that takes a few generated tokens in one step: ``HeadPolicy/attend(_:)`` and what follows it may have their
/// queries together, `[tokens, groupSize, d]`, for the rows that all of them see.
package protocol DraftHead: HeadPolicy {}

/// A head that decides, when all parts of a decode step are done, what is still to be read, and reads it in shares.
package protocol PlanningHead: HeadPolicy {
  /// How many shares follow a plan; 0 when the parts are all there is to do.
  var shareCount: Int { get }
  /// Decides what the shares of a decode step will do, and may do some of it already.
  ///
  /// - Parameters:
  ///   - step: its workspace is of nobody else until the step is done: the plan lies in its
  ///     ``VectorIndex/Workspace/lasting`` scope, which the next plan renews.
  ///   - known: log-sum-exps of all parts together, `[groupSize]`.
  func plan(_ step: HeadStep, known: ListView<Float>) -> ReadStatistics.Head
  /// Adds one share of the plan to the step's states, and to `tail`, in which nothing is yet, estimates that may take
  /// away from the whole. Shares may run at the same time.
  func attend(share: Int, _ step: HeadStep, tail: TailSums) -> ReadStatistics.Head
}

/// A head whose first and last rows can be attended to elsewhere.
package protocol FixedRowsHead: PlanningHead {
  var sinkCount: Int { get }
  /// Rows behind the index.
  var windowRows: Int { get }
  /// Rows of sink and window, with some to spare for updates of the index that come late; nil where the index cannot
  /// be searched without them.
  var maximumFixedRows: Int? { get }
  /// Attends to a few of the fixed rows.
  func probe(_ step: HeadStep) -> ReadStatistics.Head
  /// Log-sum-exps of all fixed rows, from those of the probed ones, as far as is known.
  func expectFixed(_ logSumExps: ListView<Float>)
  /// Remembers by how much all rows weighed more than the probed ones.
  func learnFixedWeight(probed: ListView<Float>, found: ListView<Float>)
}

/// A head whose index is searched as clusters are.
package protocol TunableHead: HeadPolicy {
  /// Nil for an index of another kind.
  var search: ClusterIndex.SearchParameters? { get set }
}

/// A head with rows in an order of its own, which can go back in it.
package protocol RewindableHead: HeadPolicy {
  /// What is needed to go back, made before anything changes; nil when a truncation will do.
  func rewinding(to count: Int) throws(AttentionError) -> (() -> Void)?
}
