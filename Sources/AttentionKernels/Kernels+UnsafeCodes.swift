// Scans of coded rows over raw memory: nothing is checked here. Layouts: attention_kernels.h.

internal import CAttentionKernels

extension Kernels {
  /// Rows in a block of LVQ codes.
  package static let lvqBlockRows = Int(AK_LVQ_BLOCK)
  /// Rows in a block of PQ codes.
  package static let pqBlockRows = Int(AK_PQ_BLOCK)

  /// Bytes of a block of 16 rows of 8-bit LVQ codes with their scales and offsets, a multiple of 64.
  package static func lvq8BlockByteCount(dimension: Int) -> Int { ak_lvq8_block_bytes(dimension) }
  /// Bytes of a block of 16 rows of 4-bit LVQ codes with their scales and offsets, a multiple of 64.
  package static func lvq4BlockByteCount(dimension: Int) -> Int { ak_lvq4_block_bytes(dimension) }
  /// Bytes of a block of 32 rows of PQ codes; `subquantizers` is a multiple of 4.
  package static func pq4BlockByteCount(subquantizers: Int) -> Int { ak_pq4_block_bytes(subquantizers) }

  /// The largest magnitude that an integer of an LVQ query may have so that no sum overflows 32 bits.
  package static func lvq8QueryLimit(dimension: Int) -> Int {
    min(Int(Int16.max), Int(Int32.max) / (255 * (dimension + 3)))
  }

  /// Scores of integer queries with 8-bit LVQ codes (arXiv 2304.04759), `[queries, rows]`:
  /// `scores[h * scoreStride + i] = bases[h] + scales[h] * scale_r * (integers_h . codes_r) + sums[h] * offset_r` for
  /// row r = `rows.lowerBound + i` with its scale and offset.
  ///
  /// Integers are Int16 in the order 0, 2, 1, 3 in each group of four, zero up to a multiple of 4, of magnitudes up to
  /// ``lvq8QueryLimit(dimension:)``. Their sum is exact and the same at every level; the rest is three f32 roundings.
  @unsafe package func unsafeDotLVQ8(
    _ queries: CodeQueries, with blocks: CodeBlocks, _ rows: Range<Int>, scores: UnsafeMutablePointer<Float>,
    scoreStride: Int
  ) {
    unsafe table.pointee.dot_lvq8(
      queries.queries, queries.count, blocks.base, blocks.width, rows.lowerBound, rows.count, scores,
      scoreStride)
  }

  /// The same for 4-bit codes; integers are Int8 in their own order, from -127, zero up to a multiple of 8.
  @unsafe package func unsafeDotLVQ4(
    _ queries: CodeQueries, with blocks: CodeBlocks, _ rows: Range<Int>, scores: UnsafeMutablePointer<Float>,
    scoreStride: Int
  ) {
    unsafe table.pointee.dot_lvq4(
      queries.queries, queries.count, blocks.base, blocks.width, rows.lowerBound, rows.count, scores,
      scoreStride)
  }

  /// Sums of table entries chosen by 4-bit PQ codes (arXiv 1812.09162), `[queries, rows]`:
  /// `scores[h * scoreStride + i] = bases[h] + scales[h] * (sum over s of tables[h][s][code s of row r])` for row
  /// r = `rows.lowerBound + i`. Integer sums are exact.
  ///
  /// Tables are UInt8 `[subquantizers, 16]` a query; at most 256 subquantizers, a multiple of 4. The highest entries of
  /// subquantizers 16 i + j, + 4, + 8 and + 12, j < 4, add up to at most 255.
  @unsafe package func unsafeDotPQ4(
    _ queries: CodeQueries, with blocks: CodeBlocks, _ rows: Range<Int>, scores: UnsafeMutablePointer<Float>,
    scoreStride: Int
  ) {
    unsafe table.pointee.dot_pq4(
      queries.queries, queries.count, blocks.base, blocks.width, rows.lowerBound, rows.count, scores,
      scoreStride)
  }

