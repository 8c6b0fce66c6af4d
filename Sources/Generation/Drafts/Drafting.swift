// Which tokens are read several at a time.

import LlamaHost
import RetrievalAttention

/// How an answer's next tokens are foreseen, so that the model's weights are read once for several of them.
///
/// Whatever is drafted, each token is chosen from the model's distribution given those before it. With exact attention
/// that is the one without drafts, but for the rounding of sums. With retrieval, tokens that are checked together read
/// what any of them chooses: no less than alone, so that a greedy answer may be another where two tokens are nearly as
/// likely.
public struct Drafting {
  /// Where drafts come from.
  public enum Source {
    /// Nowhere: one token at a time.
    case none
    /// What followed in the text where it was like its end: for answers that quote or repeat. Where nothing repeats,
    /// nothing is drafted.
    case text
    /// A smaller model of the same vocabulary.
    case model(DraftModel)
  }

  public var source: Source
  /// Whether all tokens are chosen from the logits of exact attention. Retrieval then foresees tokens, and exact
  /// attention checks several of them in one pass over all keys.
  public var isExact: Bool

  public init(_ source: Source = .text, isExact: Bool = false) {
    self.source = source
    self.isExact = isExact
  }

  /// One token at a time.
  public static var none: Drafting { Drafting(.none) }
  /// Drafts from the text.
  public static var text: Drafting { Drafting(.text) }

  /// Who drafts, for one answer; nil for nobody.
  func drafter(for runner: any SequenceRunner, sampler: Sampler) -> (any Drafter)? {
    guard runner.draftCapacity > 0 else { return nil }
    let given: (any Drafter)? =
      switch source {
      case .none: nil
      case .text: TextDrafter()
      case .model(let model): ModelDrafter(model, sampler: sampler)
      }
    guard isExact, let guest = runner as? GuestRunner, guest.engine.policy.name != "exact" else {
      return given
    }
    return LookAheadDrafter(guest, sampler: sampler, text: given)
  }
}
