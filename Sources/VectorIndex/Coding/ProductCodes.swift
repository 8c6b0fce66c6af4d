// Product quantization to 4 bits a codebook, scanned with tables in registers.

import AttentionKernels

/// Product quantization (Jegou et al., 2011) in the queries' geometry, scanned as in Quicker ADC (Andre et al., arXiv
/// 1812.09162).
///
/// Keys are mapped by ``CodeGeometry`` so that squared errors are errors of scores, and ``BitAllocation`` deals the
/// coordinates out to codebooks of 16 entries, trained by k-means one after the other. A score is a sum of one table
/// entry a codebook. Entries are rounded to 8 bits with one step for all codebooks of a query: with r the widest sum of
/// the ranges of four codebooks that are added in 8 bits, a score errs by r / 506 a codebook at most.
final class ProductCodes: KeyScorer {
  let dimension: Int
  /// Codebooks of 4 bits, a multiple of 4: half a byte each a key.
  let codebookCount: Int
  private let seed: UInt64
  var geometry: CodeGeometry?
  // Codebook s covers coordinates[starts[s] ..< starts[s + 1]] of the geometry's, with 16 elements of entries each.
  var coordinates = RowBuffer<UInt32>()
  var starts = RowBuffer<UInt32>()
  var entries = RowBuffer<Float>()
  /// Codebooks in the order in which they quantize, each what the earlier ones left.
  var encodingOrder: [Int] = []
  var lines = RowBuffer<CodeLine>()  // [blocks, codebookCount / 4]; layout: attention_kernels.h
  var rowCount = 0

  /// - Parameter coordinatesPerCodebook: on average; 2 make codes of an eighth of the keys' bytes, 4 of a sixteenth.
  init(dimension: Int, coordinatesPerCodebook: Int, seed: UInt64) {
    precondition(coordinatesPerCodebook > 0, "\(coordinatesPerCodebook) coordinates for a codebook")
    self.dimension = dimension
    // Sums of at most 256 table entries fit 16 bits.
    codebookCount = min(256, ((dimension + coordinatesPerCodebook - 1) / coordinatesPerCodebook + 3) / 4 * 4)
    self.seed = seed
    starts.append(0)
  }

  static func blockCount(rows: Int) -> Int { (rows + Kernels.pqBlockRows - 1) / Kernels.pqBlockRows }

  var byteCount: Int {
    lines.byteCount + coordinates.byteCount + starts.byteCount + entries.byteCount
      + (geometry?.byteCount ?? 0)
  }
  var bytesPerRow: Int? { codebookCount / 2 }

  func insert(
    keys: PackedRows, count: Int, outliers: [UInt32], training: TrainingQueries, workspace: Workspace
  ) {
    let scratch = workspace.scope()
    guard count > 0 else { return }
    let d = dimension
    let geometry =
      self.geometry
      ?? learn(keys, count: count, outliers: outliers, training: training, workspace: workspace)
    let added = Self.blockCount(rows: rowCount + count) * codebookCount / 4 - lines.count
    unsafe lines.grow(by: added).initialize(repeating: .zero, count: added)
    let mapped = unsafe scratch.list(min(count, CodeGeometry.mappedRows) * d)
    for first in stride(from: 0, to: count, by: CodeGeometry.mappedRows) {
      let part = min(CodeGeometry.mappedRows, count - first)
      geometry.map(keys: keys.from(first), count: part, workspace: workspace, result: mapped)
      for codebook in encodingOrder {
        let scratch = workspace.scope()
        let codes = unsafe quantize(mapped.base, count: part, by: codebook, in: scratch)
        for i in 0..<part { unsafe store(codes[i], codebook: codebook, row: rowCount + first + i) }
      }
    }
    rowCount += count
  }

