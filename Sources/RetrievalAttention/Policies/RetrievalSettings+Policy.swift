// Retrieval from clusters as a method among others.

import VectorIndex

/// Which rows an index stands for, and when they move into it.
package struct IndexedSegments: Sendable, Hashable {
  package var sinkCount = 128
  package var windowCount = 512
  package var segmentCount = 8192
  package var insertionCount = 512
  package var minimumIndexedCount = 0
  /// As ``RetrievalSettings/prefillTolerance``; 0 where the index cannot be read for many tokens at once.
  package var prefillTolerance: Float = 0
  package var prefillStart = 0
}

extension RetrievalSettings: PolicySettings {
  public var readsPromptsExactly: Bool { prefillTolerance == 0 }

  public static let name = "retrieval"
  public static let summary = "Sink and window exactly, keys from clusters by codes, the rest estimated."
  public static let paper: String? = "2409.10516"
  public static let tradeOff = """
    Keys below the tolerance are sampled or estimated. The paper looks keys up in a graph and leaves out the rest.
    """
  public static let parameters: [PolicyParameter<RetrievalSettings>] = [
    .integer(
      "sink", \.sinkCount, 0...Int(UInt32.max), symbol: "W", "First tokens that are always attended to."),
    .integer(
      "window", \.windowCount, 1...Int(UInt32.max), symbol: "W", "Last tokens that are always attended to."),
    .real(
      "tolerance", \.search.tolerance, 0...Float.greatestFiniteMagnitude,
      "What a key must be worth to be read for sure."),
    .real(
      "spread", \.search.spreadFactor, 0...Float.greatestFiniteMagnitude, "Spreads that a share is raised by."
    ),
    .real(
      "refinement", \.search.refinement, 0...Float.greatestFiniteMagnitude,
      "Share of the tolerance above which a cluster's keys are scored."),
    .real(
      "expansion", \.search.expansion, 0...Float.greatestFiniteMagnitude,
      "Share of what a cluster must be worth above which groups of clusters are scored one by one."),
    .integer(
      "grouped", \.search.minimumGroupedClusters, 0...Int.max,
      "Clusters of a KV head from which on they are scored in groups first."),
    .integer(
      "maximum", \.search.maximumRetrieved, 1...Int.max, "Most keys that one KV head reads for a token."),
    .integer("cluster", \.build.clusterSize, 1...Int(UInt32.max), "Mean number of keys in a cluster."),
    .integer("segment", \.segmentCount, 1...Int(UInt32.max), "Most tokens of one segment of the index."),
    .integer(
      "insertion", \.insertionCount, 1...Int(UInt32.max), "Generated tokens that are inserted together."),
    .integer(
      "minimum", \.minimumIndexedCount, 0...Int(UInt32.max),
      "Tokens between sink and window that make an index worth it."),
    .flag("codes", \.build.usesCodes, "Whether keys have codes, by which the best of a cluster are told."),
    .integer("iterations", \.build.iterations, 1...Int(UInt32.max), "Rounds of clustering."),
    .seed("seed", \.build.seed, "Of the random choices of clustering."),
    .real(
      "prefill", \.prefillTolerance, 0...Float.greatestFiniteMagnitude,
      "What a cluster must be worth to be read for a prompt's tokens; 0 reads prompts exactly."),
    .integer(
      "prefill-start", \.prefillStart, 0...Int(UInt32.max), "First tokens that prompts read exactly."),
    .layerValues("layers", \.layerTolerances, "A tolerance for each layer, as a profile has them."),
  ]

  public var movesRows: Bool { true }

  public func makeHead(rows: HeadRows, place: HeadPlace) throws(AttentionError) -> any HeadPolicy {
    var build = build
    build.seed &+= place.seed
    let (dimension, search) = (rows.dimension, search)
    return try RetrievalHead(
      rows: rows,
      settings: IndexedSegments(
        sinkCount: sinkCount, windowCount: windowCount, segmentCount: segmentCount,
        insertionCount: insertionCount, minimumIndexedCount: minimumIndexedCount,
        prefillTolerance: prefillTolerance, prefillStart: prefillStart),
      groupSize: place.layer.groupSize, rotary: place.layer.rotary
    ) { [build] () throws(AttentionError) in
      ClusterIndex(dimension: dimension, build: build, search: search)
    }
  }
}
