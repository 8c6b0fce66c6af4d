// XAttention: blocks of keys for a prompt's tokens, chosen by sums along antidiagonals of the scores.

import AttentionKernels
public import RetrievalAttention
import VectorIndex

/// Settings of `AttentionPolicy.xAttention(_:)`: prompts that attend to the blocks of keys with the most attention, as
/// sums of scores along antidiagonals tell it (Xu et al., *XAttention: Block Sparse Attention with Antidiagonal
/// Scoring*, arXiv 2503.16428). Generated tokens attend exactly.
///
/// `stride` tokens and `stride` keys that follow one another meet in one number, the sum of the scores of the first
/// token with the last key, of the second with the last but one, and so on: each of them, and every vertical and
/// slanted line of the scores, is in it, at a `stride`-th of the products. The softmax of these numbers gives each
/// block of keys a share; the largest blocks that have `threshold` of a tile's attention together are read, with the
/// first block and the tile's own. A tile of one query head is the block of queries: 96 tokens for three query heads a
/// KV head, less for more; 128 in the paper.
public struct XAttentionSettings: PolicySettings {
  /// Keys in a block (the paper's B).
  public var blockSize = 128
  /// Tokens and keys whose scores are added up (the paper's S).
  public var stride = 8
  /// Share of the attention that chosen blocks have (the paper's tau).
  public var threshold: Float = 0.9
  public var denseLayers: [Int] = []

  public init() {}

  public static let name = "xattention"
  public static let summary = "Prompts read by blocks, found by antidiagonal sums of scores: XAttention."
  public static let paper: String? = "2503.16428"
  public static let tradeOff = """
    Blocks below the threshold count nothing. Every context is scored again for every tile, at a fixed share of the cost \
    of reading it. Generated tokens attend exactly.
    """
  public static let parameters: [PolicyParameter<XAttentionSettings>] = [
    .integer("block", \.blockSize, 1...65536, symbol: "B", "Keys in a block."),
    .integer("stride", \.stride, 1...128, symbol: "S", "Tokens and keys whose scores are added up."),
    .real("threshold", \.threshold, 0...1, symbol: "tau", "Share of the attention that is read."),
    .denseLayers(\.denseLayers),
  ]

  public var readsPromptsExactly: Bool { false }

  public func validate() throws(AttentionError) {
    try validateParameters()
    guard blockSize % stride == 0 else {
      throw .invalidSetting(
        name: "block", value: "\(blockSize)", requirement: "a multiple of the stride, \(stride)")
    }
  }

  public func makeHead(rows: HeadRows, place: HeadPlace) throws(AttentionError) -> any HeadPolicy {
    XAttentionHead(rows: rows, settings: self)
  }
}

/// Chooses blocks for tiles of prompts.
final class XAttentionHead: DividedHead, DraftHead, PromptHead {
  let rows: HeadRows
  private let settings: XAttentionSettings

  init(rows: HeadRows, settings: XAttentionSettings) {
    self.rows = rows
    self.settings = settings
  }

  func partCount(workers: Int) -> Int { ExactHead.partCount(rows: rows.count, workers: workers) }
  func truncate(to count: Int) throws(AttentionError) { rows.removeLast(to: count) }
  func attend(_ step: HeadStep) -> ReadStatistics.Head { ExactHead.attend(step, to: rows) }

  var choosesForPrompts: Bool { rows.count > 2 * settings.blockSize }
  func readsAllKeys(position: Int, promptEnd: Int) -> Bool { false }
  func willReadPrompt(batchTokens: Int, continues: Bool) {}

  func attend(_ tile: PromptTile) -> Int {
    tile.attendByHead(blockTokens: tile.tokenCount) { tile in
      // Blocks that all tokens see whole; what is behind them is read.
      let blocks = (tile.commonRows - 1) / settings.blockSize
      var products = tile.attendCausally(from: blocks * settings.blockSize, of: rows)
      guard blocks > 1 else {
        return products + tile.attend(to: .first(blocks * settings.blockSize), of: rows)
      }
      let scratch = tile.workspace.scope()
      let shares = unsafe scratch.list(blocks)
      products += score(tile, blocks: blocks, shares: shares)
      let chosen = choose(shares)
      let list = unsafe scratch.rows(chosen.count * settings.blockSize)
      for (number, block) in chosen.enumerated() {
        for row in 0..<settings.blockSize {
          list[number * settings.blockSize + row] = UInt32(block * settings.blockSize + row)
        }
      }
      return unsafe products + tile.attend(to: .listed(list.base, count: list.count), of: rows)
    }
  }

  /// Writes the share of the tile's attention that each block has.
  ///
  /// - Returns: the products that this took.
  private func score(_ tile: PromptTile, blocks: Int, shares: ListView<Float>) -> Int {
    let scratch = tile.workspace.scope()
    let kernels = tile.workspace.kernels
    let (stride, d) = (settings.stride, rows.dimension)
    // Tokens that fill no group of their own are judged with the others.
    let groups = max(1, tile.tokenCount / stride)
    let span = min(stride, tile.tokenCount)
    let spans = Int(tile.visibleEnds[tile.tokenCount - 1]) / stride
    let queries = unsafe scratch.floats(groups * d)
    let products = unsafe scratch.floats(groups * spans)
    let scores = unsafe scratch.floats(groups * spans)
    unsafe scores.update(repeating: 0, count: groups * spans)
    for offset in 0..<span {
      for group in 0..<groups {
        unsafe (queries + group * d).update(from: tile.queries[group * stride + span - 1 - offset], count: d)
      }
      unsafe kernels.unsafeDot(
        FloatRows(queries, count: groups, dimension: d), with: rows.keys.from(offset).every(stride),
        .first(spans), scores: products)
      unsafe kernels.unsafeAddScaled(
        products, by: tile.scale / Float(span), to: scores, count: groups * spans)
    }
    shares.fill(0)
    let spansInBlock = settings.blockSize / stride
    for group in 0..<groups {
      let seen = min(spans, Int(tile.visibleEnds[min(tile.tokenCount, (group + 1) * stride) - 1]) / stride)
      let weights = unsafe scores + group * spans
      unsafe kernels.softmax(weights, count: seen)
      for block in 0..<blocks {
        var share: Float = 0
        for span in block * spansInBlock..<(block + 1) * spansInBlock { share += unsafe weights[span] }
        shares[block] += share / Float(groups)
      }
    }
    return groups * spans * span
  }

  /// The first block, and the largest that have the threshold's share with it and with all that no block is made of.
  private func choose(_ shares: ListView<Float>) -> [Int] {
    var blocks: Float = 0
    for block in 0..<shares.count { blocks += shares[block] }
    var read = max(0, 1 - blocks) + shares[0]
    var chosen = [0]
    let order = (1..<shares.count).sorted {
      shares[$0] != shares[$1] ? shares[$0] > shares[$1] : $0 < $1
    }
    for block in order {
      guard read < settings.threshold else { break }
      chosen.append(block)
      read += shares[block]
    }
    return chosen.sorted()
  }
}
