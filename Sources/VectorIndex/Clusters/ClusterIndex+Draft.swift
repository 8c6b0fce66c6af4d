// An index of rows that wait to be indexed: made in a moment, for the rest of a prompt to be read through.

extension ClusterIndex {
  /// An empty index of small clusters without codes, which is made anew when its rows are taken.
  ///
  /// Small clusters, since single keys are not chosen in them, and few rounds, since few rows come at a time. What
  /// takes longest, the geometry of the queries, is found out once, for the drafts that follow as well.
  ///
  /// - Parameter search: as of the index that will take the rows.
  package static func draft(
    dimension: Int, seed: UInt64, search: SearchParameters
  ) -> ClusterIndex {
    var build = BuildParameters()
    build.clusterSize = 32
    build.usesCodes = false
    build.iterations = 3
    build.seed = seed
    let index = ClusterIndex(dimension: dimension, build: build, search: search)
    index.draft = DraftGeometry()
    return index
  }

  /// The next draft, empty.
  package func nextDraft(search: SearchParameters) -> ClusterIndex {
    let next = ClusterIndex(dimension: dimension, build: build, search: search)
    next.draft = draft
    return next
  }
}

/// The map of keys to the geometry of the queries, as drafts of one head have it.
final class DraftGeometry {
  /// `[d, d]`; empty until it is known.
  private var map: [Float] = []

  /// Copies the map; false when there is none.
  func takeMap(into target: ListView<Float>) -> Bool {
    guard map.count == target.count else { return false }
    for (i, element) in map.enumerated() { target[i] = element }
    return true
  }

  func setMap(_ source: ListView<Float>) { map = Array(source) }
}
