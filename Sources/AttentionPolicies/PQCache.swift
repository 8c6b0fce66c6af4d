// PQCache: all keys scored by product codes, the best attended to.

import AttentionKernels
public import RetrievalAttention
package import VectorIndex

/// Settings of `AttentionPolicy.pqCache(_:)`: the keys that score highest by product-quantized codes (Zhang et al.,
/// *PQCache: Product Quantization-based KVCache for Long Context LLM Inference*, arXiv 2407.12820).
///
/// Keys are cut into m parts, each of which is replaced by the nearest of 2^b centroids of its own, from k-means over
/// the keys of the prompt. A query's products with all centroids are a table, and a key's score is a sum of m entries.
/// Keys are ranked by the softmax of their scores, summed over the group of query heads, and the group reads the best,
/// a share of all of them. Keys that leave the window later are coded by the same centroids. The codes here are bytes;
/// the paper packs b bits. Defaults are those of the authors' code for a tenth of the keys, of which half are the
/// latest ones: here their number is fixed.
public struct PQCacheSettings: PolicySettings {
  /// Parts of a key (the paper's m).
  public var partCount = 2
  /// Bits of a part's code (the paper's b).
  public var bits = 6
  /// Share of the coded keys that a group of query heads reads.
  public var share: Float = 0.05
  public var sinkCount = 32
  public var windowCount = 512
  public var denseLayers: [Int] = []

  public init() {}

  public static let name = "pqcache"
  public static let summary =
    "Sink and window exactly, and keys of the highest scores by product codes: PQCache."
  public static let paper: String? = "2407.12820"
  public static let tradeOff = """
    Codes are coarse, so some of the best keys are missed; keys that are not chosen count nothing, and all codes are \
    read for every token.
    """
  public static let parameters: [PolicyParameter<PQCacheSettings>] = [
    .integer("parts", \.partCount, 1...256, symbol: "m", "Parts of a key."),
    .integer("bits", \.bits, 1...8, symbol: "b", "Bits of a part's code."),
    .real("share", \.share, 0...1, "Share of the coded keys that a group of query heads reads."),
    .integer("sink", \.sinkCount, 0...Int(UInt32.max), "First tokens that are always attended to."),
    .integer("window", \.windowCount, 1...Int(UInt32.max), "Last tokens that are always attended to."),
    .denseLayers(\.denseLayers),
  ]

  public func makeHead(rows: HeadRows, place: HeadPlace) throws(AttentionError) -> any HeadPolicy {
    guard partCount <= rows.dimension else {
      throw .invalidSetting(
        name: "parts", value: "\(partCount)", requirement: "at most the head dimension, \(rows.dimension)")
    }
    return PQCacheHead(rows: rows, settings: self, seed: place.seed)
  }
}

