// A method of attention of one's own: blocks of tokens, found by the mean of their keys.

public import RetrievalAttention
internal import VectorIndex

/// Attends to the first tokens, to the block that is being filled, and to the blocks whose mean key a query likes best.
public struct BlockMeansSettings: PolicySettings {
  /// Tokens in a block.
  public var blockSize = 32
  /// Tokens that each query reads in blocks.
  public var budget = 1024
  /// First tokens that are always attended to.
  public var sinkCount = 32

  public init() {}

  public static let name = "blockmeans"
  public static let summary = "First tokens, and blocks of the best mean keys."
  public static let paper: String? = nil
  public static let tradeOff = "Keys in blocks of other keys are not found."
  public static let parameters: [PolicyParameter<BlockMeansSettings>] = [
    .integer("block", \.blockSize, 1...65536, "Tokens in a block."),
    .integer("budget", \.budget, 1...1_000_000, "Tokens that each query reads in blocks."),
    .integer("sink", \.sinkCount, 0...1_000_000, "First tokens that are always attended to."),
  ]

  public func makeHead(rows: HeadRows, place: HeadPlace) throws(AttentionError) -> any HeadPolicy {
    BlockMeansHead(rows: rows, settings: self)
  }
}

/// One KV head: the mean keys of all full blocks behind the sink.
final class BlockMeansHead: UpdatedHead, MeasuredHead {
  let rows: HeadRows
  private let settings: BlockMeansSettings
  private var means: [[Float]] = []

  init(rows: HeadRows, settings: BlockMeansSettings) {
    self.rows = rows
    self.settings = settings
  }

  private var end: Int { settings.sinkCount + indexedRowCount }
  var indexedRowCount: Int { means.count * settings.blockSize }
  var indexByteCount: Int { means.count * rows.dimension * 4 }

  func needsUpdate(_ moment: UpdateMoment) -> Bool { rows.count - end >= settings.blockSize }

  func update(_ moment: UpdateMoment, askPosition: Int, workspace: Workspace) {
    while needsUpdate(moment) {
      var mean = [Float](repeating: 0, count: rows.dimension)
      for row in end..<end + settings.blockSize {
        for (i, element) in rows.key(row).enumerated() { mean[i] += element / Float(settings.blockSize) }
      }
      means.append(mean)
    }
  }

  func truncate(to count: Int) throws(AttentionError) {
    rows.removeLast(to: count)
    means.removeLast(max(0, means.count - max(0, count - settings.sinkCount) / settings.blockSize))
  }

  func attend(_ step: HeadStep) -> ReadStatistics.Head {
    let sink = min(settings.sinkCount, rows.count)
    let filling = min(end, rows.count)
    step.attend(to: 0..<sink, of: rows)
    step.attend(to: max(sink, filling)..<rows.count, of: rows)
    var read = ReadStatistics.Head(fixed: sink + rows.count - max(sink, filling), indexBytes: indexByteCount)
    for block in chosenBlocks(step).sorted() {
      let first = settings.sinkCount + block * settings.blockSize
      step.attend(to: first..<first + settings.blockSize, of: rows)
      read.retrieved += settings.blockSize
    }
    return read
  }

  /// What the queries of the group want, together.
  private func chosenBlocks(_ step: HeadStep) -> Set<Int> {
    let wanted = max(1, settings.budget / settings.blockSize)
    guard means.count > wanted else { return Set(means.indices) }
    return Set(
      (0..<step.groupSize).flatMap { head in
        let query = step.query(head)
        let scores = means.map { mean in zip(query, mean).reduce(Float(0)) { $0 + $1.0 * $1.1 } }
        return scores.indices.sorted { scores[$0] > scores[$1] }.prefix(wanted)
      })
  }
}
