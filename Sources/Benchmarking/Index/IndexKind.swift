// The kinds of index that can be compared, and the settings each is measured at. A new kind is one entry here.

package import VectorIndex

/// Values over which search parameters are swept; a kind uses those that it has.
package struct IndexSweep: Sendable, Hashable {
  /// Rows that each query retrieves.
  package var k = [100]
  /// ``VectorIndex/ClusterIndex/SearchParameters/tolerance``.
  package var tolerance: [Float] = [2e-4, 5e-4, 1e-3, 2e-3, 4.5e-3, 1e-2, 2e-2]
  /// ``VectorIndex/GraphIndex/SearchParameters/beamWidth``.
  package var beamWidth = [50, 100, 200]
  /// ``VectorIndex/IVFIndex/SearchParameters/probes``.
  package var probes = [4, 8, 16, 32]

  package init() {}
}

/// A kind of index with the settings it is measured at.
package struct IndexKind: Sendable {
  /// A parameter's name and value, as reports show them.
  package typealias Parameter = (name: String, value: Double)

  /// One setting.
  package struct Point: Sendable {
    package var parameters: [Parameter]
    fileprivate let apply: @Sendable (any AttentionIndex) -> Void

    /// Gives the setting to an index that the same kind made.
    package func apply(to index: any AttentionIndex) { apply(index) }
  }

  package let name: String
  /// Never empty.
  package let points: [Point]
  private let make: @Sendable (Int) throws -> any AttentionIndex

  /// - Parameters:
  ///   - make: an empty index for rows of a dimension.
  ///   - sweep: search settings; without one the kind is measured once, as it is.
  package init<Index: AttentionIndex & SendableMetatype>(
    _ name: String, make: @escaping @Sendable (Int) throws -> Index, sweep: [IndexSetting<Index>] = []
  ) {
    self.name = name
    self.make = make
    let settings = sweep.isEmpty ? [IndexSetting { _ in }] : sweep
    points = settings.map { setting in
      Point(parameters: setting.parameters) { index in
        guard let index = index as? Index else { preconditionFailure("the index is no \(Index.self)") }
        setting.apply(index)
      }
    }
  }

  /// An empty index.
  package func makeIndex(dimension: Int) throws -> any AttentionIndex { try make(dimension) }
}

/// Search parameters and how an index gets them.
package struct IndexSetting<Index: AttentionIndex>: Sendable {
  package let parameters: [IndexKind.Parameter]
  package let apply: @Sendable (Index) -> Void

  package init(_ parameters: IndexKind.Parameter..., apply: @escaping @Sendable (Index) -> Void) {
    self.parameters = parameters
    self.apply = apply
  }
}

/// All kinds by name.
package enum IndexCatalog {
  private static let entries: [(name: String, kind: @Sendable (String, IndexSweep) -> IndexKind)] = [
    ("exact", { name, _ in IndexKind(name, make: { ExactIndex(dimension: $0) }) }),
    (
      "exact-top-k",
      { name, sweep in
        IndexKind(
          name, make: { ExactTopKIndex(dimension: $0) },
          sweep: sweep.k.map { k in IndexSetting(("k", Double(k))) { $0.k = k } })
      }
    ),
    ("clusters", { name, sweep in clusters(name, sweep) { _ in } }),
    ("clusters-whole", { name, sweep in clusters(name, sweep) { $0.usesCodes = false } }),
    ("graph", { name, sweep in graph(name, sweep, .roarGraph) }),
    ("graph-per-head", { name, sweep in graph(name, sweep, .roarGraph, .perQueryHead) }),
    ("graph-co-retrieval", { name, sweep in graph(name, sweep, .coRetrieval) }),
    ("graph-keys-only", { name, sweep in graph(name, sweep, .keysOnly) }),
    ("ivf", { name, sweep in lists(name, sweep, .balanced) }),
    ("ivf-nearest", { name, sweep in lists(name, sweep, .nearest) }),
    ("scan-float16", { name, sweep in scan(name, sweep, .float16) }),
    ("scan-lvq8", { name, sweep in scan(name, sweep, .lvq8) }),
    ("scan-lvq4", { name, sweep in scan(name, sweep, .lvq4) }),
    ("scan-pq2", { name, sweep in scan(name, sweep, .pq2) }),
    ("scan-pq1", { name, sweep in scan(name, sweep, .pq1) }),
  ]

  /// In the order of reports.
  package static var names: [String] { entries.map(\.name) }

  /// The kind of a name, or nil.
  package static func kind(_ name: String, sweep: IndexSweep) -> IndexKind? {
    entries.first { $0.name == name }.map { $0.kind(name, sweep) }
  }

  private static func clusters(
    _ name: String, _ sweep: IndexSweep,
    change: @escaping @Sendable (inout ClusterIndex.BuildParameters) -> Void
  ) -> IndexKind {
    IndexKind(
      name,
      make: {
        var build = ClusterIndex.BuildParameters()
        change(&build)
        return ClusterIndex(dimension: $0, build: build)
      },
      sweep: sweep.tolerance.map { value in
        IndexSetting(("tolerance", Double("\(value)") ?? Double(value))) { $0.search.tolerance = value }
      })
  }

  private static func graph(
    _ name: String, _ sweep: IndexSweep, _ construction: GraphIndex.Construction,
    _ sharing: GraphIndex.Sharing = .shared
  ) -> IndexKind {
    IndexKind(
      name,
      make: {
        var build = GraphIndex.BuildParameters(construction)
        build.sharing = sharing
        return try GraphIndex(dimension: $0, build: build)
      },
      sweep: sweep.k.flatMap { k in
        sweep.beamWidth.map { beamWidth in
          IndexSetting(("k", Double(k)), ("beamWidth", Double(beamWidth))) {
            $0.search.k = k
            $0.search.beamWidth = beamWidth
          }
        }
      })
  }

  private static func lists(
    _ name: String, _ sweep: IndexSweep, _ assignment: IVFIndex.Assignment
  ) -> IndexKind {
    IndexKind(
      name,
      make: {
        var build = IVFIndex.BuildParameters()
        build.assignment = assignment
        return IVFIndex(dimension: $0, build: build)
      },
      sweep: sweep.probes.map { probes in
        IndexSetting(("probes", Double(probes))) { $0.search.probes = probes }
      })
  }

  private static func scan(_ name: String, _ sweep: IndexSweep, _ codes: KeyCodes) -> IndexKind {
    IndexKind(
      name, make: { ScanIndex(dimension: $0, build: .init(codes: codes)) },
      sweep: sweep.k.map { k in IndexSetting(("k", Double(k))) { $0.search.k = k } })
  }
}
