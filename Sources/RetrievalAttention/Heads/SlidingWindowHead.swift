// Layers with a sliding window: there, the model itself forgets.

import AttentionModel
import VectorIndex

/// Attends exactly to the last `window` rows and keeps little more than those.
package final class SlidingWindowHead: HeadPolicy, WindowedHead, BlockedHead {
  package let rows: HeadRows
  package var takesBlocks: Bool { true }
  private let layer: LayerShape
  private let window: Int

  /// Rows that are kept beyond window and batch, so that a few tokens can be taken back.
  static let slack = 2048

  package init(rows: HeadRows, layer: LayerShape, window: Int) {
    self.rows = rows
    self.layer = layer
    self.window = window
  }

  package func firstVisibleRow(for row: Int) -> Int {
    let position = unsafe Int(rows.positions[row])
    return max(0, row - position + layer.firstVisible(from: position))
  }

  package func willAppend(rows newRows: Int) {
    guard rows.count + newRows > rows.capacity else { return }
    rows.keepLast(min(rows.count, window + Self.slack / 2))
  }

  package func truncate(to count: Int) throws(AttentionError) { rows.removeLast(to: count) }

  package func attend(_ step: HeadStep) -> ReadStatistics.Head {
    let begin = firstVisibleRow(for: rows.count - 1)
    step.states.attend(step.queries, to: begin..<rows.count, of: rows, workspace: step.workspace)
    return ReadStatistics.Head()
  }
}