  /// Learns coordinates and codebooks.
  private func learn(
    _ keys: PackedRows, count: Int, outliers: [UInt32], training: TrainingQueries, workspace: Workspace
  ) -> CodeGeometry {
    let scratch = workspace.scope()
    let d = dimension
    let sample = CodeGeometry.sample(keys, count: count, outliers: outliers, dimension: d, in: scratch)
    let learned = CodeGeometry(
      keys: sample, training: training, exponent: 0.5, spreads: false, seed: seed, workspace: workspace)
    geometry = learned
    let mapped = unsafe scratch.list(sample.count * d)
    var generator = SeededGenerator(seed: seed)
    // The sample again, rounded and through the same steps as every key.
    let rows = unsafe scratch.halves(sample.count * d)
    unsafe workspace.kernels.unsafeConvertToFloat16(sample.base, rows, count: sample.count * d)
    unsafe learned.map(
      keys: PackedRows(rows, stride: d), count: sample.count, workspace: workspace, result: mapped)
    let allocation = BitAllocation(
      variances: (0..<d).map { learned.spectrum[$0] }, codebookCount: codebookCount)
    for (codebook, covered) in allocation.codebooks.enumerated() {
      for coordinate in covered { coordinates.append(UInt32(coordinate)) }
      starts.append(UInt32(coordinates.count))
      unsafe train(codebook, mapped.base, count: sample.count, seed: generator.next(), workspace: workspace)
      let scratch = workspace.scope()
      _ = unsafe quantize(mapped.base, count: sample.count, by: codebook, in: scratch)
    }
    deal()
    return learned
  }

  /// Reorders codebooks so that those added in 8 bits (see ``Kernels/unsafePQ4Tables``) are a wide one and narrow
  /// ones: the step of the tables is then near that of the widest alone.
  private func deal() {
    let count = starts.count - 1
    encodingOrder = Array(0..<count)
    guard count % 16 == 0 else { return }
    let spreads = encodingOrder.map { codebook in
      (Int(starts[codebook])..<Int(starts[codebook + 1])).reduce(Float(0)) { spread, place in
        let elements = (0..<16).map { entries[16 * place + $0] }
        return max(spread, (elements.max() ?? 0) - (elements.min() ?? 0))
      }
    }
    let ranked = encodingOrder.sorted { (spreads[$0], $1) > (spreads[$1], $0) }
    // Fours of the ranking go to the groups in turn.
    var dealt = encodingOrder
    for (rank, codebook) in ranked.enumerated() {
      let (four, groups) = (rank / 4, count / 16)
      dealt[16 * (four % groups) + 4 * (four / groups) + rank % 4] = codebook
    }
    let (oldCoordinates, oldStarts) = (
      (0..<coordinates.count).map { coordinates[$0] }, (0...count).map { Int(starts[$0]) }
    )
    let oldEntries = (0..<entries.count).map { entries[$0] }
    coordinates.removeAll()
    starts.removeAll()
    entries.removeAll()
    starts.append(0)
    for (place, codebook) in dealt.enumerated() {
      for old in oldStarts[codebook]..<oldStarts[codebook + 1] {
        coordinates.append(oldCoordinates[old])
        for element in oldEntries[16 * old..<16 * old + 16] { entries.append(element) }
      }
      starts.append(UInt32(coordinates.count))
      encodingOrder[codebook] = place
    }
  }

  /// Lloyd iterations. Real keys change codebooks little after the eighth.
  private static let iterations = 8

  /// Appends the entries of a codebook, the means of the clusters of its coordinates of rows `[count, dimension]`.
  private func train(
    _ codebook: Int, _ rows: UnsafePointer<Float>, count: Int, seed: UInt64, workspace: Workspace
  ) {
    let scratch = workspace.scope()
    let width = Int(starts[codebook + 1] - starts[codebook])
    let points = unsafe columns(of: codebook, rows, count: count, in: scratch)
    let (assignments, clusters) = unsafe KMeans.cluster(
      FloatRows(points, count: count, dimension: width), clusterCount: 16, iterations: Self.iterations,
      seed: seed, in: scratch)
    let means = unsafe entries.grow(by: 16 * width)
    unsafe means.initialize(repeating: 0, count: 16 * width)
    let sizes = unsafe scratch.indices(16)
    unsafe sizes.update(repeating: 0, count: 16)
    for i in 0..<count {
      unsafe sizes[Int(assignments[i])] += 1
      for j in 0..<width { unsafe means[16 * j + Int(assignments[i])] += points[i * width + j] }
    }
    for j in 0..<width {
      for entry in 0..<16 {
        // Fewer keys than entries leave some over; they repeat the first, which wins.
        unsafe means[16 * j + entry] =
          entry < clusters ? means[16 * j + entry] / Float(sizes[entry]) : means[16 * j]
      }
    }
  }

