// What is noted of a token's attention, and attention without some tokens.

import AttentionModel
import Testing
import VectorIndex

@testable import RetrievalAttention

@Suite struct AttentionTraceTests {
  private let rotary = RotaryEmbedding(layout: .rotateHalf, inverseFrequencies: [1, 0.1, 0.01, 0.001])

  private func engine(_ layer: LayerShape, _ policy: AttentionPolicy) throws -> AttentionEngine {
    let engine = try AttentionEngine(shape: ModelShape(layers: [layer]), policy: policy, capacity: 4096)
    return engine
  }

  private func options(_ trace: AttentionTrace, isExact: Bool = false) -> CallOptions {
    var options = CallOptions()
    options.isGenerated = true
    options.isExact = isExact
    options.trace = trace
    return options
  }

  /// One token, drafts behind it, and drafts that are attended to exactly; all rows read, and some.
  @Test(arguments: [
    AttentionPolicy.exact, .retrieval(smallRetrieval()), .retrieval(smallRetrieval(tolerance: 0.01)),
  ])
  func weightsAreThoseOfSoftmax(policy: AttentionPolicy) throws {
    let layer = try layerShape(heads: 6, kvHeads: 2, rotary: rotary)
    let input = LayerInput(layer, tokens: 704, seed: 11, queryScale: 8)
    for (count, isExact) in [(1, false), (4, false), (4, true)] {
      let engine = try engine(layer, policy)
      _ = try engine.attend(input, 0..<700)
      engine.updateIndex(finishing: true, askPosition: 764, parallel: .serial)
      let trace = AttentionTrace(
        heads: [.init(layer: 0, head: 1), .init(layer: 0, head: 5)], leastWeight: 0.01)
      _ = try engine.attend(input, 700..<700 + count, options: options(trace, isExact: isExact))
      for token in 700..<700 + count {
        let found = trace.weights(of: token)
        #expect(!found.isEmpty)
        #expect(Set(found.map { [$0.head, $0.position] }).count == found.count, "noted twice")
        for weight in found {
          let head = trace.heads[weight.head].head
          let expected = input.weight(of: weight.position, token: token, head: head)
          #expect(abs(Double(weight.weight) - expected) < 0.02)
        }
        // The largest weights are all there, but for those of drafts, which only the exact pass notes.
        for (number, head) in trace.heads.enumerated() {
          let best =
            (0..<700).max {
              input.weight(of: $0, token: token, head: head.head)
                < input.weight(of: $1, token: token, head: head.head)
            } ?? 0
          #expect(found.contains { $0.head == number && $0.position == best })
        }
      }
      #expect(trace.weights(of: 699).isEmpty)
    }
  }

  /// Also where a prompt comes in batches.
  @Test(arguments: [AttentionTrace.templateTokens, AttentionTrace.questionTokens])
  func thePromptsLastTokensAreNoted(count: Int) throws {
    let layer = try layerShape(heads: 6, kvHeads: 2, rotary: rotary)
    let input = LayerInput(layer, tokens: 400, seed: 15, queryScale: 8)
    let trace = AttentionTrace(heads: [.init(layer: 0, head: 5)], promptTokens: count, leastWeight: 0.01)
    let engine = try engine(layer, .retrieval(smallRetrieval()))
    var options = options(trace)
    (options.isGenerated, options.promptEnd) = (false, 400)
    for batch in [0..<370, 370..<400] { _ = try engine.attend(input, batch, options: options) }
    for token in 0..<400 {
      let found = trace.weights(of: token)
      #expect(found.isEmpty == (token < 400 - count))
      for weight in found {
        #expect(abs(Double(weight.weight) - input.weight(of: weight.position, token: token, head: 5)) < 0.02)
      }
    }
  }

  @Test func aTokenThatTakesAnotherPlaceReplacesWhatWasNoted() throws {
    let layer = try layerShape(rotary: rotary)
    let (input, other) = (LayerInput(layer, tokens: 300, seed: 12), LayerInput(layer, tokens: 300, seed: 13))
    let trace = AttentionTrace(heads: [.init(layer: 0, head: 0)], leastWeight: 0.01)
    let engine = try engine(layer, .exact)
    _ = try engine.attend(input, 0..<290)
    _ = try engine.attend(LayerInput(input, upTo: 290, then: other), 290..<291, options: options(trace))
    let wrong = trace.weights(of: 290)
    try engine.truncate(to: 290)
    _ = try engine.attend(input, 290..<291, options: options(trace))
    let right = trace.weights(of: 290)
    #expect(right != wrong)
    for weight in right {
      #expect(abs(Double(weight.weight) - input.weight(of: weight.position, token: 290, head: 0)) < 0.02)
    }
  }

  @Test(arguments: [AttentionPolicy.exact, .retrieval(smallRetrieval())])
  func hiddenTokensAreAsIfTheyWereNot(policy: AttentionPolicy) throws {
    let layer = try layerShape(heads: 6, kvHeads: 2, rotary: rotary)
    let input = LayerInput(layer, tokens: 704, seed: 14, queryScale: 8)
    let engine = try engine(layer, policy)
    _ = try engine.attend(input, 0..<700)
    engine.updateIndex(finishing: true, askPosition: 764, parallel: .serial)
    for hidden in [0..<1, 100..<160, 640..<700] {
      var options = CallOptions()
      (options.isGenerated, options.isExact, options.hidden) = (true, true, [hidden])
      for count in [1, 4] {
        let output = try engine.attend(input, 700..<700 + count, options: options)
        for token in 0..<count {
          for head in 0..<6 {
            let expected = input.expected(token: 700 + token, head: head, hidden: hidden)
            let row = output[(token * 6 + head) * 32..<(token * 6 + head + 1) * 32]
            for (found, expected) in zip(row, expected) {
              #expect(abs(Double(found) - expected) < Tolerance.exact)
            }
          }
        }
        try engine.truncate(to: 700)
      }
    }
  }
}
