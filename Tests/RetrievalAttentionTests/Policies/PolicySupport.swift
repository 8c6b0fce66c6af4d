// Running a policy on a synthetic layer, and attention from the definition to compare it with.

import Foundation
import AttentionKernels
import AttentionPolicies
import RetrievalAttention
import Testing
import VectorIndex

/// A layer's input and what the references of policies need of it, in Double.
struct PolicyInput {
  let input: LayerInput
  let keys: [[[Double]]]  // [kvHead][token][d]
  let values: [[[Double]]]

  var layer: LayerShape { input.layer }

  init(_ layer: LayerShape, tokens: Int, seed: UInt64, queryScale: Float = 3) {
    self.init(LayerInput(layer, tokens: tokens, seed: seed, queryScale: queryScale))
  }

  init(_ input: LayerInput) {
    self.input = input
    let (d, tokens) = (input.layer.headDimension, input.tokenCount)
    func wide(_ rows: [[UInt16]]) -> [[[Double]]] {
      rows.map { bits in
        let all = floats(bits).map(Double.init)
        return (0..<tokens).map { Array(all[$0 * d..<($0 + 1) * d]) }
      }
    }
    keys = wide(input.keys)
    values = wide(input.values)
  }

  /// The scaled query of a token's head.
  func query(token: Int, head: Int) -> [Double] {
    let d = layer.headDimension
    let first = (token * layer.headCount + head) * d
    return input.queries[first..<first + d].map { Double($0 * layer.scale) }
  }

  /// The heads that share a KV head.
  func group(_ kvHead: Int) -> Range<Int> { kvHead * layer.groupSize..<(kvHead + 1) * layer.groupSize }

  func score(token: Int, head: Int, key: Int) -> Double {
    dot(query(token: token, head: head), keys[head / layer.groupSize][key])
  }

  /// The softmax weights that a token's head gives to some keys.
  func weights(token: Int, head: Int, keys: [Int]) -> [Double] {
    let scores = keys.map { score(token: token, head: head, key: $0) }
    let highest = scores.max() ?? 0
    let exponentials = scores.map { exp($0 - highest) }
    let total = exponentials.reduce(0, +)
    return exponentials.map { $0 / total }
  }

  /// The attention of a token's head to some keys, each of which may count for more than one.
  func attention(token: Int, head: Int, keys rows: [Int], logCounts: [Double]? = nil) -> [Double] {
    let scores = rows.map { score(token: token, head: head, key: $0) }
    return attention(
      scores: zip(scores, logCounts ?? scores.map { _ in 0 }).map { $0 + $1 },
      values: rows.map { values[head / layer.groupSize][$0] })
  }

  /// The mean of values weighted by the exponentials of scores.
  func attention(scores: [Double], values: [[Double]]) -> [Double] {
    let highest = scores.max() ?? 0
    var result = [Double](repeating: 0, count: layer.headDimension)
    var total = 0.0
    for (score, value) in zip(scores, values) {
      let weight = exp(score - highest)
      total += weight
      for k in result.indices { result[k] += weight * value[k] }
    }
    return result.map { $0 / total }
  }
}

func dot(_ a: [Double], _ b: [Double]) -> Double { zip(a, b).reduce(0) { $0 + $1.0 * $1.1 } }

/// The indices of the highest values, of equal ones the lower index first, ascending.
func highest(_ count: Int, of values: [Double]) -> [Int] {
  let ranked = values.indices.sorted { values[$0] == values[$1] ? $0 < $1 : values[$0] > values[$1] }
  return ranked.prefix(count).sorted()
}

/// HiP's search among `blocks` blocks of keys: `kept` spans of them are halved, and the best halves kept, until each is
/// one block. Returns their numbers.
func blocksByHalving(_ blocks: Int, kept: Int, judge: (_ middle: Int) -> Double) -> [Int] {
  var spans = (0..<kept).map { $0 * blocks / kept..<($0 + 1) * blocks / kept }
  while spans.contains(where: { $0.count > 1 }) {
    let halves = spans.flatMap { span -> [Range<Int>] in
      let middle = span.lowerBound + span.count / 2
      return [span.lowerBound..<middle, middle..<span.upperBound].filter { !$0.isEmpty }
    }
    spans = highest(kept, of: halves.map { judge($0.lowerBound + $0.count / 2) }).map { halves[$0] }
  }
  return spans.map(\.lowerBound)
}

/// An engine of one layer with a policy.
struct PolicyRun {
  let data: PolicyInput
  let engine: AttentionEngine
  let parallel: ParallelRunner

  init(
    _ policy: AttentionPolicy, _ data: PolicyInput, format: KeyValueFormat = KeyValueFormat(),
    parallel: ParallelRunner = .serial
  ) throws {
    self.data = data
    self.parallel = parallel
    engine = try AttentionEngine(
      shape: ModelShape(layers: [data.layer], format: format), policy: policy, capacity: data.input.tokenCount
    )
  }

  /// Reads a prompt in batches.
  ///
  /// - Parameter others: whose engines follow this one.
  func prompt(_ range: Range<Int>, batch: Int = 100, with others: [PolicyRun] = []) throws {
    for first in stride(from: range.lowerBound, to: range.upperBound, by: batch) {
      let last = min(first + batch, range.upperBound)
      _ = try engine.attend(data.input, first..<last, parallel: parallel, with: others.map(\.engine))
      for run in [self] + others {
        run.engine.updateIndex(
          finishing: last == range.upperBound, askPosition: range.upperBound + 128, parallel: parallel)
      }
    }
  }

  /// Reads tokens one by one and returns their outputs `[token, head, d]`.
  func decode(_ range: Range<Int>, options: CallOptions = CallOptions()) throws -> [Float] {
    var output: [Float] = []
    for token in range {
      output += try engine.attend(data.input, token..<token + 1, parallel: parallel, options: options)
      guard !options.isExact else { continue }
      engine.updateIndex(finishing: true, askPosition: token + 128, parallel: parallel)
    }
    return output
  }

  /// Reads tokens one by one and compares each output with what a reference says.
  func expect(
    _ range: Range<Int>, tolerance: Double = Tolerance.exact,
    _ expected: (_ token: Int, _ head: Int) -> [Double],
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let d = data.layer.headDimension
    for token in range {
      let output = try decode(token..<token + 1)
      for head in 0..<data.layer.headCount {
        let reference = expected(token, head)
        let error = (0..<d).map { abs(Double(output[head * d + $0]) - reference[$0]) }.max() ?? .infinity
        #expect(error < tolerance, "token \(token), head \(head)", sourceLocation: sourceLocation)
      }
    }
  }
}
