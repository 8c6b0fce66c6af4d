// What decoding read, summed over heads and steps.

/// Keys and values that decode steps read, over all layers without a sliding window.
///
/// A key stands for a row of key and value. All counts are sums over steps, layers and KV heads; rows that a group
/// of query heads shares are read, and counted, once.
public struct ReadStatistics: Sendable, Hashable {
  public var steps = 0
  /// Keys that exact attention would have read.
  public var visibleKeys = 0
  /// Keys of sink and window.
  public var staticKeys = 0
  /// Keys read from the index, or all of them under exact attention.
  public var retrievedKeys = 0
  /// Centroids scored (with their mean values).
  public var centroids = 0
  /// Bytes of keys, values, centroids, mean values and cluster statistics.
  public var bytes = 0

  public init() {}

  /// Share of the context that was looked up: retrieved keys and centroids, without sink and window.
  public var keysRead: Double { share(retrievedKeys + centroids) }
  /// Share of the context that was read in all: sink, window, retrieved keys and centroids.
  public var keysReadWithStatic: Double { share(staticKeys + retrievedKeys + centroids) }
  public var bytesPerToken: Double { steps > 0 ? Double(bytes) / Double(steps) : 0 }

  private func share(_ keys: Int) -> Double {
    visibleKeys > 0 ? Double(keys) / Double(visibleKeys) : 0
  }

  /// One head's share of one step.
  package struct Head {
    package var retrieved = 0
    package var centroids = 0
    package var fixed = 0

    package init(retrieved: Int = 0, centroids: Int = 0, fixed: Int = 0) {
      self.retrieved = retrieved
      self.centroids = centroids
      self.fixed = fixed
    }
  }

  mutating func add(_ head: Head, dimension: Int) {
    retrievedKeys += head.retrieved
    centroids += head.centroids
    staticKeys += head.fixed
    // A row is a key and a value in f16; a centroid has two floats and an offset beside them.
    bytes += (head.retrieved + head.fixed) * 4 * dimension + head.centroids * (4 * dimension + 12)
  }
}
