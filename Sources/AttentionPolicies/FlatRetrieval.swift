// The paper's Flat: what its index would give if it were perfect.

public import VectorIndex
public import RetrievalAttention

/// Settings of `AttentionPolicy.flat(_:)`: sink, window and the exact top k of the other keys, for each query head
/// (arXiv 2409.10516, "Flat").
///
/// Every key is scored for every token, so it reads half of what exact attention reads. Keys outside of the top k
/// count nothing.
public struct FlatRetrievalSettings: IndexRetrievalSettings {
  public var sinkCount = 128
  public var windowCount = 512
  public var insertionCount = 512
  /// Keys that each query retrieves.
  public var k = 100

  public init() {}

  public static let name = "flat"
  public static let summary = "Sink and window exactly, and each query's exact top k: the paper's Flat."
  public static let paper: String? = "2409.10516"
  public static let tradeOff = "Keys outside of the top k count nothing; all keys are read to find it."
  public static let parameters: [PolicyParameter<FlatRetrievalSettings>] =
    segmentParameters + [.integer("k", \.k, 1...1_000_000, symbol: "k", "Keys that each query retrieves.")]

  public func makeIndex(dimension: Int, seed: UInt64) throws(AttentionError) -> any AttentionIndex {
    ExactTopKIndex(dimension: dimension, k: k)
  }
}
