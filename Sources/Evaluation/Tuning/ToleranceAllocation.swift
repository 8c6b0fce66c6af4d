// How to spend bytes on layers: where another byte lowers KL most, until it lowers it alike everywhere.

import Platform

/// What one group of layers costs and loses at several tolerances, all other layers being exact.
package struct LayerCurve: Sendable {
  /// Ascending, two or more.
  package var tolerances: [Double]
  /// KL in nats; made to rise with the tolerance.
  package let divergences: [Double]
  /// Bytes read a token; made to fall with the tolerance.
  package let bytes: [Double]

  /// Contributions below this cannot be told from rounding.
  private static let leastDivergence = 1e-9

  /// Measured values that go the wrong way are noise: the nearest monotone curve replaces them.
  package init(tolerances: [Double], divergences: [Double], bytes: [Double]) {
    precondition(
      tolerances.count > 1 && divergences.count == tolerances.count && bytes.count == tolerances.count)
    self.tolerances = tolerances
    self.divergences = Self.rising(divergences.map { max($0, Self.leastDivergence) })
    self.bytes = Self.rising(bytes.map { -$0 }).map { -$0 }
  }

  /// Pools neighbors that fall until none does (pool adjacent violators).
  static func rising(_ values: [Double]) -> [Double] {
    var blocks: [(sum: Double, count: Int)] = []
    for value in values {
      blocks.append((value, 1))
      while blocks.count > 1 {
        let (last, before) = (blocks[blocks.count - 1], blocks[blocks.count - 2])
        guard last.sum / Double(last.count) < before.sum / Double(before.count) else { break }
        blocks.removeLast()
        blocks[blocks.count - 1] = (before.sum + last.sum, before.count + last.count)
      }
    }
    return blocks.flatMap { Array(repeating: $0.sum / Double($0.count), count: $0.count) }
  }

  /// Straight in the logarithms of tolerance and KL, and on beyond the ends.
  package func divergence(at tolerance: Double) -> Double {
    exp(interpolate(divergences.map { log($0) }, at: tolerance))
  }

  /// Straight in the logarithm of the tolerance; constant beyond the ends.
  package func bytes(at tolerance: Double) -> Double {
    interpolate(bytes, at: min(max(tolerance, tolerances[0]), tolerances[tolerances.count - 1]))
  }

  private func interpolate(_ values: [Double], at tolerance: Double) -> Double {
    let upper = min(
      max(1, tolerances.firstIndex { $0 >= tolerance } ?? tolerances.count - 1), tolerances.count - 1)
    let (low, high) = (log(tolerances[upper - 1]), log(tolerances[upper]))
    let place = (log(tolerance) - low) / (high - low)
    return values[upper - 1] + place * (values[upper] - values[upper - 1])
  }
}

/// Chooses a tolerance for each curve.
package enum ToleranceAllocation {
  /// Steps between the ends of the curves.
  private static let gridSteps = 64

  /// The tolerances of fewest bytes whose KL, added up over the curves, is at most `budget`.
  ///
  /// For a price of KL in bytes each curve chooses by itself (Lagrange); the price is found by bisection. The lowest
  /// tolerances when even those are above the budget. All curves must have the same ends.
  package static func tolerances(for curves: [LayerCurve], budget: Double) -> [Double] {
    guard let first = curves.first, let lowest = first.tolerances.first, let highest = first.tolerances.last
    else {
      return []
    }
    let grid = (0...gridSteps).map { lowest * pow(highest / lowest, Double($0) / Double(gridSteps)) }
    // [curve][grid]
    let divergences = curves.map { curve in grid.map { curve.divergence(at: $0) } }
    let bytes = curves.map { curve in grid.map { curve.bytes(at: $0) } }
    func choose(price: Double) -> [Int] {
      curves.indices.map { curve in
        grid.indices.min {
          bytes[curve][$0] + price * divergences[curve][$0] < bytes[curve][$1] + price
            * divergences[curve][$1]
        } ?? 0
      }
    }
    func total(_ choice: [Int]) -> Double {
      zip(choice, divergences).reduce(0) { $0 + $1.1[$1.0] }
    }
    // Bytes are up to 1e9, KL down to 1e-9.
    var (low, high) = (1e-6, 1e24)
    var best = choose(price: high)
    for _ in 0..<120 {
      let price = (low * high).squareRoot()
      let choice = choose(price: price)
      if total(choice) <= budget { (high, best) = (price, choice) } else { low = price }
    }
    return best.map { grid[$0] }
  }
}
