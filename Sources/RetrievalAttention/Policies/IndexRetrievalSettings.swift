// Retrieval from an index of any kind: the paper's graph, the exact top k, inverted lists, or one of a user's own.

public import VectorIndex

/// Settings of a method that attends to sink and window exactly and finds the rest in an index.
///
/// A new kind of index needs no more than this and ``makeIndex(dimension:seed:)``.
public protocol IndexRetrievalSettings: PolicySettings {
  /// First tokens that are always attended to.
  var sinkCount: Int { get set }
  /// Last tokens that are always attended to.
  var windowCount: Int { get set }
  /// Generated tokens that are inserted together.
  var insertionCount: Int { get set }
  /// An empty index.
  ///
  /// - Parameter seed: another for each KV head, for random choices.
  func makeIndex(dimension: Int, seed: UInt64) throws(AttentionError) -> any AttentionIndex
}

extension IndexRetrievalSettings {
  /// The settings that all of these have.
  public static var segmentParameters: [PolicyParameter<Self>] {
    [
      .integer(
        "sink", \.sinkCount, 0...Int(UInt32.max), symbol: "W", "First tokens that are always attended to."),
      .integer(
        "window", \.windowCount, 1...Int(UInt32.max), symbol: "W", "Last tokens that are always attended to."),
      .integer(
        "insertion", \.insertionCount, 1...Int(UInt32.max), "Generated tokens that are inserted together."),
    ]
  }

  public func makeHead(rows: HeadRows, place: HeadPlace) throws(AttentionError) -> any HeadPolicy {
    let (dimension, seed) = (rows.dimension, place.seed)
    return try RetrievalHead(
      rows: rows,
      settings: IndexedSegments(
        sinkCount: sinkCount, windowCount: windowCount, insertionCount: insertionCount),
      groupSize: place.layer.groupSize, rotary: place.layer.rotary
    ) { () throws(AttentionError) in try makeIndex(dimension: dimension, seed: seed) }
  }
}
