// The kernels of decode and prefill, at the shapes of small models, against what the machine can do.

import AttentionKernels
import VectorIndex

extension MachineBenchmark {
  /// Dimension and query heads that share a KV head: SmolLM2-135M and Qwen2.5-1.5B.
  private static let shapes = [(dimension: 64, queries: 3), (dimension: 128, queries: 6)]
  static var kernelCount: Int { 6 * shapes.count }

  func measureKernels(
    _ memory: ProbeMemory, step: (_ name: String, _ body: () throws -> Void) throws -> Void
  ) throws {
    for shape in Self.shapes {
      for (keys, values) in [(RowFormat.float16, RowFormat.float16), (.int8, .int8), (.int8, .float16)] {
        try step("attend") {
          measureDecode(memory, shape.dimension, shape.queries, keys: keys, values: values)
        }
      }
      try step("centroid scan") { measureScan(memory, shape.dimension, shape.queries) }
      try step("code scan") { measureCodes(memory, shape.dimension, shape.queries) }
      try step("prefill") { measurePrefill(memory, shape.dimension) }
    }
  }

  private func add(
    _ name: String, _ shape: String, bytes: Int, operations: Int?, seconds: Double
  ) {
    let rate = Double(bytes) / seconds / 1e9
    let flops = operations.map { Double($0) / seconds / 1e9 }
    report.kernels.append(
      MachineReport.Kernel(
        name: name, shape: shape, gigabytesPerSecond: rate, gigaflops: flops,
        bandwidthShare: rate / report.bandwidth, peakShare: flops.map { $0 / report.peakGigaflops },
        intensity: operations.map { Double($0) / Double(bytes) }))
  }

  private func queries(_ count: Int, dimension d: Int, in scratch: borrowing Scratch) -> FloatRows {
    let queries = unsafe scratch.floats(count * d)
    for i in 0..<count * d { unsafe queries[i] = Float(i * 37 % 11 - 5) / 64 }
    return unsafe FloatRows(queries, count: count, dimension: d)
  }

  private func measureDecode(_ memory: ProbeMemory, _ d: Int, _ g: Int, keys: RowFormat, values: RowFormat) {
    let (keyStride, valueStride) = (keys.bytesPerRow(dimension: d), values.bytesPerRow(dimension: d))
    let rows = pieceBytes / (keyStride + valueStride) / 128 * 128
    let scratch = Workspace().scope()
    let states = unsafe StatePointers(count: g, dimension: d, in: scratch)
    let kernelScratch = unsafe scratch.floats(Kernels.attendScratchCount(queryCount: g))
    let queries = queries(g, dimension: d, in: scratch)
    let seconds = shortest(bytes: pieceBytes, of: memory) { offset in
      states.clear()
      unsafe kernels.unsafeAttend(
        queries,
        to: KeyValueRows(
          keys: PackedRows(base: memory.base + offset, stride: keyStride, format: keys),
          values: PackedRows(
            base: memory.base + offset + rows * keyStride, stride: valueStride, format: values)),
        .first(rows), states: states, scratch: kernelScratch)
    }
    unsafe sink += states.sums[0]
    add(
      "attend \(keys.rawValue)/\(values.rawValue)", "d \(d), \(g) queries",
      bytes: rows * (keyStride + valueStride), operations: 4 * g * d * rows, seconds: seconds)
  }

  private func measureScan(_ memory: ProbeMemory, _ d: Int, _ g: Int) {
    // Centroids of 128K keys.
    let rows = 2048
    let scratch = Workspace().scope()
    let scores = unsafe scratch.floats(g * rows)
    let queries = queries(g, dimension: d, in: scratch)
    let seconds = shortest(bytes: rows * d * 2, of: memory) { offset in
      unsafe kernels.unsafeDot(
        queries, with: PackedRows(base: memory.base + offset, stride: 2 * d, format: .float16), .first(rows),
        scores: scores)
    }
    unsafe sink += scores[0]
    add(
      "centroid scan f16", "d \(d), \(g) queries", bytes: rows * d * 2, operations: 2 * g * d * rows,
      seconds: seconds)
  }

  private func measureCodes(_ memory: ProbeMemory, _ d: Int, _ g: Int) {
    let subquantizers = d / 2
    let rows = 32768
    let bytes = rows / Kernels.pqBlockRows * Kernels.pq4BlockByteCount(subquantizers: subquantizers)
    let scratch = Workspace().scope()
    let scores = unsafe scratch.floats(g * rows)
    let tables = unsafe scratch.bytes(g * subquantizers * 16)
    for i in 0..<g * subquantizers * 16 { unsafe tables[i] = UInt8(i * 29 % 63) }
    let scales = unsafe scratch.floats(g)
    unsafe scales.update(repeating: 1, count: g)
    let queries = unsafe CodeQueries(
      tables, stride: subquantizers * 16, count: g, scales: scales, sums: scales, bases: scales)
    let seconds = shortest(bytes: bytes, of: memory) { offset in
      unsafe kernels.unsafeDotPQ4(
        queries,
        with: CodeBlocks(
          (memory.base + offset).assumingMemoryBound(to: UInt8.self), width: subquantizers),
        0..<rows, scores: scores, scoreStride: rows)
    }
    unsafe sink += scores[0]
    add("code scan pq4", "d \(d), \(g) queries", bytes: bytes, operations: nil, seconds: seconds)
  }

  private func measurePrefill(_ memory: ProbeMemory, _ d: Int) {
    let m = Kernels.preferredPrefillRows
    let rows = 1024
    let scratch = Workspace().scope()
    let states = unsafe StatePointers(count: m, dimension: d, in: scratch)
    let kernelScratch = unsafe scratch.floats(Kernels.prefillScratchCount(dimension: d))
    let queries = queries(m, dimension: d, in: scratch)
    let (begins, ends) = unsafe (scratch.indices(m), scratch.indices(m))
    unsafe begins.update(repeating: 0, count: m)
    unsafe ends.update(repeating: UInt32(rows), count: m)
    var best = Duration.seconds(1_000_000)
    // In the caches, as the rows of a prompt are that many queries share.
    for _ in 0..<20 * settings.rounds {
      states.clear()
      best = min(
        best,
        ContinuousClock().measure {
          unsafe kernels.unsafePrefill(
            queries, scale: 1,
            to: KeyValueRows(
              keys: PackedRows(base: memory.base, stride: 2 * d, format: .float16),
              values: PackedRows(base: memory.base + rows * d * 2, stride: 2 * d, format: .float16)),
            visible: VisibleKeys(begins: begins, ends: ends, keyCount: rows), states: states,
            scratch: kernelScratch)
        })
    }
    unsafe sink += states.sums[0]
    add(
      "prefill f16", "d \(d), \(m) rows", bytes: rows * d * 4, operations: 4 * m * d * rows,
      seconds: best / .seconds(1))
  }
}
