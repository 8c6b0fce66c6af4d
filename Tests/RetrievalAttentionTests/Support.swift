// A host's side of the engine, reference attention in Double, and a runner with threads.

import AttentionKernels
import Dispatch
import Foundation
import RetrievalAttention
import Synchronization
import VectorIndex

/// How far results may be off. Loosening one is a change to review.
enum Tolerance {
  /// Absolute, of outputs whose values lie in -1...1: scores of up to 10 are f32 sums with an error of about 1e-6
  /// of their size, which goes into the weights as it is.
  static let exact = 5e-5
  /// Absolute, of a merged output in f32.
  static let merge = 1e-5
  /// Relative, of a rotated element: two f32 products and a sum.
  static let rotation = 1e-6
}

/// f16 bits of random values in -1...1, and the values that the bits stand for.
func randomHalves(_ count: Int, using generator: inout SeededGenerator, scale: Float = 1) -> [UInt16] {
  let floats = (0..<count).map { _ in Float.random(in: -scale...scale, using: &generator) }
  return [UInt16](unsafeUninitializedCapacity: count) { target, written in
    written = count
    guard let start = target.baseAddress else { return }
    Kernels.active.unsafeConvertToFloat16(floats, start, count: count)
  }
}

func floats(_ bits: [UInt16]) -> [Float] {
  [Float](unsafeUninitializedCapacity: bits.count) { target, written in
    written = bits.count
    guard let start = target.baseAddress else { return }
    Kernels.active.unsafeConvertFromFloat16(bits, start, count: bits.count)
  }
}

/// Softmax attention of one query to rows `range` of `[rows, d]`, in Double, from the definition.
///
/// - Parameters:
///   - bend: what a scaled dot product with a row becomes.
///   - sink: the score of a key without a value.
func referenceAttention(
  query: ArraySlice<Float>, keys: [Float], values: [Float], dimension d: Int, rows range: Range<Int>,
  scale: Double, sink: Double? = nil, bend: (_ score: Double, _ row: Int) -> Double = { score, _ in score }
) -> (output: [Double], logSumExp: Double) {
  let query = query.map(Double.init)
  var scores = [Double](repeating: 0, count: range.count)
  for (i, row) in range.enumerated() {
    var sum = 0.0
    for k in 0..<d { sum += query[k] * Double(keys[row * d + k]) }
    scores[i] = bend(sum * scale, row)
  }
  let highest = max(scores.max() ?? -.infinity, sink ?? -.infinity)
  var output = [Double](repeating: 0, count: d)
  var total = sink.map { exp($0 - highest) } ?? 0
  for (i, row) in range.enumerated() {
    let weight = exp(scores[i] - highest)
    total += weight
    for k in 0..<d { output[k] += weight * Double(values[row * d + k]) }
  }
  return (output.map { total > 0 ? $0 / total : 0 }, highest + log(total))
}

/// Queries, keys and values of one layer for a whole sequence, as a host would hand them over batch by batch.
struct LayerInput {
  private(set) var layer: LayerShape
  let tokenCount: Int
  private(set) var queries: [Float]  // [token, head, d]
  private(set) var keys: [[UInt16]]  // [kvHead][token, d]
  let values: [[UInt16]]
  private var wideKeys: [[Float]]
  private var wideValues: [[Float]]

  init(_ layer: LayerShape, tokens: Int, seed: UInt64, queryScale: Float = 3) {
    var generator = SeededGenerator(seed: seed)
    let d = layer.headDimension
    self.layer = layer
    tokenCount = tokens
    queries = (0..<tokens * layer.headCount * d).map { _ in
      Float.random(in: -queryScale...queryScale, using: &generator)
    }
    var keys: [[UInt16]] = []
    var values: [[UInt16]] = []
    for _ in 0..<layer.kvHeadCount {
      keys.append(randomHalves(tokens * d, using: &generator))
      var rows = randomHalves(tokens * d, using: &generator)
      // Behind a narrower value is nothing.
      for i in rows.indices where i % d >= layer.valueDimension && !layer.valuesAreKeys { rows[i] = 0 }
      values.append(rows)
    }
    self.keys = keys
    self.values = values
    wideKeys = keys.map { floats($0) }
    wideValues = values.map { floats($0) }
  }

