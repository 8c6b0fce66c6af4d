// Attention settings in a manifest.

import RetrievalAttention

/// A policy with all settings that later results depend on.
struct StoredPolicy: Codable, Equatable {
  /// As ``AttentionPolicy/name``.
  var name: String
  var retrieval: Retrieval?

  struct Retrieval: Codable, Equatable {
    var sinkCount: Int
    var windowCount: Int
    var segmentCount: Int
    var insertionCount: Int
    var minimumIndexedCount: Int
    var clusterSize: Int
    var usesCodes: Bool
    var iterations: Int
    var seed: UInt64
    var tolerance: Float
    var spreadFactor: Float
    var refinement: Float
    var expansion: Float
    var minimumGroupedClusters: Int
    var maximumRetrieved: Int
    /// Missing for all layers alike.
    var layerTolerances: [Float]?
  }

  /// Throws ``StorageError/unsupportedPolicy(name:)`` for a policy that cannot be saved.
  init(_ policy: AttentionPolicy) throws {
    name = policy.name
    guard policy != .exact else { return }
    guard let settings = policy.retrieval else { throw StorageError.unsupportedPolicy(name: policy.name) }
    retrieval = Retrieval(
      sinkCount: settings.sinkCount, windowCount: settings.windowCount, segmentCount: settings.segmentCount,
      insertionCount: settings.insertionCount, minimumIndexedCount: settings.minimumIndexedCount,
      clusterSize: settings.build.clusterSize, usesCodes: settings.build.usesCodes,
      iterations: settings.build.iterations, seed: settings.build.seed,
      tolerance: settings.search.tolerance, spreadFactor: settings.search.spreadFactor,
      refinement: settings.search.refinement, expansion: settings.search.expansion,
      minimumGroupedClusters: settings.search.minimumGroupedClusters,
      maximumRetrieved: settings.search.maximumRetrieved,
      layerTolerances: settings.layerTolerances.isEmpty ? nil : settings.layerTolerances)
  }

  /// The policy; nil for one that this version does not know.
  var policy: AttentionPolicy? {
    switch (name, retrieval) {
    case ("exact", nil): return .exact
    case ("retrieval", let stored?):
      var settings = RetrievalSettings()
      settings.sinkCount = stored.sinkCount
      settings.windowCount = stored.windowCount
      settings.segmentCount = stored.segmentCount
      settings.insertionCount = stored.insertionCount
      settings.minimumIndexedCount = stored.minimumIndexedCount
      settings.build.clusterSize = stored.clusterSize
      settings.build.usesCodes = stored.usesCodes
      settings.build.iterations = stored.iterations
      settings.build.seed = stored.seed
      settings.search.tolerance = stored.tolerance
      settings.search.spreadFactor = stored.spreadFactor
      settings.search.refinement = stored.refinement
      settings.search.expansion = stored.expansion
      settings.search.minimumGroupedClusters = stored.minimumGroupedClusters
      settings.search.maximumRetrieved = stored.maximumRetrieved
      settings.layerTolerances = stored.layerTolerances ?? []
      return .retrieval(settings)
    default: return nil
    }
  }
}
