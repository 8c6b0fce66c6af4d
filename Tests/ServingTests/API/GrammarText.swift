// Whether a text is one of a grammar's, asked of the engine that follows grammars.

import Foundation
import LlamaHost
import Serving
import TestSupport

/// Matches texts with a vocabulary of single bytes, so that no model's tokens are in the way.
struct GrammarText {
  private static let model = Result {
    let scratch = try ScratchDirectory()
    return try LlamaModel.load(path: try scratch.write(TinyModel.llama(context: 64).build()))
  }

  private let sampler: Sampler

  init(_ grammar: String) throws {
    sampler = try Sampler(
      settings: SamplerSettings(temperature: 0, grammar: grammar), model: Self.model.get())
  }

  /// A grammar for a schema.
  init(schema: String) throws {
    try self.init(JSONGrammar.grammar(schema: JSONValue(parsing: Data(schema.utf8))))
  }

  func accepts(_ text: String) throws -> Bool {
    sampler.reset()
    do {
      // Tokens of bytes follow those for the unknown, the beginning and the end.
      for byte in text.utf8 { try sampler.accept(3 + Int32(byte)) }
      try sampler.accept(2)
      return true
    } catch SamplerError.tokenForbidden {
      return false
    }
  }
}
