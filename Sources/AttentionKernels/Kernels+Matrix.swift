// Checked matrix products and the k-means step.

extension Kernels {
  /// `C = A B`, or `C += A B`, of row-major f32 matrices; either factor may be given transposed.
  ///
  /// Sums are f32, in blocks of 256 terms.
  ///
  /// - Parameters:
  ///   - a: `[m, k]`, or `[k, m]` if transposed
  ///   - b: `[k, n]`, or `[n, k]` if transposed
  ///   - c: `[m, n]`
  /// - Throws: ``KernelError``, before anything is written.
  public func multiply(
    _ a: Span<Float>, _ aShape: RowShape, aTransposed: Bool = false,
    by b: Span<Float>, _ bShape: RowShape, bTransposed: Bool = false,
    into c: inout MutableSpan<Float>, _ cShape: RowShape, accumulate: Bool = false
  ) throws(KernelError) {
    try aShape.require("a", in: a.count)
    try bShape.require("b", in: b.count)
    try cShape.require("c", in: c.count)
    let (rows, inner) = aTransposed ? (aShape.dimension, aShape.count) : (aShape.count, aShape.dimension)
    let (bInner, columns) = bTransposed ? (bShape.dimension, bShape.count) : (bShape.count, bShape.dimension)
    guard bInner == inner else { throw .mismatch(name: "b rows", expected: inner, actual: bInner) }
    try cShape.require("c", count: rows)
    // A matrix without columns has no shape of its own: C keeps a dimension of at least 1.
    guard columns > 0 else { return }
    try cShape.require("c", dimension: columns)
    c.withPointer { c in
      a.withPointer { a in
        b.withPointer { b in
          withScratch(Self.gemmScratchCount) { scratch in
            unsafeGEMM(
              a: a, aRowStride: aTransposed ? 1 : aShape.stride,
              aColumnStride: aTransposed ? aShape.stride : 1,
              b: b, bRowStride: bTransposed ? 1 : bShape.stride,
              bColumnStride: bTransposed ? bShape.stride : 1,
              c: c, cRowStride: cShape.stride,
              rows: rows, columns: columns, inner: inner, accumulate: accumulate, scratch: scratch)
          }
        }
      }
    }
  }

  /// The nearest centroid of each point: the j with the highest `points[i] . centroids[j] - halfNorms[j]`, the
  /// lowest of equals, where `halfNorms[j]` is half the squared norm of centroid j.
  ///
  /// - Parameters:
  ///   - points: `[pointCount, dimension]`
  ///   - centroids: `[centroidCount, dimension]`, 1 to 2^24 of them
  ///   - halfNorms: `[centroidCount]`
  ///   - assignments: `[pointCount]`
  ///   - best: the highest value of each point, `[pointCount]`; the squared distance is
  ///     `|point|^2 - 2 * best`
  /// - Throws: ``KernelError``, before anything is written.
  public func assign(
    points: Span<Float>, _ pointShape: RowShape, centroids: Span<Float>, _ centroidShape: RowShape,
    halfNorms: Span<Float>, assignments: inout MutableSpan<UInt32>, best: inout MutableSpan<Float>
  ) throws(KernelError) {
    try pointShape.require("points", in: points.count)
    try centroidShape.require("centroids", in: centroids.count)
    try centroidShape.require("centroids", dimension: pointShape.dimension)
    guard (1...(1 << 24)).contains(centroidShape.count) else {
      throw .invalidCount(name: "centroids", value: centroidShape.count)
    }
    try require("halfNorms", centroidShape.count, in: halfNorms.count)
    try require("assignments", pointShape.count, in: assignments.count)
    try require("best", pointShape.count, in: best.count)
    guard pointShape.count > 0 else { return }
    assignments.withPointer { assignments in
      best.withPointer { best in
        points.withPointer { points in
          centroids.withPointer { centroids in
            halfNorms.withPointer { halfNorms in
              withScratch(Self.assignScratchCount(dimension: pointShape.dimension)) { scratch in
                unsafeAssign(
                  points: points, pointStride: pointShape.stride, pointCount: pointShape.count,
                  centroids: centroids, centroidStride: centroidShape.stride,
                  centroidCount: centroidShape.count, dimension: pointShape.dimension, halfNorms: halfNorms,
                  assignments: assignments, best: best, scratch: scratch)
              }
            }
          }
        }
      }
    }
  }
}
