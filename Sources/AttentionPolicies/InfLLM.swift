// InfLLM: blocks of keys, looked up by the keys that represent them.

import AttentionKernels
public import RetrievalAttention
import VectorIndex

/// Settings of `AttentionPolicy.infLLM(_:)`: blocks of keys, of which those are read whose representatives score
/// highest (Xiao et al., *InfLLM: Training-Free Long-Context Extrapolation for LLMs with an Efficient Context Memory*,
/// arXiv 2402.04617).
///
/// A key's representative score is its mean dot product with the queries of the following `window` tokens, summed over
/// the group of query heads; the keys of the highest scores represent their block. A block's relevance to a query is
/// the sum of its dot products with them. Sizes are those with which RetrievalAttention's tables ran it; the paper
/// takes a window of 4096. The paper gives all keys beyond the window the same position and reads prompts in the same
/// way as it generates; here positions stay what they were and prompts are read with exact attention.
public struct InfLLMSettings: PolicySettings {
  /// First tokens that are always attended to (the paper's initial tokens).
  public var sinkCount = 128
  /// Last tokens that are always attended to (the paper's l_L).
  public var windowCount = 512
  /// Tokens in a block (the paper's l_bs).
  public var blockSize = 128
  /// Keys that represent a block (the paper's r_k).
  public var representativeCount = 4
  /// Blocks that each query reads (the paper's k_m).
  public var blockCount = 16
  public var denseLayers: [Int] = []

  public init() {}

  public static let name = "infllm"
  public static let summary =
    "Sink and window exactly, and blocks whose representatives score highest: InfLLM."
  public static let paper: String? = "2402.04617"
  public static let tradeOff = """
    Blocks that are not chosen count nothing, and a few keys speak for each. Prompts are read exactly, and positions \
    stay what they were.
    """
  public static let parameters: [PolicyParameter<InfLLMSettings>] = [
    .integer("sink", \.sinkCount, 0...Int(UInt32.max), "First tokens that are always attended to."),
    .integer("window", \.windowCount, 1...65536, symbol: "l_L", "Last tokens that are always attended to."),
    .integer("block", \.blockSize, 1...65536, symbol: "l_bs", "Tokens in a block."),
    .integer(
      "representatives", \.representativeCount, 1...65536, symbol: "r_k", "Keys that represent a block."),
    .integer("blocks", \.blockCount, 1...Int(UInt32.max), symbol: "k_m", "Blocks that each query reads."),
    .denseLayers(\.denseLayers),
  ]

  public func makeHead(rows: HeadRows, place: HeadPlace) throws(AttentionError) -> any HeadPolicy {
    InfLLMHead(rows: rows, groupSize: place.layer.groupSize, settings: self)
  }
}

/// Rows in blocks with what represents each.
final class InfLLMHead: ObservingHead, BatchReadingHead, UpdatedHead, MeasuredHead {
  let rows: HeadRows
  private let groupSize: Int
  private let settings: InfLLMSettings
  /// Queries of the last tokens, summed over the group: a ring of `[slots, d]`.
  private var querySums = RowBuffer<Float>()
  /// The token of each slot, -1 for none.
  private var positions = RowBuffer<Int32>()
  /// `[blocks, d]`: the sum of the representatives' keys. A sum of dot products is the dot product with the sum.
  private var representatives = RowBuffer<Float>()

  /// Tokens of a batch that are taken at once.
  private static let chunk = 64
  /// Further queries that are kept, so that some generated tokens can be taken back.
  private static let slack = 512

  init(rows: HeadRows, groupSize: Int, settings: InfLLMSettings) {
    self.rows = rows
    self.groupSize = groupSize
    self.settings = settings
    let slots = settings.blockSize + settings.windowCount + Self.chunk + Self.slack
    unsafe querySums.grow(by: slots * rows.dimension)
    unsafe positions.grow(by: slots).update(repeating: -1, count: slots)
  }

  private var blockCount: Int { representatives.count / rows.dimension }
  private var indexedEnd: Int { settings.sinkCount + indexedRowCount }
  var indexedRowCount: Int { blockCount * settings.blockSize }
  var indexByteCount: Int { representatives.byteCount }
  var sampleByteCount: Int { querySums.byteCount + positions.byteCount }

  /// Of a batch ``didPrefill(_:workspace:)`` takes all queries; this is for generated tokens.
  func wants(position: Int, batchEnd: Int) -> Bool { position == batchEnd - 1 }

  func observe(_ token: ObservedToken, workspace: Workspace) {
    unsafe record(
      FloatRows(token.queries, count: groupSize, dimension: rows.dimension), scale: token.scale,
      position: token.position, workspace: workspace)
  }

  private func record(_ queries: FloatRows, scale: Float, position: Int, workspace: Workspace) {
    let d = rows.dimension
    let slot = position % positions.count
    let sum = unsafe querySums.base + slot * d
    unsafe sum.update(repeating: 0, count: d)
    for h in 0..<groupSize {
      unsafe workspace.kernels.unsafeAddScaled(queries[h], by: scale, to: sum, count: d)
    }
    unsafe positions.base[slot] = Int32(position)
  }

