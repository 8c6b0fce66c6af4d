// How much the first and last rows weigh, told from a few of them while they are attended to elsewhere.

package import VectorIndex

extension RetrievalHead: FixedRowsHead {
  package var sinkCount: Int { settings.sinkCount }
  package var maximumFixedRows: Int? {
    clusters.map { _ in settings.sinkCount + settings.windowCount + 2 * settings.insertionCount }
  }

  /// Fixed rows that tell how much all of them weigh: the first few, which draw attention of any query, and the newest.
  private static let probedSinks = 8
  private static let probedWindow = 32

  package func probe(_ step: HeadStep) -> ReadStatistics.Head {
    let sinks = 0..<min(Self.probedSinks, settings.sinkCount)
    let newest = rows.count - min(Self.probedWindow, windowRows)..<rows.count
    for range in [sinks, newest] where !range.isEmpty {
      step.states.attend(step.queries, to: range, of: rows, workspace: step.workspace)
    }
    return ReadStatistics.Head(fixed: rows.count - index.rowCount)
  }

  package func expectFixed(_ logSumExps: ListView<Float>) {
    guard fixedExcess.count == logSumExps.count else { return }
    for h in 0..<logSumExps.count { logSumExps[h] += fixedExcess[h] }
  }

  package func learnFixedWeight(probed: ListView<Float>, found: ListView<Float>) {
    let g = samples.groupSize
    let isNew = fixedExcess.count != g
    if isNew { fixedExcess = [Float](repeating: 0, count: g) }
    for h in 0..<g where (found[h] - probed[h]).isFinite {
      fixedExcess[h] += (found[h] - probed[h] - fixedExcess[h]) * (isNew ? 1 : 0.25)
    }
  }
}
