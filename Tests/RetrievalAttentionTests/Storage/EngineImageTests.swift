// Engines that are frozen, forked and reopened: to the bit what they would have been without.

import AttentionKernels
import Foundation
import RetrievalAttention
import Testing
import VectorIndex

@Suite struct EngineImageTests {
  enum Kind: String, CaseIterable {
    case exact, retrieval, sliding, mixed, eightBit

    var format: KeyValueFormat {
      self == .eightBit ? KeyValueFormat(keys: .int8, values: .int8) : KeyValueFormat()
    }
  }

  private static func makeInputs(_ kind: Kind, tokens: Int) throws -> [LayerInput] {
    let rotary = RotaryEmbedding(layout: .rotateHalf, inverseFrequencies: [1, 0.1, 0.01, 0.001])
    let full = try layerShape(heads: 4, kvHeads: 2, dimension: 24, rotary: rotary)
    let sliding = try layerShape(heads: 2, kvHeads: 1, dimension: 32, window: 100)
    let layers =
      switch kind {
      case .exact, .retrieval: [full]
      case .sliding: [sliding]
      case .mixed, .eightBit: [full, sliding, full]
      }
    let inputs = layers.enumerated().map { LayerInput($1, tokens: tokens, seed: UInt64($0 + 3)) }
    // So that something is taken away from keys before they are rounded.
    return kind == .eightBit ? inputs.map { $0.addingToKeys([5: 50]) } : inputs
  }

  static func makePair(_ kind: Kind, tokens: Int) throws -> StoredContext {
    try StoredContext(
      makeInputs(kind, tokens: tokens),
      policy: kind == .exact || kind == .sliding ? .exact : .retrieval(smallRetrieval(tolerance: 0.3)),
      capacity: max(tokens, 4 * AttentionEngine.maximumBatch), format: kind.format)
  }

  @Test(arguments: Kind.allCases)
  func reopenedEnginesGoOnToTheBit(kind: Kind) throws {
    let directory = try TemporaryFolder()
    let context = try Self.makePair(kind, tokens: 2600)
    let (reference, engine) = (context.engine, try context.makeEngine())
    for engine in [reference, engine] { try context.read(0..<1500, engine, batch: 500) }
    for engine in [reference, engine] { _ = try context.decode(1500..<1520, engine) }
    let image = try engine.freeze(to: .directory(directory.path, commit: 1, home: directory.path))
    let reopened = try context.open(try reopen(image))
    #expect(reopened.tokenCount == 1520)
    #expect(reopened.indexedTokenCount == reference.indexedTokenCount)
    #expect((reference.indexedTokenCount > 0) == (kind != .exact && kind != .sliding))
    // Past an insertion into the index, which learns from samples of before.
    let expected = try context.decode(1520..<1700, reference)
    #expect(try context.decode(1520..<1700, reopened) == expected)
    #expect(reopened.indexedTokenCount == reference.indexedTokenCount)
    #expect(try context.decode(1520..<1700, engine) == expected, "freezing changed the engine")
    for engine in [reference, reopened] { try context.read(1700..<2500, engine, batch: 400) }
    #expect(try context.decode(2500..<2600, reopened) == context.decode(2500..<2600, reference))
  }

