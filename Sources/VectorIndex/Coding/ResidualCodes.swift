// Short codes of what a centroid leaves over of each key, so that keys can be told apart without reading them.

import AttentionKernels

/// 4-bit product quantization of key residuals, in the geometry of the queries.
///
/// A key k of a cluster with centroid m is coded by `z = S^(1/4) (k - m)`, S the second moment of the training
/// queries, two elements of z to a code of 16 words: a quarter of a byte an element, 1/16 of the bytes of key and
/// value. A query is scored with tables of `S^(-1/4) q`: product quantization as in Jegou, Douze and Schmid (2011),
/// scanned with tables in registers as in Andre, Kermarrec and Le Scouarnec (arXiv 1812.09162).
///
/// Which two elements share a code: the one of largest variance with the one of smallest, and so on inwards, so that
/// all codes have about the same to tell. A rotation to principal axes would do the same, but takes an
/// eigendecomposition.
///
/// Codebooks and geometry are learned from the first rows and stay.
struct ResidualCodes: ~Copyable {
  let dimension: Int
  /// Codes of a row: half the dimensions, rounded up to a multiple of 4.
  let subquantizers: Int
  private(set) var isTrained = false
  /// `[blocks, subquantizers, 16]`: byte b of a part is the code of row b of the block in its low half and of row
  /// b + 16 in its high half.
  var blocks = RowBuffer<UInt8>()
  private(set) var rowCount = 0
  /// `[d, d]` f16: row i maps keys to element i of z, in coding order.
  var keyMap = RowBuffer<UInt16>()
  /// `[d, d]` f16: the same for queries.
  var queryMap = RowBuffer<UInt16>()
  /// `[subquantizers, 2, 16]`: first and second elements of the words.
  var words = RowBuffer<Float>()

  /// 0, 1, 2, ... and 0, 2, 4, ...: which elements each code has.
  private var elements = RowBuffer<UInt32>()
  private var firstElements = RowBuffer<UInt32>()

  static let blockRows = 32
  static let wordCount = 16
  /// Rows that codebooks are learned from: over a hundred for each word.
  private static let sampleCount = 2048
  private static let iterations = 6

  init(dimension: Int) {
    self.dimension = dimension
    subquantizers = (dimension + 7) / 8 * 4
    for i in 0..<2 * subquantizers { elements.append(UInt32(i)) }
    for i in 0...subquantizers { firstElements.append(UInt32(2 * i)) }
  }

  var byteCount: Int { blocks.byteCount + keyMap.byteCount + queryMap.byteCount + words.byteCount }
  /// Bytes of the codes of `rows` rows: whole blocks.
  static func blockByteCount(rows: Int, _ subquantizers: Int) -> Int {
    (rows + blockRows - 1) / blockRows * 16 * subquantizers
  }

  /// Takes what was saved.
  mutating func restore(
    rowCount: Int, blocks: consuming RowBuffer<UInt8>, keyMap: consuming RowBuffer<UInt16>,
    queryMap: consuming RowBuffer<UInt16>, words: consuming RowBuffer<Float>
  ) {
    self.rowCount = rowCount
    self.blocks = blocks
    self.keyMap = keyMap
    self.queryMap = queryMap
    self.words = words
    isTrained = true
  }

  /// Bytes that scoring one row reads.
  var bytesPerRow: Int { subquantizers / 2 }

  /// Learns the order of elements and the words from residuals `[count, d]` that went through `keyMap`, both maps
  /// symmetric `[d, d]`.
  mutating func train(
    residuals: UnsafePointer<Float>, count: Int, keyMap symmetricKeyMap: UnsafePointer<Float>,
    queryMap symmetricQueryMap: UnsafePointer<Float>, kernels: Kernels
  ) {
    let d = dimension
    var variances = [Float](repeating: 0, count: d)
    for i in 0..<count {
      for j in 0..<d { unsafe variances[j] += residuals[i * d + j] * residuals[i * d + j] }
    }
    let descending = (0..<d).sorted { (variances[$0], $1) > (variances[$1], $0) }
    let order = codingOrder(descending)
    let keys = unsafe keyMap.grow(by: d * d)
    let queries = unsafe queryMap.grow(by: d * d)
    for (row, source) in order.enumerated() {
      unsafe kernels.unsafeConvertToFloat16(symmetricKeyMap + source * d, keys + row * d, count: d)
      unsafe kernels.unsafeConvertToFloat16(symmetricQueryMap + source * d, queries + row * d, count: d)
    }
    let target = unsafe words.grow(by: subquantizers * 2 * Self.wordCount)
    unsafe target.update(repeating: 0, count: subquantizers * 2 * Self.wordCount)
    var columns = PairColumns(count: min(count, Self.sampleCount))
    let step = max(1, count / columns.count)
    for part in 0..<(d + 1) / 2 {
      unsafe columns.gather(
        residuals, stride: step * d, first: order[2 * part],
        second: 2 * part + 1 < d ? order[2 * part + 1] : nil)
      unsafe columns.cluster(
        iterations: Self.iterations, words: target + part * 2 * Self.wordCount, kernels: kernels)
    }
    isTrained = true
  }

