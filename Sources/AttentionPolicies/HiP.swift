// HiP: a search down a tree of spans of keys, each judged by a few keys in its middle.

import AttentionKernels
public import RetrievalAttention
import VectorIndex

/// Settings of `AttentionPolicy.hip(_:)`: blocks of keys found by halving spans and keeping the best (Lee et al., *A
/// Training-Free Sub-quadratic Cost Transformer Model Serving Framework With Hierarchically Pruned Attention*, arXiv
/// 2406.09827).
///
/// The keys between sink and window are cut into k spans of equal size. All spans are halved, each half is judged by
/// the highest score of the keys of its middle block, and the k best are kept, until each is one block. No index is
/// kept: the keys themselves are read to find the way. As in the paper, what was found serves the next tokens too, and
/// the first three layers attend exactly. The paper also prunes while prompts are read; here they are read with exact
/// attention. Each query head searches for itself; the paper searches for a block of queries together.
public struct HiPSettings: PolicySettings {
  /// Keys that each query finds (the paper's k).
  public var k = 512
  /// Keys in a block (the paper's b_k).
  public var blockSize = 2
  public var sinkCount = 16
  public var windowCount = 256
  /// Tokens that one search serves (the paper's r_m).
  public var refresh = 8
  public var denseLayers = [0, 1, 2]

  public init() {}

  public static let name = "hip"
  public static let summary = "Sink and window exactly, and blocks found by halving the best spans: HiP."
  public static let paper: String? = "2406.09827"
  public static let tradeOff = """
    A span is judged by its middle, so a key among unlike neighbors is missed; keys not found count nothing. Prompts are \
    read exactly.
    """
  public static let parameters: [PolicyParameter<HiPSettings>] = [
    .integer("k", \.k, 1...Int(UInt32.max), symbol: "k", "Keys that each query finds."),
    .integer("block", \.blockSize, 1...65536, symbol: "b_k", "Keys in a block."),
    .integer("sink", \.sinkCount, 0...Int(UInt32.max), "First tokens that are always attended to."),
    .integer("window", \.windowCount, 1...Int(UInt32.max), "Last tokens that are always attended to."),
    .integer("refresh", \.refresh, 1...1_000_000, symbol: "r_m", "Tokens that one search serves."),
    .denseLayers(\.denseLayers),
  ]

  public func makeHead(rows: HeadRows, place: HeadPlace) throws(AttentionError) -> any HeadPolicy {
    HiPHead(rows: rows, settings: self)
  }
}

/// Attends to what the last search found.
final class HiPHead: HeadPolicy {
  let rows: HeadRows
  private let settings: HiPSettings
  /// A mark for each block between sink and window that the last search found.
  private var marks = RowBuffer<UInt32>()
  /// Rows when it was made; 0 for none.
  private var searchedRows = 0

  init(rows: HeadRows, settings: HiPSettings) {
    self.rows = rows
    self.settings = settings
  }

  var indexByteCount: Int { marks.byteCount }

  func truncate(to count: Int) throws(AttentionError) {
    rows.removeLast(to: count)
    if searchedRows > count { searchedRows = 0 }
  }

  func attend(_ step: HeadStep) -> ReadStatistics.Head {
    let (queries, states, workspace) = (step.queries, step.states, step.workspace)
    var read = ReadStatistics.Head()
    if searchedRows == 0 || rows.count - searchedRows >= settings.refresh {
      read.indexBytes = search(queries, workspace: workspace)
      searchedRows = rows.count
    }
    let sink = min(settings.sinkCount, rows.count)
    // Blocks are counted from the sink; what fills no block belongs to the window.
    let end = sink + marks.count * settings.blockSize
    states.attend(queries, to: 0..<sink, of: rows, workspace: workspace)
    states.attend(queries, to: end..<rows.count, of: rows, workspace: workspace)
    read.fixed = sink + rows.count - end
    read.retrieved = unsafe states.attend(
      queries,
      to: MarkedBlocks(
        marks: marks.list, size: settings.blockSize, first: sink, end: end),
      of: rows, workspace: workspace)
    return read
  }

