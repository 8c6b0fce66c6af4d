// Drafts of a smaller model.

public import LlamaHost
import RetrievalAttention

/// A model that drafts for a larger one, with a context of its own.
///
/// One owner, as for the runner of the larger model: both use the same threads in turn.
public final class DraftModel {
  let runner: any SequenceRunner
  /// What one of its tokens costs, of what a token of the larger model costs.
  let cost: Double

  /// - Parameters:
  ///   - runner: of the smaller model, with room for as many tokens as the other has.
  ///   - model: the larger one.
  /// - Throws: ``GenerationError/unlikeVocabularies(draft:model:)``.
  public init(_ runner: any SequenceRunner, for model: LlamaModel) throws {
    guard Self.isAlike(runner.model.tokenizer, model.tokenizer) else {
      throw GenerationError.unlikeVocabularies(
        draft: runner.model.description.name ?? "?", model: model.description.name ?? "?")
    }
    self.runner = runner
    let sizes = (runner.model.description.byteCount, model.description.byteCount)
    cost = min(1, Double(sizes.0) / max(1, Double(sizes.1)))
  }

  /// Whether tokens have the same numbers. Vocabularies may be filled up to different sizes.
  private static func isAlike(_ one: Tokenizer, _ other: Tokenizer) -> Bool {
    let count = min(one.vocabularySize, other.vocabularySize)
    guard max(one.vocabularySize, other.vocabularySize) - count <= 1024 else { return false }
    return (0..<Int32(count)).allSatisfy { one.bytes(of: $0) == other.bytes(of: $0) }
  }
}

/// Reads along with a smaller model, and proposes what that would say.
final class ModelDrafter: Drafter {
  private let model: DraftModel
  private let sampler: Sampler
  private var acceptance = DraftAcceptance(expected: [0.7])

  init(_ model: DraftModel, sampler: Sampler) {
    self.model = model
    self.sampler = sampler
  }

  func propose(context: [Int32], token: Int32, most: Int) throws -> [Int32] {
    let count = acceptance.length(0, most: most, making: model.cost)
    return count > 0 ? try drafts(context: context, token: token, count: count) : []
  }

  /// What the model says after a token, at most `count` tokens.
  func drafts(context: [Int32], token: Int32, count: Int) throws -> [Int32] {
    let runner = model.runner
    let whole = context + [token]
    let kept = try runner.keepPrefix(of: whole)
    var logits = try runner.prefill(Array(whole[kept...]), progress: nil)
    let shadow = sampler.shadow()
    var drafts: [Int32] = []
    let limit = sampler.vocabularySize
    while drafts.count < count, let next = try shadow.next(after: logits.last), Int(next) < limit {
      drafts.append(next)
      if drafts.count < count { logits = try runner.decode(next) }
    }
    return drafts
  }

  func note(right: Int, wasWrong: Bool) { acceptance.note(0, right: right, wasWrong: wasWrong) }
}
