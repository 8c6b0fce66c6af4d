// What generated tokens attend to, in a few heads: where an answer comes from.

import AttentionKernels
import AttentionModel
import Platform
import Synchronization
import VectorIndex

/// Notes the largest attention weights of generated tokens, in heads that were chosen for it.
///
/// Of rows that a head has read; what it has estimated only is not among the largest. Nobody pays for it when there is
/// none.
public final class AttentionTrace: Sendable {
  /// A query head of a layer.
  public struct Head: Sendable, Hashable, Codable {
    public var layer: Int
    public var head: Int

    public init(layer: Int, head: Int) {
      self.layer = layer
      self.head = head
    }
  }

  /// A weight of one head.
  public struct Weight: Sendable, Hashable {
    /// Which of ``heads``.
    public var head: Int
    /// The position of the token attended to.
    public var position: Int
    /// Share of the head's attention, 0...1.
    public var weight: Float
  }

  /// The last tokens of a prompt that are always traced: the one that chooses the first token of the answer, and those
  /// before it, which are of the template and tell what heads look at whatever they are asked.
  public static let templateTokens = 4
  /// So many have the question, or its end, and read all keys in any case.
  public static let questionTokens = 64

  /// The heads that are watched.
  public let heads: [Head]
  /// The last tokens of a prompt that are traced.
  public let promptTokens: Int
  /// Weights below this are not noted.
  public let leastWeight: Float
  /// By position of the token that attends.
  private let tokens = Mutex<[Int: [Weight]]>([:])
  /// `[layer]`: numbers of the heads in it.
  private let byLayer: [Int: [Int]]

  /// - Parameters:
  ///   - heads: in layers without a sliding window, without duplicates.
  ///   - promptTokens: how many of a prompt's last tokens are traced. Each costs a pass over the keys for each head.
  ///   - leastWeight: share of a head's attention.
  public init(
    heads: [Head], promptTokens: Int = AttentionTrace.templateTokens, leastWeight: Float = 0.002
  ) {
    self.heads = heads
    self.promptTokens = promptTokens
    self.leastWeight = leastWeight
    byLayer = Dictionary(grouping: heads.indices) { heads[$0].layer }
  }

  /// What the token at a position attended to, by head; nothing for a token that was not generated.
  public func weights(of position: Int) -> [Weight] { tokens.withLock { $0[position] ?? [] } }

  /// Forgets all.
  public func removeAll() { tokens.withLock { $0 = [:] } }

  func watches(_ layer: Int) -> Bool { byLayer[layer] != nil }

  /// Whether some of a KV head's query heads are watched.
  func watches(_ layer: Int, _ group: Range<Int>) -> Bool { !watched(layer, group).isEmpty }

  private func watched(_ layer: Int, _ group: Range<Int>) -> [Int] {
    (byLayer[layer] ?? []).filter { group.contains(heads[$0].head) }
  }

  /// Takes note of one KV head.
  ///
  /// - Parameters:
  ///   - queries: `[groupSize, d]`, not scaled.
  ///   - logSumExps: `[groupSize]`, of the dot products with the keys as they are stored.
  ///   - read: rows that were read, in any order, some perhaps twice.
  func note(
    _ head: TracedHead, queries: FloatRows, logSumExps: UnsafePointer<Float>, read: RowSelection,
    rows: HeadRows, workspace: Workspace
  ) {
    let group = head.layer.group(of: head.kvHead)
    let watched = watched(head.number, group)
    guard !watched.isEmpty, read.count > 0 else { return }
    let scratch = workspace.scope()
    let scores = unsafe scratch.list(read.count)
    var found: [Weight] = []
    for number in watched {
      let h = heads[number].head - group.lowerBound
      unsafe workspace.kernels.unsafeDot(
        FloatRows(queries[h], count: 1, dimension: queries.dimension), with: rows.keys, read,
        scores: scores.base)
      let logSumExp = unsafe logSumExps[h]
      let limit = (logSumExp + log(leastWeight)) / head.layer.scale
      var seen: Set<UInt32> = []
      for i in 0..<read.count where scores[i] >= limit {
        let row = unsafe read.indices.map { unsafe $0[i] } ?? UInt32(i)
        guard seen.insert(row).inserted else { continue }
        let weight = min(1, exp(scores[i] * head.layer.scale - logSumExp))
        found.append(unsafe Weight(head: number, position: Int(rows.positions[Int(row)]), weight: weight))
      }
    }
    // A draft that was wrong is followed by another token of the same position.
    tokens.withLock { tokens in
      tokens[head.position, default: []].removeAll { watched.contains($0.head) }
      tokens[head.position, default: []] += found
    }
  }
}

/// Whose weights are noted.
struct TracedHead {
  /// Of the layer.
  var number: Int
  var layer: LayerShape
  var kvHead: Int
  /// Of the token that attends.
  var position: Int
}