  func didPrefill(_ batch: HeadBatch, workspace: Workspace) {
    let scratch = workspace.scope()
    let width = groupSize * rows.dimension
    let queries = unsafe scratch.floats(Self.chunk * width)
    for first in stride(from: 0, to: batch.tokenCount, by: Self.chunk) {
      let tokens = first..<min(first + Self.chunk, batch.tokenCount)
      unsafe batch.queries(tokens, into: queries, workspace: workspace)
      for token in tokens {
        unsafe record(
          FloatRows(queries + (token - first) * width, count: groupSize, dimension: rows.dimension), scale: 1,
          position: batch.firstPosition + token,
          workspace: workspace)
      }
      represent(seen: batch.firstPosition + tokens.upperBound, workspace: workspace)
    }
  }

  func needsUpdate(_ moment: UpdateMoment) -> Bool { isBlockDue(seen: rows.count) }

  func update(_ moment: UpdateMoment, askPosition: Int, workspace: Workspace) {
    represent(seen: rows.count, workspace: workspace)
  }

  /// Whether the next block has left the window, once `seen` tokens have been read.
  private func isBlockDue(seen: Int) -> Bool {
    seen - indexedEnd >= settings.blockSize + settings.windowCount
  }

  /// Chooses the representatives of all blocks that have left the window.
  private func represent(seen: Int, workspace: Workspace) {
    while isBlockDue(seen: seen) { representBlock(indexedEnd, workspace: workspace) }
  }

  private func representBlock(_ begin: Int, workspace: Workspace) {
    let scratch = workspace.scope()
    let d = rows.dimension
    let size = settings.blockSize
    let following = unsafe scratch.list(d)
    let key = unsafe scratch.floats(d)
    let scores = unsafe scratch.floats(size)
    // The sum of the queries of the tokens after a row, moved on from row to row.
    following.fill(0)
    for position in begin + 1..<begin + settings.windowCount {
      add(position, sign: 1, to: following, workspace: workspace)
    }
    for row in begin..<begin + size {
      add(row + settings.windowCount, sign: 1, to: following, workspace: workspace)
      unsafe workspace.kernels.unsafeDot(
        following.rows(dimension: d), with: rows.keys.from(row), .first(1),
        scores: scores + row - begin)
      add(row + 1, sign: -1, to: following, workspace: workspace)
    }
    let chosen = unsafe scratch.rows(settings.representativeCount)
    let count = unsafe HighestScores.select(
      settings.representativeCount, of: scores, count: size, into: chosen.base)
    let sum = unsafe representatives.grow(by: d)
    unsafe sum.update(repeating: 0, count: d)
    // In the order of the text, so that the sum does not depend on how they were found.
    chosen.first(count).sort()
    for row in chosen.first(count) {
      unsafe workspace.kernels.unsafeUnpack(
        rows.keys.from(begin + Int(row)), rowCount: 1, dimension: d, target: key, targetStride: d)
      unsafe workspace.kernels.unsafeAddScaled(key, by: 1, to: sum, count: d)
    }
  }

  private func add(
    _ position: Int, sign: Float, to sum: ListView<Float>, workspace: Workspace
  ) {
    let slot = position % positions.count
    guard unsafe Int(positions.base[slot]) == position else { return }
    unsafe workspace.kernels.unsafeAddScaled(
      querySums.base + slot * rows.dimension, by: sign, to: sum.base, count: rows.dimension)
  }

  func truncate(to count: Int) throws(AttentionError) {
    rows.removeLast(to: count)
    for slot in 0..<positions.count where unsafe Int(positions.base[slot]) >= count {
      unsafe positions.base[slot] = -1
    }
    // A block stays when it had left the window by then.
    let left = (count - settings.sinkCount - settings.windowCount) / settings.blockSize
    representatives.removeLast(to: min(blockCount, max(0, left)) * rows.dimension)
  }

  func attend(_ step: HeadStep) -> ReadStatistics.Head {
    let (queries, states, workspace) = (step.queries, step.states, step.workspace)
    let scratch = workspace.scope()
    let d = rows.dimension
    let g = states.count
    let blocks = blockCount
    let sink = min(settings.sinkCount, rows.count)
    let end = blocks > 0 ? indexedEnd : sink
    states.attend(queries, to: 0..<sink, of: rows, workspace: workspace)
    states.attend(queries, to: end..<rows.count, of: rows, workspace: workspace)
    var read = ReadStatistics.Head(fixed: sink + rows.count - end)
    let marks = unsafe scratch.rows(blocks)
    if blocks > settings.blockCount {
      let scores = unsafe scratch.list(g * blocks)
      unsafe workspace.kernels.unsafeDot(
        queries,
        with: FloatRows(representatives.base, count: blocks, dimension: d), scores: scores.base)
      workspace.markHighest(settings.blockCount, of: scores, queryCount: g, marks: marks)
      read.indexBytes = representatives.byteCount
    } else {
      marks.fill(1)
    }
    read.retrieved = states.attend(
      queries,
      to: MarkedBlocks(marks: marks, size: settings.blockSize, first: sink, end: end),
      of: rows,
      workspace: workspace)
    return read
  }
}
