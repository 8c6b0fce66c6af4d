// The kernels of decode and prefill, at the shapes of small models, against what the machine can do.

import AttentionKernels

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

  private func queries(_ count: Int) -> [Float] { (0..<count).map { Float($0 * 37 % 11 - 5) / 64 } }

  private func measureDecode(_ memory: ProbeMemory, _ d: Int, _ g: Int, keys: RowFormat, values: RowFormat) {
    let (keyStride, valueStride) = (keys.bytesPerRow(dimension: d), values.bytesPerRow(dimension: d))
    let rows = pieceBytes / (keyStride + valueStride) / 128 * 128
    var maxima = [Float](repeating: 0, count: g)
    var sums = maxima
    var accumulators = [Float](repeating: 0, count: g * d)
    var scratch = [Float](repeating: 0, count: Kernels.attendScratchCount(queryCount: g))
    let queries = queries(g * d)
    let seconds = shortest(bytes: pieceBytes, of: memory) { offset in
      for h in 0..<g { maxima[h] = -.infinity }
      kernels.unsafeAttend(
        queries: queries, queryStride: d, queryCount: g,
        keys: PackedRows(base: memory.base + offset, stride: keyStride, format: keys),
        values: PackedRows(
          base: memory.base + offset + rows * keyStride, stride: valueStride, format: values),
        rowCount: rows, dimension: d, maxima: &maxima, sums: &sums, accumulators: &accumulators,
        accumulatorStride: d, scratch: &scratch)
    }
    sink += sums[0]
    add(
      "attend \(keys.rawValue)/\(values.rawValue)", "d \(d), \(g) queries",
      bytes: rows * (keyStride + valueStride), operations: 4 * g * d * rows, seconds: seconds)
  }

  private func measureScan(_ memory: ProbeMemory, _ d: Int, _ g: Int) {
    // Centroids of 128K keys.
    let rows = 2048
    var scores = [Float](repeating: 0, count: g * rows)
    let queries = queries(g * d)
    let seconds = shortest(bytes: rows * d * 2, of: memory) { offset in
      kernels.unsafeDot(
        queries: queries, queryStride: d, queryCount: g,
        rows: PackedRows(base: memory.base + offset, stride: 2 * d, format: .float16), rowCount: rows,
        dimension: d, scores: &scores, scoreStride: rows)
    }
    sink += scores[0]
    add(
      "centroid scan f16", "d \(d), \(g) queries", bytes: rows * d * 2, operations: 2 * g * d * rows,
      seconds: seconds)
  }

  private func measureCodes(_ memory: ProbeMemory, _ d: Int, _ g: Int) {
    let subquantizers = d / 2
    let rows = 32768
    let bytes = rows / Kernels.pqBlockRows * Kernels.pq4BlockByteCount(subquantizers: subquantizers)
    var scores = [Float](repeating: 0, count: g * rows)
    let tables = (0..<g * subquantizers * 16).map { UInt8($0 * 29 % 63) }
    let scales = [Float](repeating: 1, count: g)
    let seconds = shortest(bytes: bytes, of: memory) { offset in
      kernels.unsafeDotPQ4(
        tables: tables, tableStride: subquantizers * 16, queryCount: g, scales: scales, bases: scales,
        blocks: (memory.base + offset).assumingMemoryBound(to: UInt8.self), subquantizers: subquantizers,
        firstRow: 0, rowCount: rows, scores: &scores, scoreStride: rows)
    }
    sink += scores[0]
    add("code scan pq4", "d \(d), \(g) queries", bytes: bytes, operations: nil, seconds: seconds)
  }

  private func measurePrefill(_ memory: ProbeMemory, _ d: Int) {
    let m = Kernels.preferredPrefillRows
    let rows = 1024
    var maxima = [Float](repeating: 0, count: m)
    var sums = maxima
    var accumulators = [Float](repeating: 0, count: m * d)
    var scratch = [Float](repeating: 0, count: Kernels.prefillScratchCount(dimension: d))
    let queries = queries(m * d)
    let begins = [UInt32](repeating: 0, count: m)
    let ends = [UInt32](repeating: UInt32(rows), count: m)
    var best = Duration.seconds(1_000_000)
    // In the caches, as the rows of a prompt are that many queries share.
    for _ in 0..<20 * settings.rounds {
      for r in 0..<m { maxima[r] = -.infinity }
      best = min(
        best,
        ContinuousClock().measure {
          kernels.unsafePrefill(
            queries: queries, queryStride: d, queryCount: m, scale: 1,
            keys: PackedRows(base: memory.base, stride: 2 * d, format: .float16),
            values: PackedRows(base: memory.base + rows * d * 2, stride: 2 * d, format: .float16),
            keyCount: rows, dimension: d, visibleBegin: begins, visibleEnd: ends, maxima: &maxima,
            sums: &sums,
            accumulators: &accumulators, accumulatorStride: d, scratch: &scratch)
        })
    }
    sink += sums[0]
    add(
      "prefill f16", "d \(d), \(m) rows", bytes: rows * d * 4, operations: 4 * m * d * rows,
      seconds: best / .seconds(1))
  }
}