  /// A codebook's coordinates of rows `[count, dimension]`: `[count, width]` in `scratch`.
  private func columns(
    of codebook: Int, _ rows: UnsafePointer<Float>, count: Int, in scratch: borrowing Scratch
  ) -> UnsafeMutablePointer<Float> {
    let covered = Int(starts[codebook])..<Int(starts[codebook + 1])
    let result = unsafe scratch.floats(count * covered.count)
    for (j, place) in covered.enumerated() {
      let column = unsafe rows + Int(coordinates[place])
      for i in 0..<count { unsafe result[i * covered.count + j] = column[i * dimension] }
    }
    return unsafe result
  }

  /// Codes of rows `[count, dimension]`, which are replaced by what the codebook leaves of them. The codes are in
  /// `result`.
  private func quantize(
    _ rows: UnsafeMutablePointer<Float>, count: Int, by codebook: Int, in result: borrowing Scratch
  ) -> UnsafePointer<UInt32> {
    let codes = unsafe result.indices(count)
    let scratch = result.workspace.scope()
    let covered = Int(starts[codebook])..<Int(starts[codebook + 1])
    let width = covered.count
    let points = unsafe columns(of: codebook, rows, count: count, in: scratch)
    let table = unsafe scratch.floats(16 * width)
    let halfNorms = unsafe scratch.floats(16)
    unsafe halfNorms.update(repeating: 0, count: 16)
    for (j, place) in covered.enumerated() {
      for entry in 0..<16 {
        let element = entries[16 * place + entry]
        unsafe table[entry * width + j] = element
        unsafe halfNorms[entry] += 0.5 * element * element
      }
    }
    unsafe scratch.kernels.unsafeAssign(
      FloatRows(points, count: count, dimension: width), to: FloatRows(table, count: 16, dimension: width),
      halfNorms: halfNorms, assignments: codes, best: scratch.floats(count),
      scratch: scratch.floats(Kernels.assignScratchCount(dimension: width)))
    for (j, place) in covered.enumerated() {
      let column = unsafe rows + Int(coordinates[place])
      for i in 0..<count { unsafe column[i * dimension] -= table[Int(codes[i]) * width + j] }
    }
    return unsafe UnsafePointer(codes)
  }

  private func store(_ code: UInt32, codebook: Int, row: Int) {
    let place = row % Kernels.pqBlockRows
    let block = unsafe UnsafeMutableRawPointer(lines.base + row / Kernels.pqBlockRows * codebookCount / 4)
    let byte = unsafe block.assumingMemoryBound(to: UInt8.self) + 16 * codebook + place % 16
    unsafe byte.pointee |= UInt8(code & 15) << (place < 16 ? 0 : 4)
  }
}

extension ProductCodes {
  func prepare(_ group: QueryGroup, in scratch: borrowing Scratch) -> PreparedQueries {
    guard let geometry else { preconditionFailure("no rows have been inserted") }
    let (d, m) = (dimension, group.count)
    let mapped = unsafe scratch.list(m * d)
    let kernelScratch = unsafe scratch.floats(codebookCount * 17)
    let scales = unsafe scratch.floats(2 * m)
    let bases = unsafe scales + m
    unsafe geometry.map(group, kernels: scratch.kernels, result: mapped, bases: ListView(bases, count: m))
    let stride = 16 * codebookCount
    let tables = unsafe scratch.bytes(m * stride)
    unsafe tables.update(repeating: 0, count: m * stride)
    for h in 0..<m {
      unsafe scratch.kernels.unsafePQ4Tables(
        mapped.base + h * d,
        Codebooks(
          coordinates: coordinates.base, starts: starts.base, entries: entries.base, count: starts.count - 1),
        tables: tables + h * stride,
        scale: scales + h, base: bases + h, scratch: kernelScratch)
    }
    return unsafe PreparedQueries(
      group: group,
      codes: CodeQueries(tables, stride: stride, count: m, scales: scales, sums: bases, bases: bases))
  }

  func score(
    _ range: Range<Int>, of prepared: PreparedQueries, rows: IndexRows,
    scores: ScoreRows, kernels: Kernels
  ) {
    unsafe kernels.unsafeDotPQ4(
      prepared.codes,
      with: CodeBlocks(
        UnsafeRawPointer(lines.base).assumingMemoryBound(to: UInt8.self), width: codebookCount),
      range, scores: scores.list.base, scoreStride: scores.stride)
  }
}
