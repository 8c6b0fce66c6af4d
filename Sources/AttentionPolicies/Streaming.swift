// StreamingLLM: attention sinks and a sliding window.

import VectorIndex
public import RetrievalAttention

/// Settings of `AttentionPolicy.streaming(_:)`: the first and the last tokens, nothing between (Xiao et al.,
/// *Efficient Streaming Language Models with Attention Sinks*, arXiv 2309.17453).
///
/// The paper numbers positions anew within its cache, and evicts while the prompt is read. Here keys keep the positions
/// they were rotated to, and the prompt is read with exact attention.
public struct StreamingSettings: PolicySettings {
  /// First tokens that are kept.
  public var sinkCount = 4
  /// Last tokens that are kept, the current one included.
  public var windowCount = 2044
  public var denseLayers: [Int] = []

  public init() {}

  public static let name = "streaming"
  public static let summary = "First and last tokens only: StreamingLLM."
  public static let paper: String? = "2309.17453"
  public static let tradeOff = """
    Everything between sink and window is lost. Prompts are read exactly, and positions stay what they were.
    """
  public static let parameters: [PolicyParameter<StreamingSettings>] = [
    .integer("sink", \.sinkCount, 0...Int(UInt32.max), "First tokens that are kept."),
    .integer("window", \.windowCount, 1...Int(UInt32.max), "Last tokens that are kept."),
    .denseLayers(\.denseLayers),
  ]

  public func makeHead(rows: HeadRows, place: HeadPlace) throws(AttentionError) -> any HeadPolicy {
    StreamingHead(rows: rows, settings: self)
  }
}

/// Attends to the first and the last rows.
final class StreamingHead: HeadPolicy {
  let rows: HeadRows
  private let settings: StreamingSettings

  init(rows: HeadRows, settings: StreamingSettings) {
    self.rows = rows
    self.settings = settings
  }

  func truncate(to count: Int) throws(AttentionError) { rows.removeLast(to: count) }

  func attend(_ step: HeadStep) -> ReadStatistics.Head {
    let (queries, states, workspace) = (step.queries, step.states, step.workspace)
    let sink = min(settings.sinkCount, rows.count)
    let begin = max(sink, rows.count - settings.windowCount)
    states.attend(queries, to: 0..<sink, of: rows, workspace: workspace)
    states.attend(queries, to: begin..<rows.count, of: rows, workspace: workspace)
    return ReadStatistics.Head(fixed: sink + rows.count - begin)
  }
}
