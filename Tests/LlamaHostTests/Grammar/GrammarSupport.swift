import LlamaHost
import Testing

/// Follows a grammar with the test model's vocabulary.
struct GrammarFollower {
  let model: LlamaModel
  let sampler: Sampler

  init(_ grammar: String) throws {
    model = try TestModel.load()
    sampler = try Sampler(settings: SamplerSettings(grammar: grammar), model: model)
  }

  /// Tokens of text that may come next.
  func allowed() throws -> Set<Int32> {
    let allowed = try sampler.allowedTokens()
    return Set(
      allowed.indices.filter { allowed[$0] && !model.tokenizer.isEndOfGeneration(Int32($0)) }.map {
        Int32($0)
      })
  }

  /// Whether the answer may end; all tokens that end it have to agree.
  func isComplete() throws -> Bool {
    let allowed = try sampler.allowedTokens()
    let endings = allowed.indices.filter { model.tokenizer.isEndOfGeneration(Int32($0)) }.map { allowed[$0] }
    try #require(!endings.isEmpty && Set(endings).count == 1)
    return endings[0]
  }

  /// Whether the grammar has the whole text, token by token.
  func matches(_ text: String) throws -> Bool {
    sampler.reset()
    do {
      for token in try model.tokenizer.tokenize(text, addSpecial: false, parseSpecial: false) {
        try sampler.accept(token)
      }
    } catch SamplerError.tokenForbidden {
      return false
    }
    return try isComplete()
  }
}