  /// The tokens of `first` before `cut`, and those of `second`, of the same layer, from there on.
  init(_ first: LayerInput, upTo cut: Int, then second: LayerInput) {
    let d = first.layer.headDimension
    layer = first.layer
    tokenCount = first.tokenCount
    queries = Array(
      first.queries[..<(cut * layer.headCount * d)] + second.queries[(cut * layer.headCount * d)...])
    keys = zip(first.keys, second.keys).map { Array($0[..<(cut * d)] + $1[(cut * d)...]) }
    values = zip(first.values, second.values).map { Array($0[..<(cut * d)] + $1[(cut * d)...]) }
    wideKeys = keys.map { floats($0) }
    wideValues = values.map { floats($0) }
  }

  /// What a layer that reads these keys and values is given: queries of its own.
  func sharing(keysOf owner: Int, seed: UInt64) -> LayerInput {
    var sharing = self
    sharing.queries = LayerInput(layer, tokens: tokenCount, seed: seed).queries
    sharing.layer.keyLayer = owner
    return sharing
  }

  /// The same tokens with something added to some elements of all keys.
  func addingToKeys(_ offsets: [Int: Float]) -> LayerInput {
    let d = layer.headDimension
    var changed = self
    for head in keys.indices {
      var wide = wideKeys[head]
      for token in 0..<tokenCount {
        for (element, offset) in offsets { wide[token * d + element] += offset }
      }
      changed.keys[head] = [UInt16](unsafeUninitializedCapacity: wide.count) { target, count in
        Kernels.active.unsafeConvertToFloat16(wide, target.baseAddress!, count: wide.count)
        count = wide.count
      }
      changed.wideKeys[head] = floats(changed.keys[head])
    }
    return changed
  }

  /// The same tokens, with some whose keys are longer than all others: every element is `element`.
  func withOutliers(_ tokens: [Int], element: Float) -> LayerInput {
    let d = layer.headDimension
    let bits = [UInt16](unsafeUninitializedCapacity: 1) { target, count in
      Kernels.active.unsafeConvertToFloat16([element], target.baseAddress!, count: 1)
      count = 1
    }
    var changed = self
    for head in keys.indices {
      for token in tokens {
        for i in token * d..<(token + 1) * d { changed.keys[head][i] = bits[0] }
      }
      changed.wideKeys[head] = floats(changed.keys[head])
    }
    return changed
  }

  /// The same tokens, with the keys and values in expected outputs that a store of this format has: eight bits round.
  func stored(as format: KeyValueFormat) -> LayerInput {
    var stored = self
    stored.wideKeys = keys.map { rounded($0, format.keys) }
    stored.wideValues = values.map { rounded($0, format.values) }
    return stored
  }

  private func rounded(_ rows: [UInt16], _ format: RowFormat) -> [Float] {
    let d = layer.headDimension
    guard format == .int8 else { return floats(rows) }
    var bytes = [UInt8](repeating: 0, count: tokenCount * format.bytesPerRow(dimension: d))
    return bytes.withUnsafeMutableBytes { bytes in
      let packed = PackedRows(bytes.baseAddress!, format: format, dimension: d)
      rows.withUnsafeBufferPointer {
        Kernels.active.unsafeQuantize(
          PackedRows($0.baseAddress!, stride: d), rowCount: tokenCount, dimension: d, offsets: nil,
          target: bytes.baseAddress!, targetStride: packed.stride)
      }
      return [Float](unsafeUninitializedCapacity: tokenCount * d) { target, count in
        Kernels.active.unsafeUnpack(
          packed, rowCount: tokenCount, dimension: d, target: target.baseAddress!, targetStride: d)
        count = tokenCount * d
      }
    }
  }