/// Rows with codes of their keys.
package final class PQCacheHead: UpdatedHead, MeasuredHead {
  package let rows: HeadRows
  private let settings: PQCacheSettings
  private let seed: UInt64
  /// `[parts][centroids, width of the part]`, parts one after the other.
  private var codebooks = RowBuffer<Float>()
  /// Rows when the codebooks were learned.
  private var learnedRows = 0
  private var codes = RowBuffer<UInt8>()  // [coded rows, parts]

  /// Rows that are coded together while tokens are generated.
  private static let block = 16
  /// Lloyd iterations.
  private static let iterations = 10

  package init(rows: HeadRows, settings: PQCacheSettings, seed: UInt64) {
    self.rows = rows
    self.settings = settings
    self.seed = seed
  }

  private var parts: Int { settings.partCount }
  private var centroidCount: Int { 1 << settings.bits }
  private var codedEnd: Int { settings.sinkCount + indexedRowCount }
  package var indexedRowCount: Int { codes.count / parts }
  package var indexByteCount: Int { codes.byteCount + codebooks.byteCount }

  /// The elements of a key that make a part.
  private func elements(_ part: Int) -> Range<Int> {
    part * rows.dimension / parts..<(part + 1) * rows.dimension / parts
  }

  /// Rows that could be coded now.
  private func waiting(_ moment: UpdateMoment) -> Int {
    let count = rows.count - settings.windowCount - codedEnd
    if codebooks.count == 0 {
      // Learned once, from a whole prompt or what has been generated without one.
      return moment != .betweenBatches && count >= centroidCount ? count : 0
    }
    return moment == .endOfPrompt || count >= Self.block ? max(0, count) : 0
  }

  package func needsUpdate(_ moment: UpdateMoment) -> Bool { waiting(moment) > 0 }

  package func update(_ moment: UpdateMoment, askPosition: Int, workspace: Workspace) {
    let scratch = workspace.scope()
    let count = waiting(moment)
    guard count > 0 else { return }
    let first = codedEnd
    let target = unsafe codes.grow(by: count * parts)
    let isLearning = codebooks.count == 0
    if isLearning { learnedRows = rows.count }
    let d = rows.dimension
    let keys = unsafe scratch.floats(count * d)
    unsafe workspace.kernels.unsafeUnpack(
      rows.keys.from(first), rowCount: count, dimension: d, target: keys, targetStride: d)
    for part in 0..<parts {
      let scratch = workspace.scope()
      let points = unsafe self.points(part, of: keys, count: count, in: scratch)
      let width = elements(part).count
      if isLearning { unsafe learn(points, count: count, width: width, part: part, workspace: workspace) }
      unsafe assign(points, count: count, part: part, to: target, workspace: workspace)
    }
  }

  /// One part of some keys: `[count, width]` in `scratch`.
  private func points(
    _ part: Int, of keys: UnsafePointer<Float>, count: Int, in scratch: borrowing Scratch
  ) -> UnsafeMutablePointer<Float> {
    let range = elements(part)
    let result = unsafe scratch.floats(count * range.count)
    for i in 0..<count {
      unsafe (result + i * range.count).update(
        from: keys + i * rows.dimension + range.lowerBound, count: range.count)
    }
    return unsafe result
  }

  private func learn(
    _ points: UnsafePointer<Float>, count: Int, width: Int, part: Int, workspace: Workspace
  ) {
    let scratch = workspace.scope()
    let (assignments, clusters) = unsafe KMeans.cluster(
      FloatRows(points, count: count, dimension: width), clusterCount: centroidCount,
      iterations: Self.iterations, seed: seed &+ UInt64(part), in: scratch)
    let means = unsafe codebooks.grow(by: centroidCount * width)
    unsafe means.update(repeating: 0, count: centroidCount * width)
    let sizes = unsafe scratch.floats(centroidCount)
    unsafe sizes.update(repeating: 0, count: centroidCount)
    for i in 0..<count {
      let centroid = unsafe Int(assignments[i])
      unsafe sizes[centroid] += 1
      unsafe workspace.kernels.unsafeAddScaled(
        points + i * width, by: 1, to: means + centroid * width, count: width)
    }
    for centroid in 0..<centroidCount {
      // Centroids that are left over repeat the first, which wins.
      if centroid < clusters {
        unsafe workspace.kernels.unsafeScale(means + centroid * width, by: 1 / sizes[centroid], count: width)
      } else {
        unsafe (means + centroid * width).update(from: means, count: width)
      }
    }
  }

  private func codebook(_ part: Int) -> UnsafePointer<Float> {
    unsafe UnsafePointer(codebooks.base + elements(part).lowerBound * centroidCount)
  }

  private func assign(
    _ points: UnsafePointer<Float>, count: Int, part: Int, to target: UnsafeMutablePointer<UInt8>,
    workspace: Workspace
  ) {
    let scratch = workspace.scope()
    let width = elements(part).count
    let centroids = unsafe codebook(part)
    let halfNorms = unsafe scratch.floats(centroidCount)
    unsafe KMeans.halfNorms(of: centroids, count: centroidCount, dimension: width, into: halfNorms)
    let assignments = unsafe scratch.indices(count)
    unsafe workspace.kernels.unsafeAssign(
      FloatRows(points, count: count, dimension: width),
      to: FloatRows(centroids, count: centroidCount, dimension: width), halfNorms: halfNorms,
      assignments: assignments, best: scratch.floats(count),
      scratch: scratch.floats(Kernels.assignScratchCount(dimension: width)))
    for i in 0..<count { unsafe target[i * parts + part] = UInt8(assignments[i]) }
  }

  /// The centroids of a part, `[centroids][width]`.
  package func centroids(part: Int) -> [[Float]] {
    let width = elements(part).count
    return (0..<centroidCount).map { centroid in
      (0..<width).map { unsafe codebook(part)[centroid * width + $0] }
    }
  }

  /// The codes of the rows from the sink on, `[row][part]`.
  package var codeRows: [[Int]] {
    (0..<indexedRowCount).map { row in (0..<parts).map { Int(codes[row * parts + $0]) } }
  }

  package func truncate(to count: Int) throws(AttentionError) {
    rows.removeLast(to: count)
    if learnedRows > count {
      codebooks.removeAll()
      codes.removeAll()
      learnedRows = 0
    } else {
      let coded = max(0, count - settings.windowCount - settings.sinkCount)
      codes.removeLast(to: min(codes.count, coded * parts))
    }
  }

  package func attend(_ step: HeadStep) -> ReadStatistics.Head {
    let (queries, states, workspace) = (step.queries, step.states, step.workspace)
    let coded = indexedRowCount
    let sink = min(settings.sinkCount, rows.count)
    let end = sink + coded
    states.attend(queries, to: 0..<sink, of: rows, workspace: workspace)
    states.attend(queries, to: end..<rows.count, of: rows, workspace: workspace)
    var read = ReadStatistics.Head(fixed: sink + rows.count - end)
    guard coded > 0 else { return read }
    let limit = Int((settings.share * Float(coded)).rounded(.up))
    if limit >= coded {
      states.attend(queries, to: sink..<end, of: rows, workspace: workspace)
      read.retrieved = coded
    } else {
      let scratch = workspace.scope()
      let scores = unsafe score(queries, in: scratch)
      for h in 0..<states.count { unsafe workspace.kernels.softmax(scores + h * coded, count: coded) }
      for h in 1..<max(1, states.count) {
        unsafe workspace.kernels.unsafeAddScaled(scores + h * coded, by: 1, to: scores, count: coded)
      }
      let best = unsafe scratch.unionOfHighest(limit, of: ListView(scores, count: coded), queryCount: 1)
      unsafe states.attend(queries, to: best, of: rows, from: sink, workspace: workspace)
      read.retrieved = best.count
      read.indexBytes = codes.byteCount + codebooks.byteCount
    }
    return read
  }

  /// Scores of all coded rows `[count, coded]` in `result`.
  private func score(
    _ queries: FloatRows, in result: borrowing Scratch
  ) -> UnsafeMutablePointer<Float> {
    let (coded, g) = (indexedRowCount, queries.count)
    let scores = unsafe result.floats(g * coded)
    let scratch = result.workspace.scope()
    let table = unsafe scratch.floats(parts * centroidCount)
    for h in 0..<g {
      for part in 0..<parts {
        let range = elements(part)
        unsafe scratch.kernels.unsafeDot(
          FloatRows(queries[h] + range.lowerBound, count: 1, dimension: range.count),
          with: FloatRows(codebook(part), count: centroidCount, dimension: range.count),
          scores: table + part * centroidCount)
      }
      let target = unsafe scores + h * coded
      var code = unsafe codes.base
      if parts == 2 {
        let second = unsafe table + centroidCount
        for row in 0..<coded {
          unsafe target[row] = table[Int(code[0])] + second[Int(code[1])]
          unsafe code += 2
        }
      } else {
        for row in 0..<coded {
          var sum: Float = 0
          for part in 0..<parts { unsafe sum += table[part * centroidCount + Int(code[part])] }
          unsafe target[row] = sum
          unsafe code += parts
        }
      }
    }
    return unsafe scores
  }
}
