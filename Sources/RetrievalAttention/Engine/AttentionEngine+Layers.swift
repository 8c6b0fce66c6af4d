// Settings of search that differ from layer to layer.

public import VectorIndex

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

  /// How the index of the policy `retrieval` is searched; nil for other policies. Settable at any time, for all heads.
  public var search: ClusterIndex.SearchParameters? {
    get { heads.joined().lazy.compactMap { $0.tunable?.search }.first }
    set {
      guard let newValue else { return }
      for head in heads.joined() { head.tunable?.search = newValue }
    }
  }

  /// Searches as another engine of the same shape does, each head as its own there.
  func takeSearch(of other: AttentionEngine) {
    for (mine, theirs) in zip(heads.joined(), other.heads.joined()) {
      if let search = theirs.tunable?.search { mine.tunable?.search = search }
    }
  }

  /// Searches as `settings` say from now on: all layers alike, or each with its own tolerance.
  ///
  /// Traps for tolerances of another number of layers.
  package func applySearch(of settings: RetrievalSettings) {
    let tolerances = settings.layerTolerances
    precondition(
      tolerances.isEmpty || tolerances.count == heads.count, "one tolerance for each of \(heads.count) layers"
    )
    var search = settings.search
    for (layer, layerHeads) in heads.enumerated() {
      if !tolerances.isEmpty { search.tolerance = tolerances[layer] }
      for head in layerHeads where head.tunable?.search != nil { head.tunable?.search = search }
    }
  }
}