  /// The exact output of one token's head.
  ///
  /// - Parameter hidden: tokens that it does not see.
  func expected(token: Int, head: Int, hidden: Range<Int> = 0..<0) -> [Double] {
    Array(reference(token: token, head: head, hidden: hidden).output.prefix(layer.valueDimension))
  }

  /// What one token's head gives to another token, 0...1.
  func weight(of row: Int, token: Int, head: Int) -> Double {
    let all = reference(token: token, head: head, hidden: 0..<0).logSumExp
    let others = reference(token: token, head: head, hidden: row..<row + 1).logSumExp
    return 1 - exp(others - all)
  }

  private func reference(
    token: Int, head: Int, hidden: Range<Int>
  ) -> (output: [Double], logSumExp: Double) {
    let d = layer.headDimension
    let first = layer.firstVisible(from: token)
    let query = (token * layer.headCount + head) * d
    let kvHead = head / layer.groupSize
    return referenceAttention(
      query: queries[query..<query + d], keys: wideKeys[kvHead],
      values: layer.valuesAreKeys ? wideKeys[kvHead] : wideValues[kvHead], dimension: d,
      rows: first..<token + 1, scale: Double(layer.scale), sink: layer.sinks.map { Double($0[head]) }
    ) { score, row in
      if hidden.contains(row) { return -.infinity }
      let capped = layer.softCap.map { Double($0) * tanh(score / Double($0)) } ?? score
      return capped - Double(layer.distanceSlopes?[head] ?? 0) * Double(token - row)
    }
  }

  /// The largest difference of an output `[tokens, head, d]` from the exact one, at some of the tokens.
  func largestError(_ output: [Float], firstToken: Int, tokens: some Sequence<Int>) -> Double {
    let d = layer.headDimension
    var worst = 0.0
    for token in tokens {
      for head in 0..<layer.headCount {
        let row = ((token - firstToken) * layer.headCount + head) * d
        for (k, value) in expected(token: token, head: head).enumerated() {
          let error = abs(Double(output[row + k]) - value)
          worst = error.isNaN ? .infinity : max(worst, error)
        }
      }
    }
    return worst
  }
}

extension AttentionEngine {
  /// Attends to tokens `range` of the input and returns `[token, head, d]`.
  ///
  /// - Parameters:
  ///   - gap: elements of padding between rows, and between tokens, on all sides.
  ///   - headMajor: rows of one head stand together, instead of rows of one token.
  func attend(
    _ input: LayerInput, _ range: Range<Int>, layer: Int = 0, gap: Int = 0, headMajor: Bool = false,
    parallel: ParallelRunner = .serial, firstPosition: Int? = nil, options: CallOptions = CallOptions(),
    with followers: [AttentionEngine] = [], change: (inout AttentionCall) -> Void = { _ in }
  ) throws -> [Float] {
    let d = input.layer.headDimension
    let (heads, kvHeads) = (input.layer.headCount, input.layer.kvHeadCount)
    let width = d + gap
    func strides(_ heads: Int) -> (token: Int, head: Int) {
      headMajor ? (width, range.count * width + gap) : (heads * width + gap, width)
    }
    let (q, kv) = (strides(heads), strides(kvHeads))
    func extent(_ heads: Int, _ stride: (token: Int, head: Int)) -> Int {
      max(range.count, 1) * stride.token + heads * stride.head
    }
    var queries = [Float](repeating: .nan, count: extent(heads, q))
    var keys = [UInt16](repeating: 0x7e00, count: extent(kvHeads, kv))
    var values = keys
    for (i, token) in range.enumerated() {
      for head in 0..<heads {
        for k in 0..<d {
          queries[i * q.token + head * q.head + k] = input.queries[(token * heads + head) * d + k]
        }
      }
      for head in 0..<kvHeads {
        for k in 0..<d {
          keys[i * kv.token + head * kv.head + k] = input.keys[head][token * d + k]
          values[i * kv.token + head * kv.head + k] = input.values[head][token * d + k]
        }
      }
    }
    let untouched: Float = -12345
    var output = [Float](repeating: untouched, count: extent(heads, q))
    try queries.withUnsafeBufferPointer { queries in
      try keys.withUnsafeBufferPointer { keys in
        try values.withUnsafeBufferPointer { values in
          try output.withUnsafeMutableBufferPointer { output in
            let first = firstPosition ?? range.lowerBound
            var call = AttentionCall(
              layer: layer, shape: input.layer, tokens: first..<first + range.count,
              rows: TokenRows(
                queries: StridedRows(
                  reading: queries.baseAddress!, tokenStride: q.token, headStride: q.head),
                keys: StridedRows(reading: keys.baseAddress!, tokenStride: kv.token, headStride: kv.head),
                values: StridedRows(reading: values.baseAddress!, tokenStride: kv.token, headStride: kv.head),
                output: StridedRows(output.baseAddress!, tokenStride: q.token, headStride: q.head)))
            change(&call)
            let reader = PromptReader(self, followers: followers)
            try reader.attend(call, options: options, parallel: parallel)
          }
        }
      }
    }
    var result: [Float] = []
    for i in 0..<range.count {
      for head in 0..<heads {
        let row = i * q.token + head * q.head
        result += output[row..<row + d]
        for k in d..<width { precondition(output[row + k] == untouched, "wrote between rows") }
      }
    }
    return result
  }
}

