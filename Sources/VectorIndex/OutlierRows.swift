// Rows unlike all others: what is learned from many rows together must be learned without them.

package import AttentionKernels

/// Finds the few rows of a segment whose key or value lies far beyond all others.
///
/// One key a thousand times as long as the others moves means, decides about directions and scales, and takes the words
/// of codebooks, which then say nothing of the others. Such rows are kept apart and attended to exactly: there are few
/// of them. A row with an element that is infinite or no number is one as well.
///
/// Heads of models have a few very large elements in every key, and first tokens unlike the rest. So distances are
/// taken from the median of each element, and compared with those of the rows themselves: what many rows have is no
/// outlier.
package enum OutlierRows {
  /// A row is an outlier when it lies more than this many times as far from the middle as all rows but as many as may
  /// be outliers. Rows of Gaussian clusters, and those of heads of models, stay below 2.
  static let factor: Float = 5
  /// At most one of so many keys, and of so many values, is an outlier, or this many where that is more.
  static let share = 128
  static let fewest = 4
  /// Of fewer rows nothing can be said.
  static let minimumRows = 64
  /// Rows that medians are taken of.
  private static let sampleCount = 63

  /// The rows that are to be kept apart, rising; none of most segments.
  ///
  /// Cost: one pass over the rows, and a sort of their distances.
  package static func find(
    keys: PackedRows, values: PackedRows?, count: Int, dimension: Int, workspace: Workspace
  ) -> [UInt32] {
    guard count >= minimumRows else { return [] }
    var found = find(keys, count: count, dimension: dimension, workspace: workspace)
    guard let values else { return found }
    let others = find(values, count: count, dimension: dimension, workspace: workspace)
    guard !others.isEmpty else { return found }
    found.append(contentsOf: others.filter { !found.contains($0) })
    return found.sorted()
  }

  private static func find(
    _ rows: PackedRows, count: Int, dimension d: Int, workspace: Workspace
  ) -> [UInt32] {
    let scratch = workspace.scope()
    let kernels = workspace.kernels
    let middle = unsafe scratch.floats(2 * d)
    let row = unsafe middle + d
    unsafe median(rows, count: count, dimension: d, into: ListView(middle, count: d), workspace: workspace)
    let (distances, sorted) = unsafe (scratch.list(count), scratch.list(count))
    for i in 0..<count {
      unsafe kernels.unsafeUnpack(rows.from(i), rowCount: 1, dimension: d, target: row, targetStride: d)
      unsafe kernels.unsafeAddScaled(middle, by: -1, to: row, count: d)
      let distance = unsafe vectorNorm(row, dimension: d)
      // No number is farther than any.
      distances[i] = distance.isNaN ? .infinity : distance
    }
    for i in 0..<count { sorted[i] = distances[i] }
    sorted.sort(by: >)
    let limit = factor * sorted[max(fewest, count / share)]
    guard sorted[0] > limit else { return [] }
    return (0..<count).filter { distances[$0] > limit }.map { UInt32($0) }
  }

  /// The median of each element over an even sample of the rows.
  private static func median(
    _ rows: PackedRows, count: Int, dimension d: Int, into result: ListView<Float>,
    workspace: Workspace
  ) {
    let scratch = workspace.scope()
    let chosen = min(count, sampleCount)
    let sample = unsafe scratch.floats(chosen * d)
    let column = unsafe scratch.list(chosen)
    for i in 0..<chosen {
      unsafe workspace.kernels.unsafeUnpack(
        rows.from(i * count / chosen), rowCount: 1, dimension: d, target: sample + i * d, targetStride: d)
    }
    for j in 0..<d {
      for i in 0..<chosen {
        let element = unsafe sample[i * d + j]
        column[i] = element.isNaN ? .infinity : element
      }
      column.sort()
      // The lower one of two, so that infinity is the median only where most rows have it.
      result[j] = column[(chosen - 1) / 2]
    }
  }
}

extension NewRows {
  /// Moves some rows, in rising order, behind all others, which keep their order. Returns the others.
  func separating(_ outliers: [UInt32], workspace: Workspace) -> NewRows {
    let scratch = workspace.scope()
    guard !outliers.isEmpty else { return self }
    let order = unsafe scratch.indices(count)
    var (next, kept) = (0, 0)
    for row in 0..<count {
      if next < outliers.count, outliers[next] == UInt32(row) {
        next += 1
      } else {
        unsafe order[kept] = UInt32(row)
        kept += 1
      }
    }
    for (i, row) in outliers.enumerated() { unsafe order[kept + i] = row }
    unsafe reorder(order, workspace: workspace)
    var others = self
    others.count = kept
    return others
  }
}
