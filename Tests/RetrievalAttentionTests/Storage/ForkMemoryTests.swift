// What many forks cost.

#if os(Linux)
  import Foundation
  import RetrievalAttention
  import Testing

  @Suite struct ForkMemoryTests {
    /// The process's own memory and what it has of memory files, without what is shared counted twice.
    private func proportionalBytes() throws -> Int {
      var sum = 0
      let text = try String(contentsOfFile: "/proc/self/smaps_rollup", encoding: .utf8)
      for line in text.split(separator: "\n") where line.hasPrefix("Pss:") {
        sum += (line.split(separator: " ").compactMap { Int($0) }.first ?? 0) * 1024
      }
      return sum
    }

    @Test func aHundredForksCostTheirOwnTokens() throws {
      let layers = try (0..<4).map { _ in try layerShape(heads: 4, kvHeads: 2, dimension: 64) }
      let context = try StoredContext(
        layers.enumerated().map { LayerInput($1, tokens: 8200, seed: UInt64($0)) },
        policy: .retrieval(RetrievalSettings()), capacity: 32_768)
      try context.read(0..<8192, context.engine, batch: 2048)
      #expect(context.engine.indexedTokenCount > 7000)
      // The first fork moves the context into memory that can be shared, and warms what all use.
      _ = try context.decode(8192..<8194, context.engine.fork())
      let before = try proportionalBytes()
      let forks = try (0..<100).map { _ in try context.engine.fork() }
      let expected = try context.decode(8192..<8196, forks[0])
      for fork in forks.dropFirst() { #expect(try context.decode(8192..<8196, fork) == expected) }
      let after = try proportionalBytes()
      // 16 MiB of rows and 2 MiB of index and samples in each, if they were not shared. What is left is a page for
      // every array that grew or changed, and each fork's scratch memory.
      let each = (after - before) / 100
      #expect(
        each < (context.engine.storeByteCount + context.engine.indexByteCount) / 4, "\(each) bytes for each")
      print("a fork takes \(each) bytes of \(context.engine.storeByteCount)")
    }
  }
#endif
