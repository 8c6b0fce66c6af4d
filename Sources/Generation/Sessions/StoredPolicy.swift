// Attention settings in a manifest.

import RetrievalAttention

/// A policy as the text that names it with all settings: `retrieval:sink=128,window=512,...`.
struct StoredPolicy: Codable, Equatable {
  var text: String

  /// Throws ``StorageError/unsupportedPolicy(name:)`` for a policy that cannot be saved.
  init(_ policy: AttentionPolicy) throws {
    guard policy == .exact || policy.retrieval != nil else {
      throw StorageError.unsupportedPolicy(name: policy.name)
    }
    text = policy.completeDescription
  }

  /// As ``AttentionPolicy/name``.
  var name: String { String(text.prefix { $0 != ":" }) }

  /// The policy; nil for one that this version does not know.
  var policy: AttentionPolicy? { try? PolicyRegistry.standard.parse(text) }

  /// How a context was read is part of what it is: where the text does not say, all prompts were read exactly.
  private static func completed(_ text: String) -> String {
    let parts = text.split(separator: ":", maxSplits: 1)
    guard parts.count == 2, parts[0] == RetrievalSettings.name,
      !parts[1].split(separator: ",").contains(where: { $0.hasPrefix("prefill=") })
    else { return text }
    return text + ",prefill=0.0"
  }

  init(from decoder: any Decoder) throws {
    if let text = try? decoder.singleValueContainer().decode(String.self) {
      self.text = Self.completed(text)
    } else {
      text = try FirstFormat(from: decoder).text
    }
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(text)
  }

  /// As manifests of the first format have it.
  private struct FirstFormat: Decodable {
    var name: String
    var retrieval: Retrieval?

    struct Retrieval: Decodable {
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

    var text: String {
      guard let stored = retrieval else { return name }
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
      settings.prefillTolerance = 0
      settings.layerTolerances = stored.layerTolerances ?? []
      return AttentionPolicy.retrieval(settings).completeDescription
    }
  }
}
