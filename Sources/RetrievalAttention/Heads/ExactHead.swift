// Exact attention of one KV head.

import VectorIndex

/// Attends to every row.
package final class ExactHead: DividedHead, DraftHead {
  package let rows: HeadRows

  package init(rows: HeadRows) {
    self.rows = rows
  }

  package func partCount(workers: Int) -> Int { Self.partCount(rows: rows.count, workers: workers) }
  package func truncate(to count: Int) throws(AttentionError) { rows.removeLast(to: count) }
  package func attend(_ step: HeadStep) -> ReadStatistics.Head { Self.attend(step, to: rows) }

  /// Parts of at least 1024 rows, and no more than keep all workers busy with some to spare for balance.
  package static func partCount(rows: Int, workers: Int) -> Int {
    max(1, min(rows / 1024, 2 * workers))
  }

  /// The step's part of all rows.
  package static func attend(_ step: HeadStep, to rows: HeadRows) -> ReadStatistics.Head {
    let count = rows.count - step.hiddenRows
    let begin = count * step.part / step.parts
    let end = count * (step.part + 1) / step.parts
    step.workspace.recorder?.read(begin..<end)
    step.states.attend(step.queries, to: begin..<end, of: rows, workspace: step.workspace)
    return ReadStatistics.Head(retrieved: end - begin)
  }
}
