// How long a context may be, and what is said where it is longer than the model was trained for.

import ArgumentParser
import Generation
import LlamaHost

/// Refuses contexts that the model's positions are not for, unless told otherwise.
struct ContextLimitOptions: ParsableArguments {
  @Flag(help: "Go on when the context is longer than the model was trained for, or is scaled to.")
  var allowBeyondContext = false

  /// Throws for a context that is too long; one that is only longer than the model was trained for is told of.
  func check(tokens: Int, model: LlamaModel, _ console: Console) throws {
    if let count = model.file.learnedPositionCount, tokens > count {
      throw LlamaError.beyondLearnedPositions(position: tokens - 1, count: count)
    }
    let limit = model.contextLimit
    guard tokens <= limit || limit == 0 || allowBeyondContext else {
      throw GenerationError.contextTooLong(
        tokens: tokens, limit: limit, isScaled: model.ropeScaling != nil,
        factor: model.yarnFactor(for: tokens))
    }
    console.warn(of: tokens, for: model)
  }
}

extension LlamaModel {
  /// The whole factor of YaRN for a context, where there is one.
  func yarnFactor(for tokens: Int) -> Int? { ropeScaling(forContext: tokens).map { Int($0.factor) } }

  /// What is to be said of a context that is longer than the model was trained for; nil of others.
  func warning(ofContext tokens: Int) -> String? {
    let (trained, limit) = (description.trainedContextLength, contextLimit)
    guard trained > 0, tokens > min(trained, limit) else { return nil }
    let length = "the context of \(formatTokens(tokens)) is longer than "
    guard tokens <= limit else {
      let remedy =
        yarnFactor(for: tokens).map { "--rope-scaling yarn --rope-scale \($0) makes room for it" }
        ?? "no scaling of positions makes room for it in this model"
      return length
        + "the \(formatTokens(limit)) that the model \(ropeScaling == nil ? "was trained for" : "is scaled to"): answers "
        + "from beyond are mostly wrong; \(remedy)"
    }
    return length
      + "the \(formatTokens(trained)) that the model was trained for: its positions are scaled "
      + "(\(ropeScaling?.description ?? "by the file")), and answers may be worse than within them"
  }
}

extension Console {
  /// Tells once what there is to say of a context that is longer than the model was trained for.
  func warn(of tokens: Int, for model: LlamaModel) {
    guard !hasWarnedOfContext, let warning = model.warning(ofContext: tokens) else { return }
    hasWarnedOfContext = true
    note("warning: \(warning)")
  }
}
