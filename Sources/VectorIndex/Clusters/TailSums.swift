// The estimate of what is not read, as sums that may be of either sign.

package import AttentionKernels

/// What estimates of clusters add to the attention of a group's queries: weights, and weights times values.
///
/// They have the form of softmax states and merge into them as these do. They are no softmax states in two respects.
/// What is left of a cluster of which keys were read can be less than nothing: sums are signed, and one that would take
/// away nearly all must not be merged. And their scale is given, by the estimate of all that there is, instead of being
/// the highest score: sums of two shares are added as they are. Owned by whoever made it of a piece of memory.
package struct TailSums {
  /// The maxima are natural logarithms of what a weight of one stands for.
  let states: StatePointers

  package static func floatCount(queries: Int, dimension: Int) -> Int { queries * (2 + dimension) }

  /// - Parameter memory: room for ``floatCount(queries:dimension:)``.
  package init(_ memory: UnsafeMutablePointer<Float>, queries: Int, dimension: Int) {
    states = unsafe StatePointers(
      maxima: memory, sums: memory + queries, accumulators: memory + 2 * queries, count: queries,
      dimension: dimension)
  }

  /// `[queries]`: natural logarithms of what a weight of one stands for.
  package var logScales: UnsafeMutablePointer<Float> { unsafe states.maxima }
  /// `[queries]`.
  package var sums: UnsafeMutablePointer<Float> { unsafe states.sums }
  /// `[queries, d]`.
  package var accumulators: UnsafeMutablePointer<Float> { unsafe states.accumulators }

  /// Makes them nothing.
  package func clear() {
    unsafe logScales.update(repeating: 0, count: states.count * (2 + states.dimension))
  }

  /// Adds sums of the same scales.
  package func add(_ other: TailSums, kernels: Kernels) {
    // Sums and accumulators are neighbors.
    unsafe kernels.unsafeAddScaled(other.sums, by: 1, to: sums, count: states.count * (1 + states.dimension))
  }

  /// Adds all of it to softmax states. What would take away nearly all that a query has is left, since that is no
  /// estimate any more.
  package func add(to target: StatePointers, kernels: Kernels) {
    for h in 0..<states.count where unsafe sums[h] != 0 {
      let scales = unsafe StatePointers.scales(target.maxima[h], logScales[h])
      let (old, added) = unsafe (scales.a * target.sums[h], scales.b * sums[h])
      guard added > 0 || -added < Self.largestDebt * old else { continue }
      target.merge(states, query: h, kernels: kernels)
    }
  }

  /// Most that may be taken away, as a share of what is there.
  private static let largestDebt: Float = 0.9
}
