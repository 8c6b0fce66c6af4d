// CORM: a key that no recent query cared for is dropped.

import AttentionKernels
import Platform
public import RetrievalAttention
import VectorIndex

/// Settings of `AttentionPolicy.corm(_:)`: keys that one of the last queries gave more than an average share (Dai et
/// al., *CORM: Cache Optimization with Recent Message for Large Language Model Inference*, arXiv 2404.15949).
///
/// A query at position t finds a key important when it gives it at least 1 / (t + 1) of its attention. A key is dropped
/// when none of the last w queries found it important and it is not among the last r keys. There is no budget: how many
/// keys stay differs from head to head. Prompts are read with exact attention, and their last w queries judge all of
/// their keys, at the end of every prompt anew; the paper drops keys while the prompt is read. A group of query heads
/// keeps what any of them finds important.
public struct CormSettings: PolicySettings {
  /// Last queries that judge keys.
  public var windowCount = 256
  /// Last keys that are kept in any case.
  public var recentCount = 256
  public var denseLayers: [Int] = []

  public init() {}

  public static let name = "corm"
  public static let summary = "Keys that a recent query gave more than an average share: CORM."
  public static let paper: String? = "2404.15949"
  public static let tradeOff = """
    A key that no recent query cared for is lost, so a change of subject finds nothing. Prompts are read exactly.
    """
  public static let parameters: [PolicyParameter<CormSettings>] = [
    .integer("window", \.windowCount, 1...4096, symbol: "w", "Last queries that judge keys."),
    .integer(
      "recent", \.recentCount, 1...Int(UInt32.max), symbol: "r", "Last keys that are kept in any case."),
    .denseLayers(\.denseLayers),
  ]

  public func makeHead(rows: HeadRows, place: HeadPlace) throws(AttentionError) -> any HeadPolicy {
    CormHead(rows: rows, groupSize: place.layer.groupSize, settings: self)
  }
}

/// Attends to the keys that are still kept.
final class CormHead: ObservingHead, UpdatedHead, MeasuredHead, EvictingHead {
  private struct State: EvictionState {
    var rowCount = 0
    /// Ascending.
    var kept: [UInt32] = []
    /// The last query that found each kept key important; -1 for none.
    var important: [Int32] = []

    mutating func copy(_ other: State) {
      rowCount = other.rowCount
      kept.removeAll(keepingCapacity: true)
      kept.append(contentsOf: other.kept)
      important.removeAll(keepingCapacity: true)
      important.append(contentsOf: other.important)
    }

    mutating func append(rows range: Range<Int>) {
      for row in range {
        kept.append(UInt32(row))
        important.append(-1)
      }
      rowCount = range.upperBound
    }

    /// Drops what the queries up to position `last` do not hold.
    mutating func evict(last: Int, settings: CormSettings) {
      var count = 0
      for i in kept.indices
      where Int(kept[i]) > last - settings.recentCount || Int(important[i]) > last - settings.windowCount {
        kept[count] = kept[i]
        important[count] = important[i]
        count += 1
      }
      kept.removeLast(kept.count - count)
      important.removeLast(important.count - count)
    }
  }

  let rows: HeadRows
  private let groupSize: Int
  private let settings: CormSettings
  private var recent: RecentQueries
  private var history = StateHistory(State())
  /// Whether a prompt has ended: before that, nothing is dropped.
  private var isActive: Bool { history.current.rowCount > 0 }

  init(rows: HeadRows, groupSize: Int, settings: CormSettings) {
    self.rows = rows
    self.groupSize = groupSize
    self.settings = settings
    recent = RecentQueries(capacity: settings.windowCount, groupSize: groupSize, dimension: rows.dimension)
  }

  var sampleByteCount: Int { recent.byteCount }
  var indexByteCount: Int { history.current.kept.count * 8 }

  func wants(position: Int, batchEnd: Int) -> Bool { position >= batchEnd - settings.windowCount }
  func observe(_ token: ObservedToken, workspace: Workspace) { recent.record(token, workspace: workspace) }
  func needsUpdate(_ moment: UpdateMoment) -> Bool { moment == .endOfPrompt }
  func checkTruncation(to count: Int) throws(AttentionError) { try history.check(count) }

  func truncate(to count: Int) throws(AttentionError) {
    try checkTruncation(to: count)
    rows.removeLast(to: count)
    recent.removeAll(from: count)
    history.restore(count)
  }

  func update(_ moment: UpdateMoment, askPosition: Int, workspace: Workspace) {
    let scratch = workspace.scope()
    let end = rows.count
    guard end > 0 else { return }
    let important = unsafe scratch.indices(end)
    // One more than the position, so that 0 stands for none.
    unsafe important.update(repeating: 0, count: end)
    unsafe recent.forEachToken(
      in: max(0, end - settings.windowCount)..<end, groupSize: groupSize, rows: rows, workspace: workspace
    ) { position, scores, stride in
      for h in 0..<groupSize {
        unsafe workspace.kernels.softmax(scores + h * stride, count: position + 1)
        let average = 1 / Float(position + 1)
        for row in 0...position where unsafe scores[h * stride + row] >= average {
          unsafe important[row] = UInt32(position + 1)
        }
      }
    }
    history.advance { state in
      state.copy(State())
      state.append(rows: 0..<end)
      for row in 0..<end { state.important[row] = unsafe Int32(important[row]) - 1 }
      state.evict(last: end - 1, settings: settings)
    }
    history.mark()
  }

  func attend(_ step: HeadStep) -> ReadStatistics.Head {
    let (queries, states, workspace) = (step.queries, step.states, step.workspace)
    let scratch = workspace.scope()
    let end = rows.count
    guard isActive else {
      states.attend(queries, to: 0..<end, of: rows, workspace: workspace)
      return ReadStatistics.Head(retrieved: end)
    }
    return history.advance { state in
      state.append(rows: state.rowCount..<end)
      let count = state.kept.count
      let list = unsafe scratch.list(groupSize * count)
      unsafe state.kept.withUnsafeList {
        unsafe states.attend(queries, to: $0, of: rows, scores: list, workspace: workspace)
      }
      let scores = unsafe list.base
      for h in 0..<groupSize {
        // A weight of at least 1 / (t + 1): a score of at least the logarithm of the denominator over that.
        let average = unsafe states.maxima[h] + log(states.sums[h]) - log(Float(end))
        for i in 0..<count where unsafe scores[h * count + i] >= average {
          state.important[i] = Int32(end - 1)
        }
      }
      state.evict(last: end - 1, settings: settings)
      let fixed = min(end, settings.recentCount)
      return ReadStatistics.Head(retrieved: max(0, count - fixed), fixed: min(count, fixed))
    }
  }
}
