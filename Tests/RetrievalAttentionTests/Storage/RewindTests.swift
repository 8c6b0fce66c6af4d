// Going back in a context, also into what is indexed, and on with other tokens.

import RetrievalAttention
import Testing

@Suite struct RewindTests {
  /// Tokens of `first` up to `cut`, then those of `second`.
  private func spliced(_ first: LayerInput, _ second: LayerInput, cut: Int) -> LayerInput {
    LayerInput(first, upTo: cut, then: second)
  }

  @Test(arguments: [0, 5, 16, 100, 700, 1300, 1450, 1499])
  func attentionIsRightAfterwards(cut: Int) throws {
    let rotary = RotaryEmbedding(layout: .rotateHalf, inverseFrequencies: [1, 0.1, 0.01])
    let layer = try layerShape(heads: 4, kvHeads: 2, dimension: 24, rotary: rotary)
    let (first, second) = (
      LayerInput(layer, tokens: 2000, seed: 1), LayerInput(layer, tokens: 2000, seed: 2)
    )
    // With tolerance 0 everything is read, so that the answer is exact whatever the index has learned.
    let old = try StoredContext([first], policy: .retrieval(smallRetrieval()), capacity: 16_384)
    let new = try StoredContext(
      [spliced(first, second, cut: cut)], policy: .retrieval(smallRetrieval()), capacity: 16_384)
    let engine = old.engine
    try old.read(0..<1500, engine, batch: 300)
    #expect(engine.indexedTokenCount > 1300)
    #expect(engine.canRewind(to: cut))
    try engine.rewind(to: cut)
    #expect(engine.tokenCount == cut)
    for head in 0..<2 {
      let rows = engine.rows(layer: 0, kvHead: head)
      #expect(rows.count == cut)
      #expect(Set((0..<cut).map { rows.positions[$0] }) == Set(0..<UInt32(cut)))
    }
    try new.read(cut..<1800, engine, batch: 250)
    #expect(engine.indexedTokenCount > 1300)
    let output = try new.decode(1800..<1820, engine)
    #expect(new.inputs[0].largestError(output, firstToken: 1800, tokens: [1800, 1819]) < Tolerance.exact)
    // And what was saved meanwhile is not mistaken for what is there now.
    let fork = try engine.fork()
    #expect(try new.decode(1820..<1900, fork) == new.decode(1820..<1900, engine))
  }

  @Test func savedContextsGoBackToo() throws {
    let layer = try layerShape(heads: 2, kvHeads: 1, dimension: 32)
    let input = LayerInput(layer, tokens: 2000, seed: 4)
    let context = try StoredContext(
      [input], policy: .retrieval(smallRetrieval(tolerance: 0.3)), capacity: 16_384)
    let (engine, reference) = (context.engine, try context.makeEngine())
    for engine in [engine, reference] { try context.read(0..<1500, engine, batch: 300) }
    let fork = try engine.fork()
    for engine in [fork, reference] {
      try engine.rewind(to: 900)
      try context.read(900..<1300, engine, batch: 100)
    }
    let directory = try TemporaryFolder()
    let image = try fork.freeze(to: .directory(directory.path, commit: 1, home: "a"))
    let reopened = try context.open(image)
    let expected = try context.decode(1300..<1400, reference)
    #expect(try context.decode(1300..<1400, fork) == expected)
    #expect(try context.decode(1300..<1400, reopened) == expected)
    #expect(engine.tokenCount == 1500, "the parent is where it was")
  }

  @Test func windowsThatHavePassedAreSaid() throws {
    let layer = try layerShape(heads: 2, kvHeads: 1, dimension: 32, window: 100)
    let context = try StoredContext(
      [LayerInput(layer, tokens: 9000, seed: 3)], policy: .exact, capacity: 16_384)
    try context.read(0..<9000, context.engine, batch: 3000)
    let kept = context.engine.rows(layer: 0, kvHead: 0).count
    #expect(kept < 9000)
    #expect(!context.engine.canRewind(to: 500))
    #expect(throws: AttentionError.self) { try context.engine.rewind(to: 500) }
    #expect(context.engine.tokenCount == 9000)
    #expect(context.engine.rows(layer: 0, kvHead: 0).count == kept)
    try context.engine.rewind(to: 8900)
    #expect(context.engine.tokenCount == 8900)
    try context.engine.rewind(to: 0)
    #expect(context.engine.tokenCount == 0)
    try context.read(0..<200, context.engine, batch: 100)
    #expect(throws: AttentionError.self) { try context.engine.rewind(to: -1) }
  }
}
