// Segments that are not what they should be: an error each time, and never a crash.
//
// RA_TEST_MUTATIONS sets the number of random changes of each kind, for long runs under a sanitizer.

import AttentionKernels
import Foundation
import Platform
import RetrievalAttention
import Testing
import VectorIndex

@Suite struct DamagedSegmentTests {
  private let mutations =
    ProcessInfo.processInfo.environment["RA_TEST_MUTATIONS"].flatMap(Int.init) ?? 1200

  /// A saved engine of one retrieval and one sliding layer, in several segments.
  private struct Saved {
    let context: StoredContext
    let directory: TemporaryFolder
    let image: EngineImage

    init() throws {
      let layers = [
        try layerShape(heads: 2, kvHeads: 1, dimension: 8),
        try layerShape(heads: 2, kvHeads: 1, dimension: 16, window: 40),
      ]
      context = try StoredContext(
        layers.enumerated().map { LayerInput($1, tokens: 700, seed: UInt64($0)).addingToKeys([2: 50]) },
        policy: .retrieval(smallRetrieval(tolerance: 0.3)), capacity: 2 * AttentionEngine.maximumBatch,
        // Keys and values of different widths, and something that was taken away from keys.
        format: KeyValueFormat(keys: .int8))
      directory = try TemporaryFolder()
      try context.read(0..<500, context.engine, batch: 100)
      var image = try context.engine.freeze(to: .directory(directory.path, commit: 1, home: "a"))
      image.didCommit(to: "a")
      try context.engine.adopt(image)
      try context.read(500..<600, context.engine, batch: 100)
      image = try context.engine.freeze(to: .directory(directory.path, commit: 2, home: "a"))
      image.didCommit(to: "a")
      self.image = image
    }

    func open(verifying: Bool) throws -> AttentionEngine {
      func open(_ file: SegmentFile) throws -> SegmentFile {
        let file = try SegmentFile(opening: file.path, home: nil)
        if verifying { try file.verify() }
        return file
      }
      return try context.open(
        EngineImage(rows: image.rows.map(open), indexes: image.indexes.map(open), state: open(image.state)))
    }
  }

  private func write(_ bytes: [UInt8], to path: String) throws {
    let file = try FileHandle(forUpdating: URL(fileURLWithPath: path))
    defer { try? file.close() }
    try file.write(contentsOf: Data(bytes))
    try file.truncate(atOffset: UInt64(bytes.count))
  }

  private func isRefused(_ body: () throws -> Void) -> Bool {
    do {
      try body()
      return false
    } catch {
      #expect(error is StorageError, "\(error)")
      #expect(!"\(error)".isEmpty)
      return true
    }
  }

  /// Anything may come out, but the process must survive it. Returns whether there was room for it: a damaged count may
  /// be beyond what the input has.
  private func use(_ engine: AttentionEngine, _ context: StoredContext) throws -> Bool {
    let end = engine.tokenCount
    guard end <= 690 else { return false }
    _ = try context.decode(end..<end + 3, engine)
    _ = try engine.fork()
    // Positions that were damaged cannot be put in order.
    do { try engine.rewind(to: end / 2) } catch {}
    engine.updateIndex(finishing: true, askPosition: end, parallel: .serial)
    return true
  }

  @Test func everyChangeIsFound() throws {
    let saved = try Saved()
    #expect(saved.image.rows.count == 2 && saved.image.indexes != nil)
    var generator = SeededGenerator(seed: 5)
    var opened = 0
    for file in saved.image.files {
      let intact = try [UInt8](Data(contentsOf: URL(fileURLWithPath: file.path)))
      for mutation in 0..<mutations / 4 {
        var damaged = intact
        switch mutation % 3 {
        case 0:
          damaged[Int.random(in: 0..<damaged.count, using: &generator)] ^=
            1 << UInt8.random(in: 0..<8, using: &generator)
        case 1:
          // Where counts and offsets are.
          damaged[Int.random(in: 0..<min(400, damaged.count), using: &generator)] &+= .random(
            in: 1...255, using: &generator)
        default:
          damaged.removeLast(Int.random(in: 1...damaged.count, using: &generator))
        }
        try write(damaged, to: file.path)
        #expect(isRefused { _ = try saved.open(verifying: true) }, "\(file.name), mutation \(mutation)")
        var engine: AttentionEngine?
        if !isRefused({ engine = try saved.open(verifying: false) }), let engine {
          if try use(engine, saved.context) { opened += 1 }
        }
      }
      try write(intact, to: file.path)
    }
    #expect(opened > 0, "no damage went unnoticed, so nothing was tested")
    _ = try saved.open(verifying: true)
  }

