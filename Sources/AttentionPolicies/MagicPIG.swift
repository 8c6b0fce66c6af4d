// MagicPIG: keys sampled by hashing, and weighed by how likely they were to be sampled.

import AttentionKernels
public import RetrievalAttention
import VectorIndex

/// Settings of `AttentionPolicy.magicPIG(_:)`: a sample of keys from hash tables, from which attention is estimated
/// (Chen et al., *MagicPIG: LSH Sampling for Efficient LLM Generation*, arXiv 2410.16179).
///
/// Keys less their mean are hashed into L tables by the signs of K random projections each. A key is sampled when it
/// shares a bucket with the query in at least two tables. For an angle a between query and key, `p = 1 - a / pi` is
/// the probability that one sign is alike, and `u = 1 - (1 - p^K)^L - L p^K (1 - p^K)^(L - 1)` that the key is sampled:
/// its weight is `exp(q.k) / u`. So keys that are missed are made up for by those that are like them. Each query head
/// has a sample and weights of its own. Layers 0 and 16 attend exactly, as in the paper for a model of 32 layers.
/// Tables are made at the end of a prompt; generated tokens stay in the window.
public struct MagicPIGSettings: PolicySettings {
  /// Projections of a hash (the paper's K).
  public var bits = 10
  /// Hash tables (the paper's L).
  public var tableCount = 150
  public var sinkCount = 4
  public var windowCount = 64
  public var denseLayers = [0, 16]

  public init() {}

  public static let name = "magicpig"
  public static let summary =
    "Sink and window exactly, the rest estimated from a sample by hashing: MagicPIG."
  public static let paper: String? = "2410.16179"
  public static let tradeOff = """
    The estimate is right on average, not each time. Tables take more memory than keys, and each token pays for \
    hashing its queries.
    """
  public static let parameters: [PolicyParameter<MagicPIGSettings>] = [
    .integer("bits", \.bits, 1...16, symbol: "K", "Projections of a hash."),
    .integer("tables", \.tableCount, 2...4096, symbol: "L", "Hash tables."),
    .integer("sink", \.sinkCount, 0...Int(UInt32.max), "First tokens that are always attended to."),
    .integer("window", \.windowCount, 1...Int(UInt32.max), "Last tokens that are always attended to."),
    .denseLayers(\.denseLayers),
  ]

  public func makeHead(rows: HeadRows, place: HeadPlace) throws(AttentionError) -> any HeadPolicy {
    MagicPIGHead(rows: rows, settings: self)
  }
}

/// Rows between sink and window in hash tables.
final class MagicPIGHead: UpdatedHead, MeasuredHead {
  /// Rows that were hashed together.
  private struct Segment {
    let tables: HashTables
    /// First row.
    let begin: Int
    /// Rows of the head when it was made: going back before that undoes it.
    let madeAt: Int
  }

  let rows: HeadRows
  private let settings: MagicPIGSettings
  private let projections: HashProjections
  private var segments: [Segment] = []
  /// Mean of the first segment's keys, `[d]`; hashes of all segments are of keys less this.
  private var mean: RowBuffer<Float>
  private var norms = RowBuffer<Float>()  // [hashed rows] lengths of keys less the mean

  init(rows: HeadRows, settings: MagicPIGSettings) {
    self.rows = rows
    self.settings = settings
    projections = HashProjections.make(
      bits: settings.bits, tables: settings.tableCount, dimension: rows.dimension)
    mean = RowBuffer(capacity: rows.dimension)
    unsafe mean.grow(by: rows.dimension).update(repeating: 0, count: rows.dimension)
  }

  var indexedRowCount: Int { norms.count }
  var indexByteCount: Int { segments.reduce(norms.byteCount + mean.byteCount) { $0 + $1.tables.byteCount } }
  private var hashedEnd: Int { settings.sinkCount + norms.count }
  private var waiting: Int { max(0, rows.count - settings.windowCount - hashedEnd) }

  func needsUpdate(_ moment: UpdateMoment) -> Bool { moment == .endOfPrompt && waiting > 0 }

  func update(_ moment: UpdateMoment, askPosition: Int, workspace: Workspace) {
    guard moment == .endOfPrompt else { return }
    while waiting > 0 { hash(min(waiting, HashTables.maximumRows), workspace: workspace) }
  }

