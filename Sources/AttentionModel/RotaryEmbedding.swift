// The rotation of queries and keys, so that recorded ones can be moved to another position.

import Platform

/// Rotary position embedding (arXiv 2104.09864) as a host applied it.
///
/// Used to move a recorded query to another position: the dot product with a key depends on the distance alone.
public struct RotaryEmbedding: Sendable, Hashable {
  /// Which two dimensions form a pair.
  public enum Layout: Sendable, Hashable {
    /// Dimensions 2i and 2i + 1.
    case adjacentPairs
    /// Dimensions i and i + n / 2, n rotated dimensions.
    case rotateHalf
  }

  public var layout: Layout
  /// Radians a position for each pair; twice as many dimensions are rotated, further ones are left alone.
  public var inverseFrequencies: [Float]
  /// Dimensions before the rotated ones, which are left alone, too.
  public var firstDimension = 0

  public init(layout: Layout, inverseFrequencies: [Float]) {
    self.layout = layout
    self.inverseFrequencies = inverseFrequencies
  }

  /// Moves `count` rows `[count, stride]` by `delta` positions, in place.
  package func shift(_ rows: UnsafeMutablePointer<Float>, count: Int, stride: Int, by delta: Int) {
    let pairs = inverseFrequencies.count
    for pair in 0..<pairs {
      // In double precision: the angle is large, and only its remainder matters.
      let angle = Double(delta) * Double(inverseFrequencies[pair])
      let cosine = Float(cos(angle))
      let sine = Float(sin(angle))
      let place = layout == .adjacentPairs ? (2 * pair, 2 * pair + 1) : (pair, pair + pairs)
      let (first, second) = (firstDimension + place.0, firstDimension + place.1)
      for row in 0..<count {
        let a = unsafe rows[row * stride + first]
        let b = unsafe rows[row * stride + second]
        unsafe rows[row * stride + first] = a * cosine - b * sine
        unsafe rows[row * stride + second] = a * sine + b * cosine
      }
    }
  }
}
