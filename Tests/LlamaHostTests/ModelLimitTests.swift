// What a model itself does not allow, or allows only when it is loaded for it.

import Foundation
import TestSupport
import Testing

@testable import LlamaHost

@Suite(.serialized) struct ModelLimitTests {
  /// A multiple of the 256 cells to which the host rounds the contexts that it compares with this.
  private static let original = 512
  private static let context = 4096

  @Test func `RoPE factors follow the planned context`() throws {
    let scratch = try ScratchDirectory()
    let path = try scratch.write(
      TinyModel.phi3(original: UInt32(Self.original), context: UInt32(Self.context)).build())
    let file = try GGUFFile(validating: path)
    #expect(file.hasTwoRopeFactors)
    #expect(file.originalContextLength == Self.original)
    #expect(file.ropeFactors(forContext: Self.original) == .short)
    #expect(file.ropeFactors(forContext: Self.original + 1) == .long)
    #expect(
      try GGUFFile(validating: scratch.write(TinyModel.gpt2(context: 64).build(), name: "gpt2.gguf"))
        .ropeFactors(forContext: 1 << 20) == nil)
  }

  @Test func `A vocabulary alone counts the tokens of a text`() throws {
    let scratch = try ScratchDirectory()
    let path = try scratch.write(
      TinyModel.phi3(original: UInt32(Self.original), context: UInt32(Self.context)).build())
    var options = LlamaModel.Options()
    options.vocabularyOnly = true
    let vocabulary = try LlamaModel.load(path: path, options: options)
    let whole = try LlamaModel.load(path: path)
    let text = "A lighthouse keeper."
    let tokens = try vocabulary.tokenizer.tokenize(text, addSpecial: true, parseSpecial: false)
    #expect(try tokens == whole.tokenizer.tokenize(text, addSpecial: true, parseSpecial: false))
    #expect(tokens.count > text.utf8.count / 2)
  }

  /// The host's own choice, in a context of its own that is longer than the original one, is the reference.
  @Test func `Long factors are those of the host beyond the original context`() throws {
    let scratch = try ScratchDirectory()
    let path = try scratch.write(
      TinyModel.phi3(original: UInt32(Self.original), context: UInt32(Self.context)).build())
    let pool = try ThreadPool(threadCount: 1)
    let plain = try LlamaModel.load(path: path)
    #expect(plain.ropeFactors == .short)
    var options = LlamaModel.Options()
    options.ropeFactors = .long
    let long = try LlamaModel.load(path: path, options: options)
    #expect(long.ropeFactors == .long)
    func host(_ length: Int) throws -> HostContext {
      try HostContext(model: plain, pool: pool, contextLength: length, batchCapacity: 128)
    }
    func guest(_ model: LlamaModel) throws -> GuestContext {
      try GuestContext(model: model, pool: pool, batchCapacity: 128, guest: ExactAttention())
    }
    let tokens = tinyTokens(Self.original + 280)
    let expected = try lastLogits(host(tokens.count), tokens)
    #expect(LogitComparison.divergence(expected, try lastLogits(guest(long), tokens)) < 1e-3)

    // Within the original context the host takes the short ones; the comparison sees the difference.
    let within = Array(tokens.prefix(Self.original))
    let short = try lastLogits(guest(plain), within)
    #expect(LogitComparison.divergence(try lastLogits(host(Self.original), within), short) < 1e-3)
    #expect(LogitComparison.divergence(try lastLogits(host(tokens.count), within), short) > 0.05)
  }

  @Test func `Beyond their context short factors are refused, not used`() throws {
    let scratch = try ScratchDirectory()
    let path = try scratch.write(
      TinyModel.phi3(original: UInt32(Self.original), context: UInt32(Self.context)).build())
    let model = try LlamaModel.load(path: path)
    let guest = try GuestContext(
      model: model, pool: ThreadPool(threadCount: 1), batchCapacity: 64, guest: ExactAttention())
    #expect {
      try guest.evaluate(tinyTokens(2), startPosition: Self.original - 1)
    } throws: { error in
      guard case LlamaError.beyondShortRopeFactors(let position, let original) = error else { return false }
      return position == Self.original && original == Self.original
    }
  }

  @Test func `Learned positions end where their table ends`() throws {
    let scratch = try ScratchDirectory()
    let model = try LlamaModel.load(path: scratch.write(TinyModel.gpt2(context: 64).build()))
    let pool = try ThreadPool(threadCount: 1)
    let contexts: [LlamaContext] = [
      try GuestContext(model: model, pool: pool, batchCapacity: 80, guest: ExactAttention()),
      try HostContext(model: model, pool: pool, contextLength: 128),
    ]
    for context in contexts {
      #expect {
        try context.evaluate(tinyTokens(65), startPosition: 0)
      } throws: { error in
        guard case LlamaError.beyondLearnedPositions(let position, let count) = error else { return false }
        return position == 64 && count == 64
      }
      _ = try context.evaluate(tinyTokens(64), startPosition: 0)
    }
  }

  @Test func `A model that does not continue texts is refused with the host's attention too`() throws {
    let scratch = try ScratchDirectory()
    let pool = try ThreadPool(threadCount: 1)
    for (tiny, reason) in [
      (TinyModel.llada(context: 64), TakeoverReason.diffusion), (TinyModel.t5(context: 64), .encoderDecoder),
    ] {
      let model = try LlamaModel.load(path: scratch.write(tiny.build()))
      #expect(try model.takeover(pool: pool).reasons.contains(reason))
      #expect {
        try HostContext(model: model, pool: pool, contextLength: 64)
      } throws: { error in
        guard case LlamaError.notGenerative(reason) = error else { return false }
        return true
      }
    }
  }
}