  /// Writes the tables `[codebooks, 16]` of one query for ``unsafeDotPQ4``, their step, and adds the score of zeros to
  /// `base`.
  ///
  /// Each table entry is off by half a step at most; the step is the widest sum / 253 of the ranges of the products of
  /// codebooks 16 i + j, + 4, + 8 and + 12, j < 4.
  ///
  /// - Parameter scratch: `17 * codebooks.count` floats.
  @unsafe package func unsafePQ4Tables(
    _ query: UnsafePointer<Float>, _ codebooks: Codebooks, tables: UnsafeMutablePointer<UInt8>,
    scale: UnsafeMutablePointer<Float>, base: UnsafeMutablePointer<Float>,
    scratch: UnsafeMutablePointer<Float>
  ) {
    unsafe table.pointee.pq4_tables(
      query, codebooks.coordinates, codebooks.starts, codebooks.entries, codebooks.count, tables, scale, base,
      scratch)
  }

  /// Writes the number of the nearest of 16 words to each of `count` points of two elements, the lowest of equal ones.
  ///
  /// - Parameters:
  ///   - count: a multiple of 16.
  ///   - words: `[2, 16]`: first and second elements.
  @unsafe package func unsafeNearestWords(
    x: UnsafePointer<Float>, y: UnsafePointer<Float>, count: Int, words: UnsafePointer<Float>,
    codes: UnsafeMutablePointer<UInt8>
  ) {
    unsafe table.pointee.nearest_words(x, y, count, words, codes)
  }

  /// Takes a sample of the coded rows of some lists, which are gone through in order. Returns how many rows are to be
  /// taken, of which those beyond the sample's limit are not.
  ///
  /// A row of list c weighs `exp(lists.bases[h, c] + the score of query h)`, and is worth `lists.factors[c]` times the
  /// sum of that over h. Those worth the threshold are taken, and of the others, if the sample is systematic, one
  /// whenever the sum of worths over the threshold passes a whole number, half of one being there at first.
  ///
  /// - Parameters:
  ///   - queries: tables as for ``unsafeDotPQ4``.
  ///   - worths: room for what all rows are worth, if that is wanted.
  ///   - scratch: ``sampleScratchCount(queryCount:)`` floats.
  @unsafe package func unsafeSamplePQ4(
    _ sample: RowSample, of lists: CodedLists, _ queries: CodeQueries, with blocks: CodeBlocks,
    worths: UnsafeMutablePointer<Float>? = nil, scratch: UnsafeMutablePointer<Float>
  ) -> Int {
    unsafe table.pointee.sample_pq4(
      queries.queries, queries.count, blocks.base, blocks.width, lists.lists.lists, lists.bases,
      lists.baseStride, lists.factors, sample.sample, worths, scratch)
  }

  /// Floats that ``unsafeSamplePQ4`` needs as scratch.
  package static func sampleScratchCount(queryCount: Int) -> Int { ak_sample_scratch(queryCount) }

  /// Writes ``rank(score:index:)`` of each score above the threshold, index `firstIndex + i`, in order, and returns
  /// how many. Room for `count` ranks is needed.
  @unsafe package func unsafeCollect(
    scores: UnsafePointer<Float>, count: Int, above threshold: Float, firstIndex: UInt32,
    ranks: UnsafeMutablePointer<UInt64>
  ) -> Int {
    unsafe table.pointee.collect_above_f32(scores, count, threshold, firstIndex, ranks)
  }

  /// A number that is higher for a higher score and, among equal scores, for a lower index.
  package static func rank(score: Float, index: UInt32) -> UInt64 { ak_rank(score, index) }

  /// The index that went into a rank.
  package static func index(ofRank rank: UInt64) -> UInt32 { ~UInt32(truncatingIfNeeded: rank) }

  /// The score that went into a rank.
  package static func score(ofRank rank: UInt64) -> Float {
    let ordered = UInt32(truncatingIfNeeded: rank >> 32)
    return Float(bitPattern: ordered >> 31 == 1 ? ordered ^ 0x8000_0000 : ~ordered)
  }
}

/// How a sample of the rows of lists is taken, and where it goes.
@safe package struct RowSample {
  /// What a row must be worth to be taken for sure.
  package var threshold: Float
  /// Whether others are taken too, in proportion to what they are worth.
  package var isSystematic = true
  /// Most rows to take.
  package var limit: Int
  /// Room for `limit`, or for as many as there are.
  package var rows: UnsafeMutablePointer<UInt32>
  /// The same: with which chance each was taken.
  package var chances: UnsafeMutablePointer<Float>
  /// `[queries, lists]`: the weights of each list, less those that were taken, each as often as it stands for.
  package var rests: UnsafeMutablePointer<Float>
  package var restStride: Int

  package init(
    threshold: Float, limit: Int, rows: UnsafeMutablePointer<UInt32>, chances: UnsafeMutablePointer<Float>,
    rests: UnsafeMutablePointer<Float>, restStride: Int
  ) {
    self.threshold = threshold
    self.limit = limit
    unsafe self.rows = rows
    unsafe self.chances = chances
    unsafe self.rests = rests
    self.restStride = restStride
  }

  fileprivate var sample: ak_sample {
    unsafe ak_sample(
      threshold: threshold, systematic: isSystematic ? 1 : 0, limit: limit, rows: rows, chances: chances,
      rests: rests, rest_stride: restStride)
  }
}

