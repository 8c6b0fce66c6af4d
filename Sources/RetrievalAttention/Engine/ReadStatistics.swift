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
  /// Keys and values whose bytes an index read besides: centroids, mean values, codes and statistics.
  public var indexRows = 0.0
  /// Bytes of everything read.
  public var bytes = 0

  public init() {}

  /// Share of the context that was looked up, without sink and window: retrieved keys, and what was read of the
  /// index to find them, in bytes of keys and values.
  public var keysRead: Double { share(Double(retrievedKeys) + indexRows) }
  /// The same with sink and window.
  public var keysReadWithStatic: Double { share(Double(staticKeys + retrievedKeys) + indexRows) }
  public var bytesPerToken: Double { steps > 0 ? Double(bytes) / Double(steps) : 0 }

  private func share(_ keys: Double) -> Double {
    visibleKeys > 0 ? keys / Double(visibleKeys) : 0
  }

  /// Adds what another context has read.
  public mutating func add(_ other: ReadStatistics) {
    steps += other.steps
    visibleKeys += other.visibleKeys
    staticKeys += other.staticKeys
    retrievedKeys += other.retrievedKeys
    indexRows += other.indexRows
    bytes += other.bytes
  }

  /// One head's share of one step.
  public struct Head: Sendable, Hashable, BitwiseCopyable {
    /// Rows that the method chose.
    public var retrieved = 0
    /// Rows that it reads in any case.
    public var fixed = 0
    /// Bytes of the index.
    public var indexBytes = 0

    public init(retrieved: Int = 0, fixed: Int = 0, indexBytes: Int = 0) {
      self.retrieved = retrieved
      self.fixed = fixed
      self.indexBytes = indexBytes
    }

    /// Bytes of everything read.
    ///
    /// - Parameter rowBytes: of a key and its value
    func byteCount(rowBytes: Int) -> Int { (retrieved + fixed) * rowBytes + indexBytes }
  }

  mutating func add(_ head: Head, rowBytes: Int) {
    retrievedKeys += head.retrieved
    staticKeys += head.fixed
    indexRows += Double(head.indexBytes) / Double(rowBytes)
    bytes += head.byteCount(rowBytes: rowBytes)
  }
}
