// Settings of retrieval from clusters: the default.

public import VectorIndex

/// Settings of ``AttentionPolicy/retrieval(_:)``. The paper's symbols are in parentheses.
public struct RetrievalSettings: Sendable, Hashable {
  /// First tokens that are always attended to (the initial tokens of W; the paper has 128). Few are enough: what the
  /// index looks up of the others costs less than to read them all.
  public var sinkCount = 16
  /// Last tokens that are always attended to (the local tokens of W; the paper has 512). The window grows to
  /// `windowCount + insertionCount` between insertions.
  public var windowCount = 64
  /// Most tokens of one segment of the index; a long prompt is clustered in segments as they fill.
  public var segmentCount = 8192
  /// Generated tokens that are inserted together, as a segment of their own.
  public var insertionCount = 512
  /// With fewer tokens than this between sink and window there is no index: exact attention is faster there.
  public var minimumIndexedCount = 1536
  /// What a cluster must be worth to be read for tokens of a prompt, as a share of their attention for each key: lower
  /// reads more, and errs less. 0 reads prompts exactly. The first ``prefillStart`` tokens are read exactly in any
  /// case, and so are the last 64 of a prompt and those that the index learns from.
  public var prefillTolerance: Float = 2e-4
  /// First tokens that are read exactly, whatever ``prefillTolerance`` is: below, nothing is won by choosing.
  public var prefillStart = 4096
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
      ("prefillStart", prefillStart),
      ("minimumGroupedClusters", search.minimumGroupedClusters),
    ] where value < 0 {
      throw .invalidSetting(name: name, value: "\(value)", requirement: "zero or positive")
    }
    // Sums of these with row counts must not overflow; a store has no more rows than this anyway.
    let limit = Int(UInt32.max)
    let counts = [
      ("sinkCount", sinkCount), ("windowCount", windowCount), ("segmentCount", segmentCount),
      ("insertionCount", insertionCount), ("minimumIndexedCount", minimumIndexedCount),
      ("prefillStart", prefillStart),
    ]
    for (name, value) in counts where value > limit {
      throw .invalidSetting(name: name, value: "\(value)", requirement: "at most \(limit)")
    }
    for (name, value) in [
      ("tolerance", search.tolerance), ("refinement", search.refinement),
      ("prefillTolerance", prefillTolerance),
      ("spreadFactor", search.spreadFactor), ("expansion", search.expansion),
    ] + layerTolerances.map({ ("layerTolerances", $0) })
    where !(value >= 0 && value.isFinite) {
      throw .invalidSetting(name: name, value: "\(value)", requirement: "zero or positive")
    }
  }
}
