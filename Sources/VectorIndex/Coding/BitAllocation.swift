// How many bits of a product code each coordinate deserves, and which coordinates share a codebook.

import Platform

/// Coordinates packed into codebooks of 16 entries.
///
/// Equal numbers of coordinates for all codebooks waste bits when variances differ a thousandfold, as those of keys
/// seen by queries do, even with the products of variances balanced (OPQ's eigenvalue allocation).
package struct BitAllocation {
  /// The coordinates of each codebook. One that deserves more than 4 bits comes in several codebooks: the later
  /// ones quantize what the earlier ones left.
  package var codebooks: [[Int]]

  /// - Parameters:
  ///   - variances: of uncorrelated coordinates, in decreasing order
  ///   - codebookCount: codebooks of 4 bits
  package init(variances: [Float], codebookCount: Int) {
    precondition(codebookCount > 0, "no codebooks to give bits to")
    let bits = Self.reverseWaterFilling(variances.map { Double($0) }, total: 4 * Double(codebookCount))
    // A part of a coordinate: all of it, or what a codebook of its own leaves.
    var parts: [(bits: Double, coordinate: Int)] = []
    for (coordinate, deserved) in bits.enumerated() {
      var rest = deserved
      while rest > Self.bitsPerCodebook {
        parts.append((Self.bitsPerCodebook, coordinate))
        rest -= Self.bitsPerCodebook
      }
      parts.append((rest, coordinate))
    }
    parts.sort { ($0.bits, $1.coordinate) > ($1.bits, $0.coordinate) }
    var used = [Double](repeating: 0, count: codebookCount)
    codebooks = Array(repeating: [], count: codebookCount)
    for part in parts {
      let free = codebooks.indices.filter { !codebooks[$0].contains(part.coordinate) }
      guard let best = free.min(by: { (used[$0], $0) < (used[$1], $1) }) else { continue }
      codebooks[best].append(part.coordinate)
      // Coordinates without bits are spread evenly too: each still gets its share of what is left over.
      used[best] += max(part.bits, 0.05)
    }
    codebooks.removeAll(where: \.isEmpty)
  }

  private static let bitsPerCodebook = 4.0

  /// `max(0, log2(variance / level) / 2)` bits for each, with the level at which they sum to `total`: the least
  /// squared error of Gaussian sources (Cover and Thomas, Elements of Information Theory, 10.3.3).
  private static func reverseWaterFilling(_ variances: [Double], total: Double) -> [Double] {
    let highest = max(variances.max() ?? 1, 1e-300)
    func bits(_ logLevel: Double) -> [Double] {
      variances.map { max(0, 0.5 * (log2(max($0, highest * 1e-12)) - logLevel)) }
    }
    var high = log2(highest)
    var low = high - 80 - 2 * total
    for _ in 0..<64 {
      let middle = 0.5 * (low + high)
      if bits(middle).reduce(0, +) > total { low = middle } else { high = middle }
    }
    return bits(high)
  }
}