  /// Pairs of elements, in the order of codes: `[2 * codes]` of the elements in descending order of variance.
  ///
  /// Entries of four codes, 16 i + j, + 4, + 8 and + 12 with j < 4, are added in 8 bits: a wide code goes together with
  /// narrow ones.
  private func codingOrder(_ descending: [Int]) -> [Int] {
    let d = dimension
    let codes = (d + 1) / 2
    var groups: [[Int]] = []
    for first in stride(from: 0, to: codes, by: 16) {
      for j in 0..<4 {
        let members = stride(from: first + j, to: min(first + 16, codes), by: 4)
        if first + j < codes { groups.append(Array(members)) }
      }
    }
    var slots: [Int] = []
    for turn in 0..<4 {
      let open = groups.filter { $0.count > turn }.map { $0[turn] }
      slots += turn % 2 == 0 ? open : open.reversed()
    }
    // With an odd dimension the smallest element is alone, in the last code.
    if d % 2 == 1, let last = slots.firstIndex(of: codes - 1) { slots.append(slots.remove(at: last)) }
    var order = [Int](repeating: 0, count: d)
    for (rank, slot) in slots.enumerated() {
      order[2 * slot] = descending[rank]
      if 2 * slot + 1 < d { order[2 * slot + 1] = descending[d - 1 - rank - d % 2] }
    }
    if d % 2 == 1 { order[d - 1] = descending[d - 1] }
    return order
  }

  private mutating func reserve(rows: Int) {
    let needed = Self.blockByteCount(rows: rows, subquantizers)
    guard needed > blocks.count else { return }
    let added = needed - blocks.count
    unsafe blocks.grow(by: added).update(repeating: 0, count: added)
  }

  /// Leaves the places of rows that have no codes; they are zeros.
  mutating func skip(_ count: Int) {
    reserve(rows: rowCount + count)
    rowCount += count
  }

  /// Appends the codes of rows whose residuals `[count, d]` went through ``keyMap``, in coding order.
  mutating func append(residuals: UnsafePointer<Float>, count: Int, kernels: Kernels) {
    let d = dimension
    let blockBytes = 16 * subquantizers
    reserve(rows: rowCount + count)
    var columns = PairColumns(count: count)
    for part in 0..<(d + 1) / 2 {
      unsafe columns.gather(
        residuals, stride: d, first: 2 * part, second: 2 * part + 1 < d ? 2 * part + 1 : nil)
      unsafe columns.assign(words: words.base + part * 2 * Self.wordCount, kernels: kernels)
      for i in 0..<count {
        let number = rowCount + i
        let byte = number / Self.blockRows * blockBytes + part * 16 + number % 16
        unsafe blocks.base[byte] |= number % Self.blockRows < 16 ? columns.codes[i] : columns.codes[i] << 4
      }
    }
    rowCount += count
  }

  /// What ``sample(_:of:tables:worths:workspace:)`` needs of a group's queries.
  @safe struct Tables {
    /// `[queries, subquantizers, 16]`.
    var entries: UnsafeMutablePointer<UInt8>
    /// `[queries]`: score of an entry's unit.
    var steps: UnsafeMutablePointer<Float>
    /// `[queries]`: score when all entries are zero.
    var bases: UnsafeMutablePointer<Float>
    /// Queries.
    var count: Int
    /// Bytes from one query's entries to the next one's.
    var stride: Int

    var queries: CodeQueries {
      unsafe CodeQueries(entries, stride: stride, count: count, scales: steps, sums: bases, bases: bases)
    }
  }

  /// Tables for queries `[count, d]`, in `scratch`.
  func tables(queries: UnsafePointer<Float>, count g: Int, in scratch: borrowing Scratch) -> Tables {
    let width = 2 * subquantizers
    let stride = subquantizers * Self.wordCount
    let tables = unsafe Tables(
      entries: scratch.bytes(g * stride), steps: scratch.floats(g), bases: scratch.floats(g),
      count: g, stride: stride)
    unsafe tables.steps.update(repeating: 0, count: g)
    unsafe tables.bases.update(repeating: 0, count: g)
    let own = scratch.workspace.scope()
    let mapped = unsafe own.floats(g * width)
    let kernelScratch = unsafe own.floats(17 * subquantizers)
    // Elements beyond the dimension meet words of zeros.
    unsafe mapped.update(repeating: 0, count: g * width)
    unsafe own.kernels.unsafeDot(
      FloatRows(queries, count: g, dimension: dimension), with: PackedRows(queryMap.base, stride: dimension),
      .first(dimension), scores: mapped, scoreStride: width)
    for h in 0..<g {
      unsafe own.kernels.unsafePQ4Tables(
        mapped + h * width,
        Codebooks(
          coordinates: elements.base, starts: firstElements.base, entries: words.base, count: subquantizers),
        tables: tables.entries + h * stride, scale: tables.steps + h,
        base: tables.bases + h, scratch: kernelScratch)
    }
    return tables
  }

  /// Takes a sample of the rows of lists, as `Kernels.unsafeSamplePQ4` tells.
  func sample(
    _ sample: RowSample, of lists: CodedLists, tables: Tables, worths: UnsafeMutablePointer<Float>? = nil,
    workspace: Workspace
  ) -> Int {
    let scratch = workspace.scope()
    return unsafe workspace.kernels.unsafeSamplePQ4(
      sample, of: lists, tables.queries, with: CodeBlocks(blocks.base, width: subquantizers), worths: worths,
      scratch: scratch.floats(Kernels.sampleScratchCount(queryCount: tables.count)))
  }
}
