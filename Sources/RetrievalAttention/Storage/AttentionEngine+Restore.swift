// Taking an image over: every count is checked before it is used.

import Platform
import VectorIndex

extension AttentionEngine {
  /// Maps what is new in an image. Rows of segments that this engine goes on from are there already.
  func restore(_ image: EngineImage) throws(StorageError) {
    let state = try image.state.map()
    let counts = try readCounts(image.state, state)
    let mapped = storage.image?.rows ?? []
    var covered: [RowKey: Int] = [:]
    for file in image.rows {
      try restoreRows(file, isMapped: mapped.contains { $0 === file }, covered: &covered)
    }
    var number = 0
    for (layer, layerHeads) in heads.enumerated() {
      tokenCounts[layer] = counts[number]
      number += 1
      for (index, head) in layerHeads.enumerated() {
        let place = StoredHead(layer: layer, head: index)
        for area in RowArea.areas(of: head.rows) {
          let needed = counts[number] * head.rows.bytesPerRow(area)
          let found = covered[RowKey(place: place, area: area)] ?? 0
          guard found >= needed else {
            throw .damaged(
              path: image.rows.last?.path ?? image.state.path,
              what: "\(area.tag) of layer \(layer), head \(index)", expected: "\(needed) bytes",
              actual: "\(found)")
          }
        }
        head.rows.didRestore(count: counts[number])
        number += 1
      }
    }
    try restoreHeads(image, state)
    storage.image = image
    storage.indexesChanged = false
    storage.stateChanged = false
  }

  /// Token count of each layer, followed by the row counts of its heads.
  private func readCounts(_ file: SegmentFile, _ mapping: SegmentMapping) throws(StorageError) -> [Int] {
    let expected = heads.reduce(0) { $0 + 1 + $1.count }
    guard let entry = file.header.entries.first(where: { $0.tag == "coun" }), entry.byteCount == expected * 8
    else {
      throw .damaged(
        path: file.path, what: "coun", expected: "counts of \(heads.count) layers", actual: "something else")
    }
    let bytes = unsafe mapping.reader(of: entry)
    var counts: [Int] = []
    for (layer, layerHeads) in heads.enumerated() {
      for number in 0...layerHeads.count {
        let value = bytes.integer(at: counts.count * 8, UInt64.self)
        let limit = number == 0 ? capacity : layerHeads[number - 1].rows.capacity
        // A layer with a window keeps as many rows as it likes; any other has one for each token.
        let needed =
          number > 0 && shape.layers[layer]?.slidingWindow == nil ? counts[counts.count - number] : 0
        guard value <= UInt64(limit), value >= UInt64(needed) else {
          throw .damaged(
            path: file.path, what: "a count of layer \(layer)", expected: "\(needed) to \(limit)",
            actual: "\(value)")
        }
        counts.append(Int(value))
      }
    }
    return counts
  }

  private struct RowKey: Hashable {
    var place: StoredHead
    var area: RowArea
  }

  private func restoreRows(
    _ file: SegmentFile, isMapped: Bool, covered: inout [RowKey: Int]
  ) throws(StorageError) {
    for entry in file.header.entries {
      let place = StoredHead(layer: entry.layer, head: entry.head)
      guard let area = RowArea(entry.tag), heads.indices.contains(entry.layer),
        heads[entry.layer].indices.contains(entry.head),
        RowArea.areas(of: heads[entry.layer][entry.head].rows).contains(area)
      else {
        throw .damaged(
          path: file.path, what: "an entry", expected: "keys, values or positions of a head of the model",
          actual: "\(entry.tag) of layer \(entry.layer), head \(entry.head)")
      }
      let key = RowKey(place: place, area: area)
      guard entry.place <= covered[key] ?? 0 else {
        throw .damaged(
          path: file.path, what: "\(entry.tag) of layer \(entry.layer), head \(entry.head)",
          expected: "from byte \(covered[key] ?? 0) on", actual: "from \(entry.place)")
      }
      covered[key] = entry.place + entry.byteCount
      if !isMapped { try heads[entry.layer][entry.head].rows.restore(area, entry, of: file) }
    }
  }

  private func restoreHeads(_ image: EngineImage, _ state: SegmentMapping) throws(StorageError) {
    storage.mappings = storage.mappings.filter { $0.mapping != nil } + [WeakMapping(mapping: state)]
    var indexes: [StoredHead: IndexFileReader] = [:]
    if let file = image.indexes {
      let mapping = try file.map()
      storage.mappings.append(WeakMapping(mapping: mapping))
      for entry in file.header.entries {
        let name = "\(file.path), index of layer \(entry.layer), head \(entry.head)"
        do {
          indexes[StoredHead(layer: entry.layer, head: entry.head)] = unsafe try IndexFileReader(
            bytes: mapping[entry], owner: mapping, name: name)
        } catch {
          throw .index(error)
        }
      }
    }
    var states: [StoredHead: [FileTag: SegmentEntry]] = [:]
    for entry in image.state.header.entries {
      states[StoredHead(layer: entry.layer, head: entry.head), default: [:]][entry.tag] = entry
    }
    for (layer, layerHeads) in heads.enumerated() {
      for (number, head) in layerHeads.enumerated() {
        guard let storable = head.storable else { throw .unsupportedPolicy(name: policy.name) }
        let place = StoredHead(layer: layer, head: number)
        let source = HeadSource(
          place: place, index: indexes[place], state: states[place] ?? [:],
          stateMapping: state, statePath: image.state.path)
        try storable.restore(from: source)
        try head.rows.restoreKeyOffsets(from: source)
      }
    }
  }
}

/// Removes a file of which no manifest knows; whether it works does not matter.
func removeFile(_ path: String) { unsafe unlink(path) }
