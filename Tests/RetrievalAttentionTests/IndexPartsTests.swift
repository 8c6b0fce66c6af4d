// An index that is built with pauses is the one that is built at once.

import RetrievalAttention
import Testing

@Suite struct IndexPartsTests {
  @Test func pausesChangeNothing() throws {
    let shapes = try (0..<4).map { _ in try layerShape(heads: 4, kvHeads: 2, dimension: 24) }
    let context = try StoredContext(
      shapes.enumerated().map { LayerInput($1, tokens: 1600, seed: UInt64($0)) },
      policy: .retrieval(smallRetrieval(tolerance: 0.3)), capacity: 4096)
    let (atOnce, inParts) = (context.engine, try context.makeEngine())
    var pauses = 0
    for (batch, start) in stride(from: 0, to: 1500, by: 300).enumerated() {
      for engine in [atOnce, inParts] {
        for (layer, input) in context.inputs.enumerated() {
          _ = try engine.attend(input, start..<start + 300, layer: layer)
        }
      }
      let isLast = batch == 4
      #expect(atOnce.needsIndexUpdate(finishing: isLast) == inParts.needsIndexUpdate(finishing: isLast))
      atOnce.updateIndex(finishing: isLast, askPosition: 1628, parallel: .serial)
      while !inParts.updateIndex(finishing: isLast, askPosition: 1628, parallel: .serial, pauses: { true }) {
        pauses += 1
        #expect(inParts.needsIndexUpdate(finishing: isLast))
      }
      #expect(!inParts.needsIndexUpdate(finishing: isLast))
    }
    #expect(pauses > 1)
    #expect(inParts.indexedTokenCount == atOnce.indexedTokenCount)
    #expect(inParts.indexedTokenCount > 1000)
    #expect(try context.decode(1500..<1600, inParts) == context.decode(1500..<1600, atOnce))
  }
}