  /// Marks the union of what each query finds and returns the bytes of keys that were read on the way.
  private func search(
    _ queries: FloatRows, workspace: Workspace
  ) -> Int {
    let middle = rows.count - settings.sinkCount - settings.windowCount
    let blocks = max(0, middle) / settings.blockSize
    let kept = max(1, settings.k / settings.blockSize)
    marks.removeAll()
    unsafe marks.grow(by: blocks).update(repeating: blocks > kept ? 0 : 1, count: blocks)
    guard blocks > kept else { return 0 }
    var scored = 0
    for h in 0..<queries.count {
      unsafe scored += search(
        FloatRows(queries[h], count: 1, dimension: rows.dimension), blocks: blocks, kept: kept,
        workspace: workspace)
    }
    return scored * rows.keys.stride
  }

  /// One query's search. Returns the keys that were scored.
  private func search(_ query: FloatRows, blocks: Int, kept: Int, workspace: Workspace) -> Int {
    let scratch = workspace.scope()
    // Spans of blocks [begin, end), before and after halving.
    let spans = unsafe scratch.indices(2 * kept)
    let pairs = unsafe scratch.rows(4 * kept)
    let halves = unsafe pairs.base
    let scores = unsafe scratch.list(2 * kept)
    let best = unsafe scratch.indices(kept)
    for span in 0..<kept {
      unsafe spans[2 * span] = UInt32(span * blocks / kept)
      unsafe spans[2 * span + 1] = UInt32((span + 1) * blocks / kept)
    }
    var scored = 0
    while (0..<kept).contains(where: { unsafe spans[2 * $0 + 1] - spans[2 * $0] > 1 }) {
      var count = 0
      for span in 0..<kept {
        let (begin, end) = unsafe (spans[2 * span], spans[2 * span + 1])
        let middle = begin + (end - begin) / 2
        for (first, last) in [(begin, middle), (middle, end)] where first < last {
          unsafe halves[2 * count] = first
          unsafe halves[2 * count + 1] = last
          count += 1
        }
      }
      judge(query, halves: pairs.first(2 * count), scores: scores, workspace: workspace)
      scored += count * settings.blockSize
      let found = unsafe HighestScores.select(kept, of: scores.base, count: count, into: best)
      for i in 0..<found {
        unsafe spans[2 * i] = halves[2 * Int(best[i])]
        unsafe spans[2 * i + 1] = halves[2 * Int(best[i]) + 1]
      }
    }
    for span in 0..<kept { unsafe marks.base[Int(spans[2 * span])] = 1 }
    return scored
  }

  /// Writes the highest score of the keys of each span's middle block.
  private func judge(
    _ query: FloatRows, halves: ListView<UInt32>, scores: ListView<Float>, workspace: Workspace
  ) {
    let scratch = workspace.scope()
    let (halves, count, scores) = unsafe (halves.base, halves.count / 2, scores.base)
    let size = settings.blockSize
    let selected = unsafe scratch.indices(count * size)
    for i in 0..<count {
      let block = unsafe Int(halves[2 * i] + (halves[2 * i + 1] - halves[2 * i]) / 2)
      for j in 0..<size { unsafe selected[i * size + j] = UInt32(settings.sinkCount + block * size + j) }
    }
    let keyScores = unsafe scratch.floats(count * size)
    unsafe workspace.kernels.unsafeDot(
      query, with: rows.keys, .listed(selected, count: count * size),
      scores: keyScores)
    for i in 0..<count {
      var highest = unsafe keyScores[i * size]
      for j in 1..<max(1, size) { highest = unsafe max(highest, keyScores[i * size + j]) }
      unsafe scores[i] = highest
    }
  }
}