  /// Tolerances of each layer are settings of search, which are in no file.
  @Test func forksAreSearchedAsTheOriginal() throws {
    var settings = smallRetrieval(tolerance: 0.3)
    settings.layerTolerances = [0, 0.5, 0.3]
    let inputs = try Self.makeInputs(.mixed, tokens: 1600)
    let context = try StoredContext(inputs, policy: .retrieval(settings), capacity: 16_384)
    try context.read(0..<1500, context.engine, batch: 500)
    let reference = try context.makeEngine()
    try context.read(0..<1500, reference, batch: 500)
    let fork = try context.engine.fork().fork()
    let expected = try context.decode(1500..<1520, reference)
    #expect(try context.decode(1500..<1520, fork) == expected)
    #expect(
      try context.decode(1500..<1520, context.engine) == expected,
      "a fork changed how the original is searched")
  }

  /// What forks share is counted once, and they can be cut back as the original can.
  @Test func sharedMemoryIsCountedOnce() throws {
    let context = try Self.makePair(.retrieval, tokens: 1600)
    try context.read(0..<1500, context.engine, batch: 500)
    let alone = ContextFootprint(of: [context.engine]).byteCount
    let engine = context.engine
    #expect(alone == engine.storeByteCount + engine.indexByteCount + engine.sampleByteCount)
    #expect(engine.isForkable)
    let forks = try (0..<5).map { _ in try engine.fork() }
    let together = ContextFootprint(of: [engine] + forks).byteCount
    // Arrays begin at whole pages of their files.
    #expect(abs(together - alone) < alone / 10, "\(together) bytes, \(alone) for one")
    _ = try context.decode(1500..<1501, forks[0])
    #expect(ContextFootprint(of: [engine] + forks).byteCount > together)
    #expect(throws: AttentionError.self) { try forks[1].checkTruncation(to: 200) }
    try forks[1].checkTruncation(to: 1490)
    #expect(forks[1].tokenCount == 1500)
  }

  /// Many commits, some of which take over what is before, and some not.
  @Test(arguments: Kind.allCases, [false, true])
  func commitsFollowEachOther(kind: Kind, adopts: Bool) throws {
    let directory = try TemporaryFolder()
    let context = try Self.makePair(kind, tokens: 2600)
    let (reference, engine) = (context.engine, try context.makeEngine())
    var end = 0
    var images: [EngineImage] = []
    var generator = SeededGenerator(seed: 11)
    for commit in 1...14 {
      let next = end + (commit == 1 ? 900 : Int.random(in: 1...120, using: &generator))
      for engine in [reference, engine] { try context.read(end..<next, engine, batch: 300) }
      let image = try engine.freeze(to: .directory(directory.path, commit: commit, home: directory.path))
      image.didCommit(to: directory.path)
      if adopts { try engine.adopt(image) }
      images.append(image)
      end = next
      let reopened = try context.open(try reopen(image))
      #expect(context.rows(reopened) == context.rows(reference), "commit \(commit)")
    }
    if adopts { #expect(try #require(images.last).rows.count < 8) }
    let reopened = try context.open(try reopen(try #require(images.last)))
    let expected = try context.decode(end..<end + 100, reference)
    #expect(try context.decode(end..<end + 100, reopened) == expected)
    #expect(try context.decode(end..<end + 100, engine) == expected)
  }

  @Test(arguments: Kind.allCases)
  func forksDoNotDisturbEachOther(kind: Kind) throws {
    let context = try Self.makePair(kind, tokens: 1900)
    let reference = context.engine
    let engine = try context.makeEngine()
    for engine in [reference, engine] { try context.read(0..<1500, engine, batch: 500) }
    let first = try engine.fork()
    let second = try first.fork()
    // Different tokens at the same positions, in turn, past insertions into each one's index.
    let others = try context.changed(seed: 99)
    var answers: [[Float]] = [[], [], []]
    for start in stride(from: 1500, to: 1740, by: 60) {
      answers[0] += try context.decode(start..<start + 60, first)
      answers[1] += try others.decode(start..<start + 60, second)
      answers[2] += try context.decode(start..<start + 60, engine)
    }
    let expected = try context.decode(1500..<1740, reference)
    #expect(answers[0] == expected)
    #expect(answers[2] == expected)
    #expect(answers[1] != expected)
    let third = try second.fork()
    #expect(try others.decode(1740..<1800, third) == others.decode(1740..<1800, second))
    let fourth = try engine.fork()
    #expect(try context.decode(1740..<1800, fourth) == context.decode(1740..<1800, reference))
  }

  @Test func aFullDiskLeavesEverythingAsItWas() throws {
    let context = try Self.makePair(.mixed, tokens: 1600)
    let directory = try TemporaryFolder()
    let (reference, engine) = (context.engine, try context.makeEngine())
    for engine in [reference, engine] { try context.read(0..<1500, engine, batch: 500) }
    let image = try engine.freeze(to: .directory(directory.path, commit: 1, home: directory.path))
    let size = image.files.reduce(0) { $0 + $1.header.byteCount }
    let names = directory.names
    for limit in stride(from: 0, to: size / 2, by: size / 40) {
      #expect(throws: StorageError.self) {
        try WriteLimit.$current.withValue(WriteLimit(bytes: limit)) {
          _ = try engine.freeze(to: .directory(directory.path, commit: 2, home: directory.path))
        }
      }
      #expect(directory.names == names, "\(limit) bytes")
    }
    #expect(try context.decode(1500..<1600, engine) == context.decode(1500..<1600, reference))
  }

  private func reopen(_ image: EngineImage) throws -> EngineImage {
    func open(_ file: SegmentFile) throws -> SegmentFile {
      let file = try SegmentFile(opening: file.path, home: file.home)
      try file.verify()
      return file
    }
    return try EngineImage(
      rows: image.rows.map(open), indexes: image.indexes.map(open), state: open(image.state))
  }
}
