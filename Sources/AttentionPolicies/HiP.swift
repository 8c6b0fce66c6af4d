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
/// the first three layers attend exactly. With `prefill` prompts are read in the same way, as in the paper: 32 tokens
/// of a query head search together, a span being worth the highest score of any of them, and attend to what they found,
/// to the sink and to the window before each. Without, prompts are read exactly. Each query head searches for itself.
public struct HiPSettings: PolicySettings {
  /// Keys that each query finds (the paper's k).
  public var k = 512
  /// Keys in a block (the paper's b_k).
  public var blockSize = 2
  public var sinkCount = 16
  public var windowCount = 256
  /// Tokens that one search serves (the paper's r_m).
  public var refresh = 8
  /// Whether prompts too attend to what is found.
  public var prefill = false
  public var denseLayers = [0, 1, 2]

  /// Tokens of a prompt that search together (the paper's b_q).
  static let queryBlock = 32

  public init() {}

  public static let name = "hip"
  public static let summary = "Sink and window exactly, and blocks found by halving the best spans: HiP."
  public static let paper: String? = "2406.09827"
  public static let tradeOff = """
    A span is judged by its middle, so a key among unlike neighbors is missed; keys not found count nothing. Prompts are \
    read exactly but with prefill=true, as in the paper.
    """
  public static let parameters: [PolicyParameter<HiPSettings>] = [
    .integer("k", \.k, 1...Int(UInt32.max), symbol: "k", "Keys that each query finds."),
    .integer("block", \.blockSize, 1...65536, symbol: "b_k", "Keys in a block."),
    .integer("sink", \.sinkCount, 0...Int(UInt32.max), "First tokens that are always attended to."),
    .integer("window", \.windowCount, 1...Int(UInt32.max), "Last tokens that are always attended to."),
    .integer("refresh", \.refresh, 1...1_000_000, symbol: "r_m", "Tokens that one search serves."),
    .flag("prefill", \.prefill, "Whether prompts too attend to what is found alone."),
    .denseLayers(\.denseLayers),
  ]

  public var readsPromptsExactly: Bool { !prefill }

  public func makeHead(rows: HeadRows, place: HeadPlace) throws(AttentionError) -> any HeadPolicy {
    HiPHead(rows: rows, settings: self)
  }
}

/// Attends to what the last search found.
final class HiPHead: HeadPolicy {
  let rows: HeadRows
  let settings: HiPSettings
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
    let blocks = blockCount(rows: rows.count)
    let kept = settings.keptBlocks
    marks.removeAll()
    unsafe marks.grow(by: blocks).update(repeating: blocks > kept ? 0 : 1, count: blocks)
    guard blocks > kept else { return 0 }
    let scratch = workspace.scope()
    let found = unsafe scratch.rows(kept)
    var scored = 0
    for h in 0..<queries.count {
      unsafe scored += search(
        FloatRows(queries[h], count: 1, dimension: rows.dimension), blocks: blocks, found: found,
        workspace: workspace)
      for i in 0..<kept { unsafe marks.base[Int(found[i])] = 1 }
    }
    return scored * rows.keys.stride
  }
}
