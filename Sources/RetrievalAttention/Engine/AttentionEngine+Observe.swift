// What a policy lost, head by head: its output and what it read, against exact attention over the same rows.

import AttentionKernels
import Platform
import VectorIndex

/// One KV head of one layer in one decode step.
package struct DecodedHead {
  package var layer: Int
  package var kvHead: Int
  /// `[groupSize]`: relative L2 distance of the output from exact attention.
  package var outputErrors: [Double]
  /// `[groupSize]`: share of the exact attention weights that lie on keys that were read exactly, 0...1; nil when the
  /// policy does not note what it reads.
  package var recoveredMass: [Double]?
  /// Bytes that the step read for this KV head: keys, values and index.
  package var bytes: Int
}

extension AttentionEngine {
  /// Computes exact attention for one head of a decoded token and tells the difference.
  ///
  /// Heads that keep fewer rows than there are tokens are left out: what they would have seen is gone.
  ///
  /// - Parameters:
  ///   - finished: what the policy gave.
  ///   - recorders: what was read, for each block of the group's query heads.
  func observe(
    _ call: AttentionCall, kvHead: Int, finished: OutputPointers, recorders: [[ReadRecorder]],
    bytes: Int, workspace: Workspace, observer: (DecodedHead) -> Void
  ) {
    let scratch = workspace.scope()
    let layer = layerShape(of: call)
    let rows = rows(layer: call.layer, kvHead: kvHead)
    let (g, d, count) = (layer.groupSize, layer.headDimension, rows.count)
    guard count == call.firstPosition + call.tokenCount else { return }
    let kernels = workspace.kernels
    let queries = unsafe scratch.floats(g * d)
    unsafe call.queries.gather(
      heads: layer.group(of: kvHead), tokens: 0..<1, width: layer.headDimension, into: queries)
    unsafe kernels.unsafeScale(queries, by: layer.scale, count: g * d)
    let states = unsafe StatePointers(count: g, dimension: d, in: scratch)
    let group = unsafe FloatRows(queries, count: g, dimension: d)
    states.attend(group, to: 0..<count, of: rows, workspace: workspace)
    let exact = unsafe scratch.floats(g * d)
    let logSumExps = unsafe scratch.floats(g)
    unsafe states.finish(into: OutputPointers(outputs: exact, logSumExps: logSumExps, count: g, dimension: d))
    let errors = (0..<g).map { h in
      var (difference, norm) = (0.0, 0.0)
      for i in h * d..<(h + 1) * d {
        let distance = unsafe Double(finished.outputs[i] - exact[i])
        difference += distance * distance
        unsafe norm += Double(exact[i]) * Double(exact[i])
      }
      return norm > 0 ? (difference / norm).squareRoot() : 0
    }
    unsafe observer(
      DecodedHead(
        layer: call.layer, kvHead: kvHead, outputErrors: errors,
        recoveredMass: mass(
          of: recorders, queries: group, rows: rows, logSumExps: ListView(logSumExps, count: g),
          workspace: workspace),
        bytes: bytes))
  }

  private func mass(
    of recorders: [[ReadRecorder]], queries: FloatRows, rows: HeadRows, logSumExps: ListView<Float>,
    workspace: Workspace
  ) -> [Double]? {
    let scratch = workspace.scope()
    guard recorders.joined().contains(where: { !$0.rows.isEmpty }) else { return nil }
    let g = queries.count
    let scores = unsafe scratch.floats(g * rows.count)
    unsafe workspace.kernels.unsafeDot(
      queries, with: rows.keys, .first(rows.count), scores: scores)
    let isRead = recorders.map { block in
      var isRead = [Bool](repeating: false, count: rows.count)
      for row in block.lazy.flatMap(\.rows) { isRead[Int(row)] = true }
      return isRead
    }
    return (0..<g).map { h in
      var sum = 0.0
      let isRead = isRead[h * recorders.count / g]
      for row in 0..<rows.count where isRead[row] {
        unsafe sum += exp(Double(scores[h * rows.count + row]) - Double(logSumExps[h]))
      }
      return min(1, sum)
    }
  }
}
