// What the engine tells about single heads, against definitions in Double.

import Foundation
import RetrievalAttention
import Testing
import VectorIndex

@Suite struct HeadObserverTests {
  private func prepared(
    _ settings: RetrievalSettings, input: LayerInput, layers: Int = 1
  ) throws -> AttentionEngine {
    let engine = try AttentionEngine(
      shape: ModelShape(layers: Array(repeating: input.layer, count: layers)), policy: .retrieval(settings),
      capacity: 1024)
    for layer in 0..<layers { _ = try engine.attend(input, 0..<900, layer: layer) }
    engine.updateIndex(finishing: true, askPosition: 964, parallel: .serial)
    #expect(engine.indexedTokenCount > 700)
    return engine
  }

  /// Weights of exact attention on the rows that `isRead` says, in Double.
  private func mass(_ input: LayerInput, token: Int, head: Int, isRead: (Int) -> Bool) -> Double {
    let d = input.layer.headDimension
    let keys = floats(input.keys[head / input.layer.groupSize])
    let query = input.queries[
      (token * input.layer.headCount + head) * d..<(token * input.layer.headCount + head + 1) * d]
    let scores = (0...token).map { row in
      zip(query, keys[row * d..<(row + 1) * d]).reduce(0.0) { $0 + Double($1.0) * Double($1.1) }
        * Double(input.layer.scale)
    }
    let highest = scores.max() ?? 0
    let weights = scores.map { exp($0 - highest) }
    return weights.indices.reduce(0.0) { $0 + (isRead($1) ? weights[$1] : 0) } / weights.reduce(0, +)
  }

  /// Groups of three query heads, and of twenty, which are attended to in two blocks.
  @Test(arguments: [1, 3], [3, 20]) func massAndErrorByDefinition(workers: Int, group: Int) throws {
    let input = LayerInput(try layerShape(heads: 2 * group, kvHeads: 2), tokens: 904, seed: 21)
    // Nothing of the index is read exactly: the mass is that of sink and window.
    let engine = try prepared(smallRetrieval(tolerance: 1e9), input: input)
    let indexed = 16..<16 + engine.indexedTokenCount
    var heads: [DecodedHead] = []
    let options = CallOptions.observing { heads.append($0) }
    let parallel: ParallelRunner = workers == 1 ? .serial : .threads(workers)
    let d = input.layer.headDimension
    for token in 900..<904 {
      heads = []
      let output = try engine.attend(input, token..<token + 1, parallel: parallel, options: options)
      #expect(heads.map(\.kvHead) == [0, 1])
      for head in heads {
        for g in 0..<group {
          let number = head.kvHead * group + g
          let exact = input.expected(token: token, head: number)
          let mine = output[number * d..<(number + 1) * d].map(Double.init)
          let distance = zip(mine, exact).reduce(0.0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
          let norm = exact.reduce(0.0) { $0 + $1 * $1 }
          #expect(abs(head.outputErrors[g] - (distance / norm).squareRoot()) < 1e-3)
          #expect(head.outputErrors[g] > 1e-3, "an estimate is not exact")
          let expected = mass(input, token: token, head: number) { !indexed.contains($0) }
          #expect(abs(try #require(head.recoveredMass)[g] - expected) < 1e-3)
        }
      }
    }
  }

  /// What each block reads counts for its own query heads: the mass is that of the keys that they were shown.
  @Test func blocksChooseForThemselves() throws {
    let input = LayerInput(try layerShape(heads: 40, kvHeads: 1), tokens: 910, seed: 25)
    let engine = try prepared(smallRetrieval(tolerance: 0.1), input: input)
    var masses: [Double] = []
    let options = CallOptions.observing { masses += $0.recoveredMass ?? [] }
    for token in 900..<910 {
      let output = try engine.attend(input, token..<token + 1, parallel: .threads(2), options: options)
      #expect(input.largestError(output, firstToken: token, tokens: [token]) < 0.5)
    }
    #expect(masses.count == 400)
    #expect(masses.allSatisfy { $0 > 0.3 })
    // Four blocks of ten: the share is of what each of them could have read.
    #expect((0.01...1).contains(engine.statistics.keysRead))
  }

  @Test func readingEverythingLosesNothing() throws {
    let input = LayerInput(try layerShape(), tokens: 910, seed: 22)
    for isExact in [false, true] {
      let engine = try prepared(smallRetrieval(tolerance: 0), input: input)
      var count = 0
      var options = CallOptions.observing { head in
        count += 1
        #expect(head.outputErrors.allSatisfy { $0 < 1e-3 })
        #expect(head.recoveredMass?.allSatisfy { abs($0 - 1) < 1e-3 } == true)
      }
      options.isExact = isExact
      for token in 900..<910 {
        _ = try engine.attend(input, token..<token + 1, parallel: .threads(2), options: options)
      }
      #expect(count == 10)
    }
  }

  /// Observing changes no output, and nothing is noted when nobody observes.
  @Test func observingChangesNothing() throws {
    let input = LayerInput(try layerShape(), tokens: 910, seed: 23)
    var outputs: [[Float]] = []
    for observes in [false, true] {
      let engine = try prepared(smallRetrieval(tolerance: 0.3), input: input)
      let options = observes ? CallOptions.observing { _ in } : CallOptions()
      outputs.append(try (900..<910).flatMap { try engine.attend(input, $0..<$0 + 1, options: options) })
    }
    #expect(outputs[0] == outputs[1])
  }

  @Test func layersHaveTolerancesOfTheirOwn() throws {
    let input = LayerInput(try layerShape(), tokens: 902, seed: 24)
    var settings = smallRetrieval(tolerance: 0.3)
    settings.layerTolerances = [0, 1e9, 0.3]
    let engine = try prepared(settings, input: input, layers: 3)
    var masses: [Int: Double] = [:]
    let options = CallOptions.observing { masses[$0.layer] = $0.recoveredMass?[0] }
    for layer in 0..<3 { _ = try engine.attend(input, 900..<901, layer: layer, options: options) }
    let (all, none, some) = (try #require(masses[0]), try #require(masses[1]), try #require(masses[2]))
    #expect(abs(all - 1) < 1e-3 && none < some && some < 0.999)
    // A search for all layers replaces them, and settings without tolerances of their own too.
    settings.layerTolerances = []
    settings.search.tolerance = 0
    engine.applySearch(of: settings)
    for layer in 0..<3 { _ = try engine.attend(input, 901..<902, layer: layer, options: options) }
    for layer in 0..<3 { #expect(abs((masses[layer] ?? 0) - 1) < 1e-3) }

    for tolerances: [Float] in [[0.1], [0.1, 0.1, -1], [0.1, 0.1, .nan]] {
      settings.layerTolerances = tolerances
      #expect(throws: AttentionError.self) { try prepared(settings, input: input, layers: 3) }
    }
  }
}
