// How one call of the engine is to be answered, and who watches.

package import AttentionModel

/// What is special about a call.
package struct CallOptions {
  /// Exact attention over the same rows, whatever the policy. It does not learn of a single token, which is there to
  /// compare with.
  package var isExact = false
  /// The tokens are generated, however many they are: one, and drafts of what may follow it.
  package var isGenerated = false
  /// Prompts read all keys, whatever the policy: for comparisons over one context.
  package var readsAllKeys = false
  /// Attention to a generated token's fixed rows from elsewhere.
  ///
  /// The index is searched before that attention is known. How much it weighs is told from a few of the fixed rows, and
  /// from what the others had weighed in the steps before; so other keys may be chosen than without, with the same
  /// expectation.
  package var fixed: (any FixedAttention)?
  /// Position behind the last token of a prompt that devices attend to; the last tokens before it are learned from.
  package var attendedPromptEnd: Int?
  /// Position behind the last token of the prompt that the tokens are of; nil when that is not known, or the batch ends
  /// it. The last tokens before it read all keys.
  package var promptEnd: Int?
  package var observer: AttentionObserver?
  /// Positions that several generated tokens do not see, rising: to find out what they are worth. With ``isExact``, in
  /// layers without a sliding window.
  package var hidden: [Range<Int>] = []
  /// Notes what generated tokens attend to.
  package var trace: AttentionTrace?

  package init(isExact: Bool = false, observer: AttentionObserver? = nil) {
    self.isExact = isExact
    self.observer = observer
  }
}

/// Watches attention, to measure it. Nobody pays for it when there is none.
package final class AttentionObserver {
  /// Sees every call before it is computed.
  package var onCall: ((AttentionCall) -> Void)?
  /// Told after each layer of a decode step what its heads lost. Costs exact attention once more.
  package var onHead: ((DecodedHead) -> Void)?
  /// Sums up what decode steps spend their time on.
  package var profile: DecodeProfile?

  package init(
    onCall: ((AttentionCall) -> Void)? = nil, onHead: ((DecodedHead) -> Void)? = nil,
    profile: DecodeProfile? = nil
  ) {
    self.onCall = onCall
    self.onHead = onHead
    self.profile = profile
  }
}
