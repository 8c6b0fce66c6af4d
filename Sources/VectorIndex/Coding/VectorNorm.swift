// Lengths of vectors.

/// Euclidean length of a vector.
package func vectorNorm(_ vector: UnsafePointer<Float>, dimension: Int) -> Float {
  var sum: Float = 0
  for i in 0..<dimension { unsafe sum += vector[i] * vector[i] }
  return sum.squareRoot()
}
