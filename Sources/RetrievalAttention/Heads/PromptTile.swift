// What a head works with when it attends for tokens of a prompt together.

package import AttentionKernels
package import VectorIndex

/// Tokens of a prompt's batch, in rising order, with the queries of one KV head's group.
///
/// A view of memory that is valid during the call.
package struct PromptTile {
  /// `[tokens, groupSize, d]`, not scaled.
  package let queries: FloatRows
  /// What dot products are multiplied by.
  package let scale: Float
  /// `[tokens, groupSize]`: the row behind the last one that each query sees.
  package let visibleEnds: ListView<UInt32>
  package let groupSize: Int
  /// `[tokens, groupSize]`; they take the answer.
  package let states: StatePointers
  package let workspace: Workspace

  package var tokenCount: Int { queries.count / groupSize }
}

/// A head that may choose keys for tokens of a prompt, a tile of them at a time.
package protocol PromptHead: HeadPolicy {
  /// Whether it would now: not where all keys are read faster, or have to be.
  var choosesForPrompts: Bool { get }
  /// Whether a token of a prompt that ends before position `promptEnd` must see all keys.
  func readsAllKeys(position: Int, promptEnd: Int) -> Bool
  /// Told before each batch that it may choose for, whose rows are there.
  ///
  /// - Parameter continues: more of the prompt will follow, which has to read these rows.
  func willReadPrompt(batchTokens: Int, continues: Bool)
  /// Attends for a tile of a batch. May run for several tiles at once.
  ///
  /// - Returns: products of a query with a key, and with what costs as much as one, that were computed.
  func attend(_ tile: PromptTile) -> Int
}

/// A number for each task of a batch, kept from batch to batch.
struct PromptCounts: ~Copyable {
  private var counts = RowBuffer<Int>()

  mutating func prepare(_ count: Int) {
    counts.removeAll()
    unsafe counts.grow(by: count).update(repeating: 0, count: count)
  }

  /// Each task writes its own.
  var list: ListView<Int> { unsafe counts.list }
}

/// What reading prompts has cost, in products of a query with a key, all layers without sliding window together.
package struct PromptReads: Sendable, Hashable {
  /// Those that exact attention computes.
  package var visible = 0
  /// Those that were computed, estimates among them.
  package var computed = 0

  /// Share of the keys that was read; nil when nothing was.
  package var share: Double? { visible > 0 ? Double(computed) / Double(visible) : nil }

  static func += (sum: inout PromptReads, other: PromptReads) {
    sum.visible += other.visible
    sum.computed += other.computed
  }
}
