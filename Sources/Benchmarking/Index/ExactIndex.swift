// The reference that needs no build: attention to every row.

package import VectorIndex
import AttentionKernels

/// Attends to every row. The error of everything else is measured against the same sum.
package final class ExactIndex: AttentionIndex {
  package let dimension: Int
  package private(set) var rowCount = 0
  package var byteCount: Int { 0 }

  package init(dimension: Int) {
    self.dimension = dimension
  }

  package func insert(_ new: NewRows, all: IndexRows, training: TrainingQueries, workspace: Workspace) {
    rowCount += new.count
  }

  package func attend(_ call: IndexCall, states: StatePointers) -> ReadCount {
    let (group, rows, workspace, recorder) = (call.group, call.rows, call.workspace, call.recorder)
    let scratch = workspace.scope()
    var read = ReadCount()
    guard rowCount > 0 else { return read }
    let d = dimension
    unsafe workspace.kernels.unsafeAttend(
      group.rows(dimension: d), to: rows.keyValues, .first(rowCount), states: states,
      scratch: scratch.floats(Kernels.attendScratchCount(queryCount: group.count)))
    recorder?.read(0..<rowCount)
    read.retrieved = rowCount
    read.scored = rowCount
    read.bytes = rowCount * rows.bytesPerRow
    return read
  }
}
