// The kinds of index that can be compared, and the settings each is measured at. A new kind is one entry here.

package import VectorIndex

/// Values over which search parameters are swept; a kind uses those that it has.
public struct IndexSweep: Sendable, Hashable {
  /// Rows that each query retrieves.
  public var k = [100]
  /// ``VectorIndex/ClusterIndex/SearchParameters/tolerance``.
  public var tolerance: [Float] = [5e-5, 1e-4, 1.8e-4, 4e-4, 1e-3]

  public init() {}
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
  private let make: @Sendable (Int) -> any AttentionIndex

  /// - Parameters:
  ///   - make: an empty index for rows of a dimension.
  ///   - sweep: search settings; without one the kind is measured once, as it is.
  package init<Index: AttentionIndex & SendableMetatype>(
    _ name: String, make: @escaping @Sendable (Int) -> Index, sweep: [IndexSetting<Index>] = []
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
  package func makeIndex(dimension: Int) -> any AttentionIndex { make(dimension) }
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
public enum IndexCatalog {
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
    (
      "clusters",
      { name, sweep in
        IndexKind(
          name, make: { ClusterIndex(dimension: $0) },
          sweep: sweep.tolerance.map { value in
            IndexSetting(("tolerance", Double("\(value)") ?? Double(value))) { $0.search.tolerance = value }
          })
      }
    ),
  ]

  /// In the order of reports.
  public static var names: [String] { entries.map(\.name) }

  /// The kind of a name, or nil.
  package static func kind(_ name: String, sweep: IndexSweep) -> IndexKind? {
    entries.first { $0.name == name }.map { $0.kind(name, sweep) }
  }
}
