// Freezing a context into segments, and making an engine from them.

import Platform
package import VectorIndex

extension AttentionEngine {
  /// What is saved of an engine, and what has changed since.
  struct StorageState {
    var image: EngineImage?
    var indexesChanged = true
    var stateChanged = true
    /// See ``AttentionEngine/memoryLimit``.
    var memoryLimit: Int?
    /// What indexes and samples were mapped from, as long as anything of it is in use.
    var mappings: [WeakMapping] = []
    /// ``Platform/MappingWatch/cutCount`` when all files were last found whole.
    var knownCutCount: UInt32 = 0
  }

  struct WeakMapping {
    weak var mapping: SegmentMapping?
  }

  /// Throws ``StorageError/cutShort(path:)`` when a file became shorter that this context reads from: what was computed
  /// since is worthless. Cost: one load, as long as no file of the process did.
  package func checkFiles() throws(StorageError) {
    let count = MappingWatch.cutCount
    guard count != storage.knownCutCount else { return }
    for head in heads.joined() {
      if let path = head.rows.memory.cutFile { throw .cutShort(path: path) }
    }
    for entry in storage.mappings {
      if let path = entry.mapping?.cutFile { throw .cutShort(path: path) }
    }
    storage.knownCutCount = count
  }

  /// Whether a file that this context reads from is shorter now than it was, noticed or not. Cost: a system call a
  /// file.
  package var hasCutFiles: Bool { storage.image?.files.contains { $0.isCut } ?? false }

  /// An engine with the context of an image.
  ///
  /// Rows, indexes and samples stay in the files and are read when they are needed; changes are private. Cost:
  /// a few system calls and a check of the index's statistics for each head, whatever the length.
  ///
  /// - Throws: ``StorageError`` for files that do not fit the shape or are damaged, ``AttentionError`` as
  ///   ``init(shape:policy:capacity:)`` does.
  package convenience init(
    shape: ModelShape, policy: AttentionPolicy, capacity: Int, image: EngineImage
  ) throws {
    try self.init(shape: shape, policy: policy, capacity: capacity)
    try restore(image)
  }

  /// Another engine with the same context. Nothing is copied: both share what there is until they change it.
  ///
  /// The two are independent afterwards. Cost: what changed since the last fork or save is written to shared memory
  /// once, so that many forks of one context cost little more than the tokens that each adds. Each takes about six
  /// mappings for every KV head of every layer; Linux allows 65530 to a process.
  ///
  /// - Parameter capacity: tokens for which the new engine reserves rows; as many as this one's when nil.
  /// - Throws: ``StorageError/unsupportedPolicy(name:)``, ``StorageError/system(operation:path:code:)``, and
  ///   ``AttentionError`` when there is not enough address space. This engine is as it was then.
  public func fork(capacity: Int? = nil) throws -> AttentionEngine {
    let image = try freeze(to: .memory)
    try adopt(image)
    let fork = try AttentionEngine(
      shape: shape, policy: policy, capacity: max(capacity ?? self.capacity, tokenCount), image: image)
    fork.takeSearch(of: self)
    fork.memoryLimit = memoryLimit
    return fork
  }

  /// Whether anything is not yet in an image of this session.
  package func hasChanges(since home: String) -> Bool {
    guard let image = storage.image, !storage.stateChanged else { return true }
    return image.files.contains { $0.home != home }
  }

  /// Writes what has changed since the last image to new segments, and returns the image of now.
  ///
  /// The engine is not changed, and goes on with its old image until ``adopt(_:)``. Files are on the disk when this
  /// returns; after an error none of the new ones is left.
  ///
  /// - Parameter extra: arrays of the caller to keep in the state segment.
  package func freeze(
    to destination: SegmentDestination, extra: [(tag: FileTag, bytes: [UInt8])] = []
  ) throws(StorageError) -> EngineImage {
    guard isForkable else { throw .unsupportedPolicy(name: policy.name) }
    if case .memory = destination, let image = storage.image, !storage.stateChanged { return image }
    var written: [SegmentFile] = []
    do throws(StorageError) {
      let rows = try freezeRows(to: destination, written: &written)
      let indexes = try freezeIndexes(to: destination, written: &written)
      let state = try makeState(extra).write(to: destination)
      written.append(state)
      return try EngineImage(rows: rows, indexes: indexes, state: state)
    } catch {
      destination.remove(written)
      throw error
    }
  }

