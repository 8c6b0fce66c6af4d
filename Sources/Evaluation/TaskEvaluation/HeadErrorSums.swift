// Means of what single heads lost, over the tokens of a measurement.

import RetrievalAttention

/// Adds up ``RetrievalAttention/DecodedHead`` and gives means.
struct HeadErrorSums {
  private var errors: [[Double]]
  private var masses: [[Double]]
  private var errorCounts: [[Int]]
  private var massCounts: [[Int]]

  init(shape: ModelShape) {
    errors = shape.layers.map { Array(repeating: 0, count: $0?.headCount ?? 0) }
    masses = errors
    errorCounts = shape.layers.map { Array(repeating: 0, count: $0?.headCount ?? 0) }
    massCounts = errorCounts
  }

  mutating func add(_ head: DecodedHead) {
    let first = head.kvHead * head.outputErrors.count
    for (offset, error) in head.outputErrors.enumerated() {
      errors[head.layer][first + offset] += error
      errorCounts[head.layer][first + offset] += 1
    }
    for (offset, mass) in (head.recoveredMass ?? []).enumerated() {
      masses[head.layer][first + offset] += mass
      massCounts[head.layer][first + offset] += 1
    }
  }

  var means: HeadErrors {
    func divide(_ sums: [[Double]], _ counts: [[Int]]) -> [[Double?]] {
      zip(sums, counts).map { sums, counts in zip(sums, counts).map { $1 > 0 ? $0 / Double($1) : nil } }
    }
    return HeadErrors(outputError: divide(errors, errorCounts), recoveredMass: divide(masses, massCounts))
  }
}
