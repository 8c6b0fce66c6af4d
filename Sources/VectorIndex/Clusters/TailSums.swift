// The estimate of what is not read, as sums that may be of either sign.

package import AttentionKernels
import Platform

/// What estimates of clusters add to the attention of a group's queries: weights, and weights times values.
///
/// What is left of a cluster of which keys were read can be less than nothing, and of softmax states nothing can be
/// taken away, so these are plain sums. Owned by whoever made it of a piece of memory.
package struct TailSums {
  /// `[queries]`: natural logarithms of what a weight of one stands for.
  package let logScales: UnsafeMutablePointer<Float>
  /// `[queries]`.
  package let sums: UnsafeMutablePointer<Float>
  /// `[queries, d]`.
  package let accumulators: UnsafeMutablePointer<Float>
  let count: Int
  let dimension: Int

  package static func floatCount(queries: Int, dimension: Int) -> Int { queries * (2 + dimension) }

  /// - Parameter memory: room for ``floatCount(queries:dimension:)``.
  package init(_ memory: UnsafeMutablePointer<Float>, queries: Int, dimension: Int) {
    logScales = memory
    sums = memory + queries
    accumulators = memory + 2 * queries
    count = queries
    self.dimension = dimension
  }

  /// Makes them nothing.
  package func clear() {
    logScales.update(repeating: 0, count: count * (2 + dimension))
  }

  /// Adds sums of the same scales.
  package func add(_ other: TailSums, kernels: Kernels) {
    kernels.unsafeAddScaled(other.sums, by: 1, to: sums, count: count * (1 + dimension))
  }

  /// Adds all of it to softmax states. What would take away nearly all that a query has is left, since that is no
  /// estimate any more.
  package func add(to states: StatePointers, kernels: Kernels) {
    for h in 0..<count where sums[h] != 0 {
      let highest = max(states.maxima[h], logScales[h])
      let (before, scale) = (exp(states.maxima[h] - highest), exp(logScales[h] - highest))
      let (old, added) = (before * states.sums[h], scale * sums[h])
      guard added > 0 || -added < Self.largestDebt * old else { continue }
      let row = states.accumulators + h * dimension
      kernels.unsafeScale(row, by: before, count: dimension)
      kernels.unsafeAddScaled(accumulators + h * dimension, by: scale, to: row, count: dimension)
      states.maxima[h] = highest
      states.sums[h] = old + added
    }
  }

  /// Most that may be taken away, as a share of what is there.
  private static let largestDebt: Float = 0.9
}