  private func hash(_ count: Int, workspace: Workspace) {
    let scratch = workspace.scope()
    let d = rows.dimension
    let begin = hashedEnd
    let kernels = workspace.kernels
    let keys = unsafe scratch.floats(count * d)
    unsafe kernels.unsafeUnpack(
      rows.keys.from(begin), rowCount: count, dimension: d, target: keys, targetStride: d)
    if segments.isEmpty {
      unsafe mean.base.update(repeating: 0, count: d)
      for i in 0..<count {
        unsafe kernels.unsafeAddScaled(keys + i * d, by: 1 / Float(count), to: mean.base, count: d)
      }
    }
    let lengths = unsafe norms.grow(by: count)
    for i in 0..<count {
      unsafe kernels.unsafeAddScaled(mean.base, by: -1, to: keys + i * d, count: d)
      unsafe lengths[i] = vectorNorm(keys + i * d, dimension: d)
    }
    let tables = unsafe HashTables(
      FloatRows(keys, count: count, dimension: d), projections: projections, workspace: workspace)
    segments.append(Segment(tables: tables, begin: begin, madeAt: rows.count))
  }

  func truncate(to count: Int) throws(AttentionError) {
    rows.removeLast(to: count)
    while let last = segments.last, last.madeAt > count {
      norms.removeLast(to: norms.count - last.tables.rowCount)
      segments.removeLast()
    }
  }

  func attend(_ step: HeadStep) -> ReadStatistics.Head {
    let (queries, states, workspace) = (step.queries, step.states, step.workspace)
    let scratch = workspace.scope()
    let sink = min(settings.sinkCount, rows.count)
    let end = norms.count > 0 ? hashedEnd : sink
    states.attend(queries, to: 0..<sink, of: rows, workspace: workspace)
    states.attend(queries, to: end..<rows.count, of: rows, workspace: workspace)
    var read = ReadStatistics.Head(fixed: sink + rows.count - end)
    guard norms.count > 0 else { return read }
    let hashCount = states.count * settings.tableCount
    let hashes = unsafe ListView(scratch.halves(hashCount), count: hashCount)
    projections.hash(queries, into: hashes, workspace: workspace)
    read.indexBytes = projections.byteCount + rows.dimension * 4
    // What several queries sample is read once.
    let union = unsafe RowUnion(rowCount: norms.count, in: scratch)
    for segment in segments {
      for h in 0..<states.count {
        let scratch = workspace.scope()
        let (sample, entries) = unsafe segment.tables.collisions(
          hashes.from(h * settings.tableCount), found: scratch.rows(segment.tables.rowCount),
          workspace: workspace)
        estimate(
          sample, of: segment, query: h, queries: queries, states: states, workspace: workspace)
        let first = UInt32(segment.begin - settings.sinkCount)
        for row in sample { unsafe union.insert(row + first) }
        // Entries, two starts of each table's bucket, and lengths.
        read.indexBytes += entries * 2 + settings.tableCount * 8 + sample.count * 4
      }
    }
    read.retrieved = union.count
    return read
  }

  /// Adds a sample's keys to one query's state, each for all that are like it.
  private func estimate(
    _ sample: ListView<UInt32>, of segment: Segment, query h: Int, queries: FloatRows, states: StatePointers,
    workspace: Workspace
  ) {
    let scratch = workspace.scope()
    guard !sample.isEmpty else { return }
    let d = rows.dimension
    let query = unsafe queries[h]
    let scores = unsafe scratch.floats(sample.count)
    unsafe workspace.kernels.unsafeDot(
      FloatRows(query, count: 1, dimension: d), with: rows.keys.from(segment.begin),
      .listed(sample), scores: scores)
    var onMean: Float = 0
    for i in 0..<d { unsafe onMean += query[i] * mean.base[i] }
    let length = unsafe vectorNorm(query, dimension: d)
    let indices = unsafe sample.base
    let lengths = unsafe norms.base + (segment.begin - settings.sinkCount)
    for i in 0..<sample.count {
      let product = unsafe length * lengths[Int(indices[i])]
      let cosine = unsafe product > 0 ? (scores[i] - onMean) / product : 0
      unsafe scores[i] -= projections.logProbability(cosine: cosine)
    }
    unsafe workspace.kernels.unsafeSoftmaxAccumulate(
      scores: scores, values: rows.values.from(segment.begin), .listed(sample),
      to: states[h])
  }
}
