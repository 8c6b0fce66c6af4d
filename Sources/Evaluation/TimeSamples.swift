// Repeated measurements of one time.

/// Times of single steps, in milliseconds.
package struct TimeSamples {
  package private(set) var values: [Double] = []

  package init() {}

  package mutating func append(_ duration: Duration) {
    values.append(duration / .milliseconds(1))
  }

  /// Nil without samples.
  package var spread: TimeSpread? { TimeSpread(values) }
}

/// Where the middle of some samples is and how far they lie apart, in the samples' unit.
public struct TimeSpread: Sendable, Hashable, Codable {
  /// The smallest.
  public var minimum: Double
  /// A quarter of the samples is smaller.
  public var lowerQuartile: Double
  /// Half of the samples is smaller.
  public var median: Double
  /// Three quarters of the samples are smaller.
  public var upperQuartile: Double
  /// The largest.
  public var maximum: Double

  /// Quantiles by linear interpolation between neighbors; nil for no samples.
  package init?(_ samples: [Double]) {
    let sorted = samples.sorted()
    guard let first = sorted.first, let last = sorted.last else { return nil }
    func quantile(_ share: Double) -> Double {
      let place = share * Double(sorted.count - 1)
      let below = Int(place)
      let above = min(below + 1, sorted.count - 1)
      return sorted[below] + (sorted[above] - sorted[below]) * (place - Double(below))
    }
    minimum = first
    lowerQuartile = quantile(0.25)
    median = quantile(0.5)
    upperQuartile = quantile(0.75)
    maximum = last
  }
}
