// A frozen context: the segments that an engine can be made from, by mapping them.

package import VectorIndex

/// The segments of one saved context.
///
/// Rows are in several segments, oldest first; a later one replaces, for each head, everything from where it begins.
/// So a context that grows needs only its tail to be written.
package struct EngineImage {
  package internal(set) var rows: [SegmentFile]
  /// Nil while there is no index.
  package internal(set) var indexes: SegmentFile?
  package internal(set) var state: SegmentFile

  /// An image of files that a manifest names, in its order.
  package init(rows: [SegmentFile], indexes: SegmentFile?, state: SegmentFile) throws(StorageError) {
    func require(_ file: SegmentFile, _ kind: SegmentKind) throws(StorageError) {
      guard file.header.kind == kind else {
        throw .damaged(
          path: file.path, what: "kind", expected: kind.rawValue, actual: file.header.kind.rawValue)
      }
    }
    for file in rows { try require(file, .rows) }
    if let indexes { try require(indexes, .indexes) }
    try require(state, .state)
    self.rows = rows
    self.indexes = indexes
    self.state = state
  }

  /// All segments.
  package var files: [SegmentFile] { rows + (indexes.map { [$0] } ?? []) + [state] }

  /// Tells that a manifest counts on all of these; see ``SegmentDestination/directory(_:commit:home:)``.
  package func didCommit(to home: String) {
    for file in files { file.home = home }
  }

  /// Whether the state segment has such an array.
  package func hasState(_ tag: FileTag) -> Bool { state.header.entries.contains { $0.tag == tag } }

  /// An array of the state segment that belongs to no layer.
  package func stateBytes(_ tag: FileTag) throws(StorageError) -> [UInt8] {
    guard let entry = state.header.entries.first(where: { $0.tag == tag }) else {
      throw .damaged(path: state.path, what: "\(tag)", expected: "an entry", actual: "none")
    }
    let mapping = try state.map()
    return unsafe Array(mapping[entry])
  }
}

/// The arrays of a head's rows.
enum RowArea: CaseIterable {
  case keys, values, positions

  var tag: FileTag {
    switch self {
    case .keys: "keys"
    case .values: "vals"
    case .positions: "posi"
    }
  }

  /// What a head keeps.
  static func areas(of rows: HeadRows) -> [RowArea] {
    rows.hasValues ? allCases : [.keys, .positions]
  }

  init?(_ tag: FileTag) {
    guard let area = Self.allCases.first(where: { $0.tag == tag }) else { return nil }
    self = area
  }
}

/// A layer and one of its KV heads.
struct StoredHead: Hashable {
  var layer: Int
  var head: Int
}

extension SegmentFile {
  /// For each head, the first row of which all bytes of the key are here.
  ///
  /// - Parameter widths: bytes of a key.
  func firstRows(widths: (StoredHead) -> Int?) -> [StoredHead: Int] {
    var rows: [StoredHead: Int] = [:]
    for entry in header.entries where entry.tag == RowArea.keys.tag {
      let place = StoredHead(layer: entry.layer, head: entry.head)
      guard let width = widths(place) else { continue }
      rows[place] = (entry.place + width - 1) / width
    }
    return rows
  }
}