  private func freezeRows(
    to destination: SegmentDestination, written: inout [SegmentFile]
  ) throws(StorageError) -> [SegmentFile] {
    let plan = RowPlan(engine: self, destination: destination)
    guard plan.hasRows else { return plan.keptFiles }
    var segment = SegmentBuilder(.rows)
    for (layer, layerHeads) in heads.enumerated() {
      for (number, head) in layerHeads.enumerated() {
        let place = StoredHead(layer: layer, head: number)
        guard let first = plan.firstRows[place], first < head.rows.count else { continue }
        for area in RowArea.areas(of: head.rows) {
          let (start, bytes) = unsafe head.rows.unsavedBytes(area, from: first)
          // Old rows that are written once more were read from their file, and can go again.
          let isFrugal = memoryLimit != nil
          unsafe segment.add(area.tag, layer: layer, head: number, place: start, bytes) {
            if isFrugal { head.rows.releaseRestoredPages() }
          }
        }
      }
    }
    let file = try segment.write(to: destination)
    written.append(file)
    return plan.keptFiles + [file]
  }

  private func freezeIndexes(
    to destination: SegmentDestination, written: inout [SegmentFile]
  ) throws(StorageError) -> SegmentFile? {
    if !storage.indexesChanged, let image = storage.image {
      guard let file = image.indexes, !destination.accepts(file) else { return image.indexes }
    }
    var segment = SegmentBuilder(.indexes)
    for (layer, layerHeads) in heads.enumerated() {
      for (number, head) in layerHeads.enumerated() {
        guard let index = head.storable?.storedIndex else { continue }
        segment.add(layer: layer, head: number, index)
      }
    }
    guard !segment.isEmpty else { return nil }
    let file = try segment.write(to: destination)
    written.append(file)
    return file
  }

  private func makeState(_ extra: [(tag: FileTag, bytes: [UInt8])]) -> StateSegment {
    var segment = SegmentBuilder(.state)
    for (layer, layerHeads) in heads.enumerated() {
      for (number, head) in layerHeads.enumerated() {
        head.storable?.addState(to: &segment, StoredHead(layer: layer, head: number))
        if let offsets = head.rows.keyOffsets {
          segment.add(
            HeadRows.offsetTag, layer: layer, head: number, offsets)
        }
      }
    }
    var counts: [UInt64] = []
    for (layer, layerHeads) in heads.enumerated() {
      counts.append(UInt64(tokenCounts[layer]).littleEndian)
      for head in layerHeads { counts.append(UInt64(head.rows.count).littleEndian) }
    }
    return StateSegment(builder: segment, counts: counts, extra: extra)
  }

  /// Goes on from an image that ``freeze(to:extra:)`` has just made: what it holds need not be kept in memory.
  ///
  /// After an error the context is as it was, but nothing counts as saved any more.
  package func adopt(_ image: EngineImage) throws(StorageError) {
    do throws(StorageError) {
      try restore(image)
    } catch {
      let memoryLimit = storage.memoryLimit
      storage = StorageState()
      storage.memoryLimit = memoryLimit
      for head in heads.joined() { head.rows.willChange(from: 0) }
      throw error
    }
  }

  /// Gives back the memory of a layer's rows that are unchanged in their files, unless the first layers, up to this
  /// one, fit into the limit.
  func releaseRestoredPages(layer: Int) {
    guard let memoryLimit else { return }
    let bytes = heads[...layer].joined().reduce(0) { $0 + $1.rows.byteCount }
    guard bytes > memoryLimit else { return }
    for head in heads(of: layer) { head.rows.releaseRestoredPages() }
  }

  /// Bytes of rows that are in no image.
  package var unsavedByteCount: Int {
    heads.joined().reduce(0) {
      $0 + ($1.rows.count - $1.rows.firstUnsavedRow) * $1.rows.bytesPerRow
    }
  }
}

extension SegmentDestination {
  /// Whether a segment that exists can be part of an image there.
  func accepts(_ file: SegmentFile) -> Bool {
    switch self {
    case .memory: true
    case .directory(_, _, let home): file.home == home
    }
  }

  /// Removes files that no manifest names. Memory goes by itself.
  package func remove(_ files: [SegmentFile]) {
    guard case .directory = self else { return }
    for file in files where file.home == nil { removeFile(file.path) }
  }
}

/// A state segment with the arrays that were made for it.
private struct StateSegment {
  var builder: SegmentBuilder
  let counts: [UInt64]
  let extra: [(tag: FileTag, bytes: [UInt8])]

  consuming func write(to destination: SegmentDestination) throws(StorageError) -> SegmentFile {
    let owned =
      unsafe [("coun" as FileTag, counts.withUnsafeBytes { unsafe Array($0) })]
      + extra.map { ($0.tag, $0.bytes) }
    // One block, so that the memory of all arrays stays where it is while the segment is written.
    let size = owned.reduce(0) { $0 + $1.1.count }
    var memory = RowBuffer<UInt8>(capacity: size)
    for (tag, bytes) in owned {
      let begin = memory.count
      memory.append(contentsOf: bytes.span)
      unsafe builder.add(tag, memory.list.from(begin))
    }
    let file = try builder.write(to: destination)
    // Not before it is written.
    _ = consume memory
    return file
  }
}
