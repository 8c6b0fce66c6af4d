// Settings of search that differ from layer to layer.

import VectorIndex

extension AttentionEngine {
  /// Throws ``AttentionError/invalidSetting(name:value:requirement:)`` for tolerances of another number of layers.
  static func checkLayerTolerances(_ settings: RetrievalSettings, layerCount: Int) throws(AttentionError) {
    let count = settings.layerTolerances.count
    guard count == 0 || count == layerCount else {
      throw .invalidSetting(
        name: "layerTolerances", value: "\(count) values", requirement: "one for each of \(layerCount) layers"
      )
    }
  }

  /// Searches as another engine of the same shape does, each head as its own there.
  func takeSearch(of other: AttentionEngine) {
    search = other.search
    for (mine, theirs) in zip(heads.joined(), other.heads.joined()) {
      guard let index = (mine as? RetrievalHead)?.index as? ClusterIndex,
        let source = (theirs as? RetrievalHead)?.index as? ClusterIndex
      else { continue }
      index.search = source.search
    }
  }

  /// Searches as `settings` say from now on: all layers alike, or each with its own tolerance.
  ///
  /// Traps for tolerances of another number of layers.
  package func applySearch(of settings: RetrievalSettings) {
    search = settings.search
    guard !settings.layerTolerances.isEmpty else { return }
    precondition(
      settings.layerTolerances.count == heads.count, "one tolerance for each of \(heads.count) layers")
    for (layerHeads, tolerance) in zip(heads, settings.layerTolerances) {
      for case let head as RetrievalHead in layerHeads {
        let index: any AttentionIndex = head.index
        (index as? ClusterIndex)?.search.tolerance = tolerance
      }
    }
  }
}
