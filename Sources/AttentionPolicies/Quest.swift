// Quest: pages of keys, chosen by an upper bound of their scores.

import AttentionKernels
public import RetrievalAttention
import VectorIndex

/// Settings of `AttentionPolicy.quest(_:)`: the pages whose keys could score highest (Tang et al., *Quest:
/// Query-Aware Sparsity for Efficient Long-Context LLM Inference*, arXiv 2406.10774).
///
/// For each page the least and the largest element of its keys in each dimension are kept. With them a page's highest
/// score is at most `sum over i of max(q_i * least_i, q_i * largest_i)`; each query reads the pages of the highest
/// bounds. The page that is being filled is always read. As in the paper, the first two layers attend exactly.
public struct QuestSettings: PolicySettings {
  /// Tokens in a page (the paper's S).
  public var pageSize = 16
  /// Tokens that each query reads in pages (the paper's token budget, K pages of S).
  public var budget = 2048
  public var denseLayers = [0, 1]

  public init() {}

  public static let name = "quest"
  public static let summary = "Pages whose least and largest elements promise the highest scores: Quest."
  public static let paper: String? = "2406.10774"
  public static let tradeOff = """
    Pages that are not chosen count nothing; bounds are loose, the more so the larger a page.
    """
  public static let parameters: [PolicyParameter<QuestSettings>] = [
    .integer("page", \.pageSize, 1...65536, symbol: "S", "Tokens in a page."),
    .integer(
      "budget", \.budget, 1...Int(UInt32.max), symbol: "K S", "Tokens that each query reads in pages."),
    .denseLayers(\.denseLayers),
  ]

  public func makeHead(rows: HeadRows, place: HeadPlace) throws(AttentionError) -> any HeadPolicy {
    QuestHead(rows: rows, settings: self)
  }
}

/// Rows in pages with the bounds of their keys.
final class QuestHead: UpdatedHead, MeasuredHead {
  let rows: HeadRows
  private let pageSize: Int
  /// Pages that each query reads.
  private let chosen: Int
  /// `[pages, 2, d]`: largest and least elements in f16: exact when the keys are, and else off by a 2048th at most.
  private var bounds = RowBuffer<UInt16>()

  init(rows: HeadRows, settings: QuestSettings) {
    self.rows = rows
    pageSize = settings.pageSize
    chosen = max(1, settings.budget / settings.pageSize)
  }

  private var pageCount: Int { bounds.count / (2 * rows.dimension) }
  var indexedRowCount: Int { pageCount * pageSize }
  var indexByteCount: Int { bounds.byteCount }

  func needsUpdate(_ moment: UpdateMoment) -> Bool { rows.count - indexedRowCount >= pageSize }

  func update(_ moment: UpdateMoment, askPosition: Int, workspace: Workspace) {
    let scratch = workspace.scope()
    let d = rows.dimension
    let key = scratch.floats(d)
    // Together, as they are stored.
    let largest = scratch.floats(2 * d)
    let least = largest + d
    while rows.count - indexedRowCount >= pageSize {
      let first = indexedRowCount
      largest.update(repeating: -.infinity, count: d)
      least.update(repeating: .infinity, count: d)
      for row in first..<first + pageSize {
        workspace.kernels.unsafeUnpack(
          rows.keys.from(row), rowCount: 1, dimension: d, target: key, targetStride: d)
        for i in 0..<d {
          largest[i] = max(largest[i], key[i])
          least[i] = min(least[i], key[i])
        }
      }
      workspace.kernels.unsafeConvertToFloat16(largest, bounds.grow(by: 2 * d), count: 2 * d)
    }
  }

  func truncate(to count: Int) throws(AttentionError) {
    rows.removeLast(to: count)
    bounds.removeLast(to: min(pageCount, count / pageSize) * 2 * rows.dimension)
  }

  func attend(_ step: HeadStep) -> ReadStatistics.Head {
    let (queries, states, workspace) = (step.queries, step.states, step.workspace)
    let scratch = workspace.scope()
    let pages = pageCount
    let end = indexedRowCount
    states.attend(queries, to: end..<rows.count, of: rows, workspace: workspace)
    let marks = scratch.indices(pages)
    var read = ReadStatistics.Head(fixed: rows.count - end)
    if pages > chosen {
      mark(marks, queries: queries, count: states.count, workspace: workspace)
      read.indexBytes = bounds.byteCount
    } else {
      marks.update(repeating: 1, count: pages)
    }
    read.retrieved = states.attend(
      queries, to: MarkedBlocks(marks: marks, count: pages, size: pageSize, end: end), of: rows,
      workspace: workspace)
    return read
  }

  /// Marks the union of each query's pages of the highest bounds.
  private func mark(
    _ marks: UnsafeMutablePointer<UInt32>, queries: UnsafePointer<Float>, count g: Int, workspace: Workspace
  ) {
    let scratch = workspace.scope()
    let d = rows.dimension
    let pages = pageCount
    // max(q * least, q * largest) is q * largest for positive q and q * least for negative q: a dot product of the
    // positive and the negative parts with the two bounds.
    let signed = scratch.floats(g * 2 * d)
    for h in 0..<g {
      for i in 0..<d {
        let q = queries[h * d + i]
        signed[h * 2 * d + i] = max(q, 0)
        signed[h * 2 * d + d + i] = min(q, 0)
      }
    }
    let scores = scratch.floats(g * pages)
    workspace.kernels.unsafeDot(
      FloatRows(signed, count: g, dimension: 2 * d), with: PackedRows(bounds.base, stride: 2 * d),
      .first(pages), scores: scores)
    workspace.markHighest(chosen, of: scores, count: pages, queryCount: g, marks: marks)
  }
}
