// What calls of an index read.

/// What one call of ``AttentionIndex/attend(_:states:)`` read and did, for the whole group.
public struct ReadCount: Sendable, Hashable {
  /// Rows whose key and value were read exactly.
  public var retrieved = 0
  /// Centroids with mean values.
  public var centroids = 0
  /// Keys that were scored in any form (exactly or by a code), rows read twice counted once for each query that
  /// scored them separately and once for the group when they were scored together.
  public var scored = 0
  /// Nodes of a graph whose neighbors were looked at, over all queries.
  public var hops = 0
  /// Bytes of keys, values, codes, links and statistics that were read.
  public var bytes = 0

  public init() {}

  public static func += (sum: inout ReadCount, other: ReadCount) {
    sum.retrieved += other.retrieved
    sum.centroids += other.centroids
    sum.scored += other.scored
    sum.hops += other.hops
    sum.bytes += other.bytes
  }
}

/// Notes which rows were read exactly, for measurements of recall. Nobody pays for it when there is none.
public final class ReadRecorder {
  /// Row numbers of the index, in no order, without duplicates; the same rows serve all queries of the group.
  package private(set) var rows: [UInt32] = []
  /// Added to what is noted: where an index's rows begin among the rows of its head.
  package var offset = 0

  package init() {}

  package func removeAll() { rows.removeAll(keepingCapacity: true) }
  package func read(_ range: Range<Int>) {
    rows.append(contentsOf: range.lazy.map { [offset] in UInt32($0 + offset) })
  }
  package func read(_ ids: some Sequence<UInt32>) {
    rows.append(contentsOf: ids.lazy.map { [offset] in $0 + UInt32(offset) })
  }
}