  /// Nonsense behind a good start, with a good checksum, so that every later check is reached.
  @Test func sealedNonsenseIsSafe() throws {
    let saved = try Saved()
    var generator = SeededGenerator(seed: 6)
    var refused = 0
    var opened = 0
    for file in saved.image.files {
      let intact = try [UInt8](Data(contentsOf: URL(fileURLWithPath: file.path)))
      let headerSize = 64 + 48 * file.header.entries.count
      for _ in 0..<mutations / 4 {
        var damaged = intact
        for _ in 0..<Int.random(in: 1...3, using: &generator) {
          let inHeader = Int.random(in: 0..<4, using: &generator) > 0
          let offset = Int.random(in: 12..<(inHeader ? headerSize : damaged.count), using: &generator)
          damaged[offset] = Bool.random(using: &generator) ? .random(in: 0...255, using: &generator) : 0xff
        }
        damaged.sealSegment()
        try write(damaged, to: file.path)
        var engine: AttentionEngine?
        if isRefused({ engine = try saved.open(verifying: false) }) {
          refused += 1
        } else if let engine {
          if try use(engine, saved.context) { opened += 1 }
        }
      }
      try write(intact, to: file.path)
    }
    #expect(refused > mutations / 4 && opened > 0)
  }

  @Test func otherFilesAreRefused() throws {
    let saved = try Saved()
    let path = saved.image.state.path
    let intact = try [UInt8](Data(contentsOf: URL(fileURLWithPath: path)))
    var future = intact
    future[8] = 2
    try write(future, to: path)
    #expect(throws: StorageError.unsupportedVersion(path: path, expected: 1, actual: 2)) {
      _ = try saved.open(verifying: false)
    }
    try write(Array("Down the Rabbit-Hole".utf8) + [UInt8](repeating: 10, count: 100), to: path)
    #expect(throws: StorageError.notASegment(path: path)) { _ = try saved.open(verifying: false) }
    // One kind in the place of another.
    try write([UInt8](Data(contentsOf: URL(fileURLWithPath: saved.image.rows[0].path))), to: path)
    #expect(isRefused { _ = try saved.open(verifying: true) })
    try FileManager.default.removeItem(atPath: path)
    #expect(throws: StorageError.system(operation: "open", path: path, code: ENOENT)) {
      _ = try saved.open(verifying: false)
    }
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
    #expect(throws: StorageError.notASegment(path: path)) { _ = try saved.open(verifying: false) }
  }

  /// A saved context of other layers.
  @Test func otherShapesAreRefused() throws {
    let saved = try Saved()
    let shapes = [
      [try layerShape(heads: 2, kvHeads: 1, dimension: 8)],
      [
        try layerShape(heads: 2, kvHeads: 1, dimension: 16),
        try layerShape(heads: 2, kvHeads: 1, dimension: 16, window: 40),
      ],
      [
        try layerShape(heads: 2, kvHeads: 2, dimension: 8),
        try layerShape(heads: 2, kvHeads: 1, dimension: 16, window: 40),
      ],
      [
        try layerShape(heads: 4, kvHeads: 1, dimension: 8),
        try layerShape(heads: 2, kvHeads: 1, dimension: 16, window: 40),
      ],
    ]
    for shape in shapes {
      #expect(
        isRefused {
          _ = try AttentionEngine(
            shape: ModelShape(layers: shape), policy: saved.context.policy, capacity: 8192, image: saved.image
          )
        })
    }
    #expect(
      isRefused {
        _ = try AttentionEngine(
          shape: saved.context.engine.shape, policy: saved.context.policy, capacity: 100, image: saved.image)
      })
  }
}

extension [UInt8] {
  /// Makes the checksum of a changed header right, as docs/session-format.md says how.
  fileprivate mutating func sealSegment() {
    let count = Int(self[16]) | Int(self[17]) << 8 | Int(self[18]) << 16 | Int(self[19]) << 24
    let end = Swift.min(self.count, 64 + 48 * count)
    var sum = CRC32C()
    (Array(self[..<60]) + self[64..<Swift.max(64, end)]).withUnsafeBytes { sum.update($0) }
    for byte in 0..<4 { self[60 + byte] = UInt8(truncatingIfNeeded: sum.value >> (8 * UInt32(byte))) }
  }
}
