// What the heads of each policy keep besides rows, and how they take it back.

import VectorIndex

/// A head whose state can be saved.
protocol StorableHead: HeadPolicy {
  /// False for kinds of index that have no format on disk together with how they are searched.
  var isStorable: Bool { get }
  /// The index; nil without rows in it.
  var storedIndex: IndexFileWriter? { get }
  /// Adds everything else that later results depend on.
  func addState(to segment: inout SegmentBuilder, _ place: StoredHead)
  /// Takes back index and state. The rows are there already.
  func restore(from source: HeadSource) throws(StorageError)
}

extension StorableHead {
  var isStorable: Bool { true }
  var storedIndex: IndexFileWriter? { nil }
  func addState(to segment: inout SegmentBuilder, _ place: StoredHead) {}
  func restore(from source: HeadSource) throws(StorageError) {}
}

/// What a head was saved with.
struct HeadSource {
  var place: StoredHead
  /// The head's index and the memory that it lies in.
  var index: IndexFileReader?
  var state: [FileTag: SegmentEntry]
  var stateMapping: SegmentMapping
  var statePath: String

  /// An array of the state, in the mapped file.
  func array<Element: BitwiseCopyable>(
    _ tag: FileTag, of type: Element.Type, count: Int
  ) throws(StorageError) -> RowBuffer<Element> {
    let expected = count * MemoryLayout<Element>.stride
    let name = "\(tag) of layer \(place.layer), head \(place.head)"
    guard let entry = state[tag] else {
      throw .damaged(path: statePath, what: name, expected: "\(expected) bytes", actual: "missing")
    }
    guard entry.byteCount == expected else {
      throw .damaged(
        path: statePath, what: name, expected: "\(expected) bytes", actual: "\(entry.byteCount)")
    }
    guard expected > 0, let base = unsafe stateMapping[entry].baseAddress else { return RowBuffer() }
    return unsafe RowBuffer(
      unsafeBorrowing: base.bindMemory(to: Element.self, capacity: count), count: count, owner: stateMapping)
  }
}

extension ExactHead: StorableHead {}
extension SlidingWindowHead: StorableHead {}

extension RetrievalHead: StorableHead {
  var isStorable: Bool { clusters != nil }
  var storedIndex: IndexFileWriter? { clusters.flatMap { $0.rowCount > 0 ? IndexFile.writer(of: $0) : nil } }

  func addState(to segment: inout SegmentBuilder, _ place: StoredHead) {
    samples.addArrays(to: &segment, place)
  }

  func restore(from source: HeadSource) throws(StorageError) {
    guard let clusters else { throw .unsupportedPolicy(name: "\(type(of: index))") }
    let restored: ClusterIndex
    if let file = source.index {
      do {
        try IndexFile.check(file, holds: ClusterIndex.self)
        restored = try ClusterIndex(reading: file)
      } catch {
        throw .index(error)
      }
      guard restored.dimension == rows.dimension else {
        throw .damaged(
          path: file.path, what: "dimension", expected: "\(rows.dimension)", actual: "\(restored.dimension)")
      }
      guard restored.rowCount <= rows.count - settings.sinkCount else {
        throw .damaged(
          path: file.path, what: "row count", expected: "at most \(rows.count - settings.sinkCount)",
          actual: "\(restored.rowCount)")
      }
    } else {
      restored = ClusterIndex(dimension: rows.dimension, build: clusters.build)
    }
    restored.search = clusters.search
    try samples.restore(from: source)
    index = restored
  }
}
