// Lengths of vectors, and sums of squares: sixteen running sums, which a compiler may not make of one.

/// Euclidean length of a vector.
package func vectorNorm(_ vector: UnsafePointer<Float>, dimension: Int) -> Float {
  unsafe sumOfSquares(vector, count: dimension, from: 0).squareRoot()
}

/// The sum of the squared distances of numbers from one.
func sumOfSquares(_ numbers: UnsafePointer<Float>, count: Int, from center: Float) -> Float {
  typealias Lanes = SIMD16<Float>
  var sums = Lanes.zero
  var done = 0
  while done + Lanes.scalarCount <= count {
    let difference = unsafe UnsafeRawPointer(numbers + done).loadUnaligned(as: Lanes.self) - center
    sums += difference * difference
    done += Lanes.scalarCount
  }
  var sum = sums.sum()
  for i in done..<count {
    let difference = unsafe numbers[i] - center
    sum += difference * difference
  }
  return sum
}