/// Lists of rows: list c has the rows `begins[c] ..< ends[c]`, no row is in two of them, and of them the lists
/// `selected[s]` for s < `count`, of ascending rows.
@safe package struct RowLists {
  package var begins: UnsafePointer<UInt32>
  package var ends: UnsafePointer<UInt32>
  package var selected: UnsafePointer<UInt32>
  package var count: Int

  package init(
    begins: UnsafePointer<UInt32>, ends: UnsafePointer<UInt32>, selected: UnsafePointer<UInt32>, count: Int
  ) {
    unsafe self.begins = begins
    unsafe self.ends = ends
    unsafe self.selected = selected
    self.count = count
  }

  fileprivate var lists: ak_lists {
    unsafe ak_lists(begins: begins, ends: ends, selected: selected, count: count)
  }
}

/// Queries as scans of codes take them: integers or tables, with what turns integer sums into scores.
@safe package struct CodeQueries {
  /// Query h is at `data + h * stride`.
  package var data: UnsafeRawPointer
  /// Bytes.
  package var stride: Int
  package var count: Int
  /// `[count]`, as are `sums` and `bases`.
  package var scales: UnsafePointer<Float>
  /// What offsets of rows are multiplied by; not read for product quantization.
  package var sums: UnsafePointer<Float>
  package var bases: UnsafePointer<Float>

  package init(
    _ data: UnsafeRawPointer, stride: Int, count: Int, scales: UnsafePointer<Float>,
    sums: UnsafePointer<Float>, bases: UnsafePointer<Float>
  ) {
    unsafe self.data = data
    self.stride = stride
    self.count = count
    unsafe self.scales = scales
    unsafe self.sums = sums
    unsafe self.bases = bases
  }

  fileprivate var queries: ak_code_queries {
    unsafe ak_code_queries(data: data, stride: stride, scales: scales, sums: sums, bases: bases)
  }
}

/// Blocks of coded rows; layouts in attention_kernels.h.
@safe package struct CodeBlocks {
  package var base: UnsafePointer<UInt8>
  /// Elements of a row for LVQ, subquantizers for PQ.
  package var width: Int

  package init(_ base: UnsafePointer<UInt8>, width: Int) {
    unsafe self.base = base
    self.width = width
  }
}

/// Codebooks of 16 entries. Codebook s has the coordinates `coordinates[j]` of a vector for j in
/// `starts[s] ..< starts[s + 1]`, and 16 entries with the elements `entries[16 * j ..< 16 * j + 16]`.
@safe package struct Codebooks {
  package var coordinates: UnsafePointer<UInt32>
  package var starts: UnsafePointer<UInt32>
  package var entries: UnsafePointer<Float>
  package var count: Int

  package init(
    coordinates: UnsafePointer<UInt32>, starts: UnsafePointer<UInt32>, entries: UnsafePointer<Float>,
    count: Int
  ) {
    unsafe self.coordinates = coordinates
    unsafe self.starts = starts
    unsafe self.entries = entries
    self.count = count
  }
}

/// Lists of coded rows, with what their codes are added to and multiplied by.
@safe package struct CodedLists {
  package var lists: RowLists
  /// `[queries, baseStride]`: added to the scores of a list's rows.
  package var bases: UnsafePointer<Float>
  package var baseStride: Int
  /// `[all lists]`: by what the weights of a list's rows are multiplied to say what they are worth.
  package var factors: UnsafePointer<Float>

  package init(
    lists: RowLists, bases: UnsafePointer<Float>, baseStride: Int, factors: UnsafePointer<Float>
  ) {
    self.lists = lists
    unsafe self.bases = bases
    self.baseStride = baseStride
    unsafe self.factors = factors
  }
}