extension CallOptions {
  static var exact: CallOptions { CallOptions(isExact: true) }

  static func observing(_ onHead: @escaping (DecodedHead) -> Void) -> CallOptions {
    CallOptions(observer: AttentionObserver(onHead: onHead))
  }

  static func fixed(_ fixed: any FixedAttention) -> CallOptions {
    var options = CallOptions()
    options.fixed = fixed
    return options
  }
}

extension ParallelRunner {
  /// Threads that take the next task when they are done with one.
  static func threads(_ count: Int) -> ParallelRunner {
    ParallelRunner(workerCount: count) { tasks, task in
      let next = Atomic(0)
      withoutActuallyEscaping(task) { task in
        let shared = SharedTask(run: task)
        DispatchQueue.concurrentPerform(iterations: count) { worker in
          while true {
            let index = next.wrappingAdd(1, ordering: .relaxed).oldValue
            guard index < tasks else { return }
            shared.run(index, worker)
          }
        }
      }
    }
  }
}

/// `@unchecked`: the runner's contract is that tasks may run at the same time.
private struct SharedTask: @unchecked Sendable {
  let run: (_ index: Int, _ worker: Int) -> Void
}

/// Retrieval with an index as early as possible, for tests with few tokens.
func smallRetrieval(
  sink: Int = 16, window: Int = 64, segment: Int = 512, insertion: Int = 64, minimum: Int = 128,
  tolerance: Float = 0
) -> RetrievalSettings {
  var settings = RetrievalSettings()
  settings.sinkCount = sink
  settings.windowCount = window
  settings.segmentCount = segment
  settings.insertionCount = insertion
  settings.minimumIndexedCount = minimum
  settings.search.tolerance = tolerance
  settings.search.maximumRetrieved = .max
  return settings
}

extension PackedRows {
  /// The bytes of some rows.
  func bytes(_ range: Range<Int>) -> [UInt8] {
    Array(UnsafeRawBufferPointer(start: from(range.lowerBound).base, count: range.count * stride))
  }
}

func layerShape(
  heads: Int = 3, kvHeads: Int = 1, dimension: Int = 32, window: Int? = nil, rotary: RotaryEmbedding? = nil
) throws -> LayerShape {
  try LayerShape(
    headCount: heads, kvHeadCount: kvHeads, headDimension: dimension,
    scale: 1 / Float(dimension).squareRoot(),
    slidingWindow: window, rotary: rotary)
}
