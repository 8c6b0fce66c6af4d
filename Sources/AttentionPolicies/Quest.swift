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
    let key = unsafe scratch.floats(d)
    // Together, as they are stored.
    let largest = unsafe scratch.floats(2 * d)
    let least = unsafe largest + d
    while rows.count - indexedRowCount >= pageSize {
      let first = indexedRowCount
      unsafe largest.update(repeating: -.infinity, count: d)
      unsafe least.update(repeating: .infinity, count: d)
      for row in first..<first + pageSize {
        unsafe workspace.kernels.unsafeUnpack(
          rows.keys.from(row), rowCount: 1, dimension: d, target: key, targetStride: d)
        for i in 0..<d {
          unsafe largest[i] = max(largest[i], key[i])
          unsafe least[i] = min(least[i], key[i])
        }
      }
      unsafe workspace.kernels.unsafeConvertToFloat16(largest, bounds.grow(by: 2 * d), count: 2 * d)
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
    let marks = unsafe scratch.rows(pages)
    var read = ReadStatistics.Head(fixed: rows.count - end)
    if pages > chosen {
      mark(marks, queries: queries, workspace: workspace)
      read.indexBytes = bounds.byteCount
    } else {
      marks.fill(1)
    }
    read.retrieved = states.attend(
      queries, to: MarkedBlocks(marks: marks, size: pageSize, end: end), of: rows,
      workspace: workspace)
    return read
  }

  /// Marks the union of each query's pages of the highest bounds.
  private func mark(
    _ marks: ListView<UInt32>, queries: FloatRows, workspace: Workspace
  ) {
    let scratch = workspace.scope()
    let d = rows.dimension
    let (pages, g) = (pageCount, queries.count)
    let queries = unsafe queries.base
    // max(q * least, q * largest) is q * largest for positive q and q * least for negative q: a dot product of the
    // positive and the negative parts with the two bounds.
    let signed = unsafe scratch.floats(g * 2 * d)
    for h in 0..<g {
      for i in 0..<d {
        let q = unsafe queries[h * d + i]
        unsafe signed[h * 2 * d + i] = max(q, 0)
        unsafe signed[h * 2 * d + d + i] = min(q, 0)
      }
    }
    let scores = unsafe scratch.list(g * pages)
    unsafe workspace.kernels.unsafeDot(
      FloatRows(signed, count: g, dimension: 2 * d), with: PackedRows(bounds.base, stride: 2 * d),
      .first(pages), scores: scores.base)
    workspace.markHighest(chosen, of: scores, queryCount: g, marks: marks)
  }
}
