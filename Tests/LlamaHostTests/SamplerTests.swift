import LlamaHost
import Testing

extension HostTests {
  @Suite struct SamplerTests {
    /// Logits with a clear order: token `best` first, then downwards from token 0.
    private func logits(_ model: LlamaModel, best: Int32 = 1000) -> [Float] {
      var logits = (0..<model.tokenizer.vocabularySize).map { -Float($0) * 0.01 }
      logits[Int(best)] = 1
      return logits
    }

    private func sample(_ sampler: Sampler, _ logits: [Float]) throws -> Int32 {
      try sampler.sample(logits: logits)
    }

    /// Generates until the end of generation with the same logits at every step.
    private func generate(_ sampler: Sampler, _ model: LlamaModel, _ logits: [Float]) throws -> String {
      var tokens: [Int32] = []
      for _ in 0..<30 {
        let token = try sample(sampler, logits)
        if model.tokenizer.isEndOfGeneration(token) { break }
        try sampler.accept(token)
        tokens.append(token)
      }
      return model.tokenizer.detokenize(tokens)
    }

    @Test func greedyTakesTheBest() throws {
      let model = try TestModel.load()
      let sampler = try Sampler(settings: .greedy, model: model)
      #expect(try sample(sampler, logits(model, best: 4321)) == 4321)
      let topOne = try Sampler(settings: SamplerSettings(temperature: 2, topK: 1), model: model)
      #expect(try sample(topOne, logits(model, best: 77)) == 77)
    }

    @Test func sameSeedSameChoices() throws {
      let model = try TestModel.load()
      let flat = [Float](repeating: 0, count: model.tokenizer.vocabularySize)
      func draw(_ seed: UInt32) throws -> [Int32] {
        let settings = try SamplerSettings(temperature: 1, topK: 0, topP: 1, minP: 0, seed: seed)
        let sampler = try Sampler(settings: settings, model: model)
        #expect(sampler.seed == seed)
        let first = try (0..<8).map { _ in try sample(sampler, flat) }
        sampler.reset()
        #expect(try (0..<8).map { _ in try sample(sampler, flat) } == first)
        return first
      }
      #expect(try draw(1) == draw(1))
      #expect(try draw(1) != draw(2))
    }

    @Test func penaltiesPushRecentTokensBack() throws {
      let model = try TestModel.load()
      let settings = try SamplerSettings(temperature: 0, presencePenalty: 50)
      let sampler = try Sampler(settings: settings, model: model)
      #expect(try sample(sampler, logits(model)) == 1000)
      try sampler.accept(1000)
      #expect(try sample(sampler, logits(model)) == 0)
      sampler.reset()
      sampler.acceptPrompt([1000])
      #expect(try sample(sampler, logits(model)) == 0)
    }

    @Test(arguments: [Float(0), 1])
    func grammarConstrains(_ temperature: Float) throws {
      let model = try TestModel.load()
      let settings = try SamplerSettings(
        temperature: temperature, topK: 5, seed: 5, grammar: #"root ::= "yes" | "no" | "[" [0-9] [0-9] "]""#)
      let sampler = try Sampler(settings: settings, model: model)
      let text = try generate(sampler, model, logits(model))
      #expect(text == "yes" || text == "no" || (text.hasPrefix("[") && text.utf8.count == 4))
      // Only the end is allowed now.
      let letter = try #require(model.tokenizer.tokenize("a", addSpecial: false, parseSpecial: false).first)
      #expect(throws: SamplerError.self) { try sampler.accept(letter) }
      sampler.reset()
      #expect(throws: SamplerError.self) { try sampler.accept(letter) }
      let yes = try model.tokenizer.tokenize("yes", addSpecial: false, parseSpecial: false)
      for token in yes { try sampler.accept(token) }
    }

    @Test(arguments: [
      "", "root ::= (", "root ::= missing", "start ::= \"a\"", "root ::= root \"a\"",
      "root ::= \"a\"{999999}", "nonsense",
      "root ::= \"unterminated", "root ::= [a-", String(repeating: "(", count: 100_000), "root ::= \"\u{0}\"",
    ])
    func badGrammar(_ grammar: String) throws {
      let model = try TestModel.load()
      #expect(throws: SamplerError.self) {
        try Sampler(settings: SamplerSettings(grammar: grammar), model: model)
      }
    }

    @Test func badSettings() {
      #expect(throws: SamplerError.self) { try SamplerSettings(temperature: -1) }
      #expect(throws: SamplerError.self) { try SamplerSettings(temperature: .nan) }
      #expect(throws: SamplerError.self) { try SamplerSettings(temperature: .infinity) }
      #expect(throws: SamplerError.self) { try SamplerSettings(topK: -1) }
      #expect(throws: SamplerError.self) { try SamplerSettings(topP: 1.5) }
      #expect(throws: SamplerError.self) { try SamplerSettings(minP: -0.1) }
      #expect(throws: SamplerError.self) { try SamplerSettings(repetitionPenalty: 0) }
      #expect(throws: SamplerError.self) { try SamplerSettings(penaltyWindow: -1) }
      let error = #expect(throws: SamplerError.self) { try SamplerSettings(topP: 7) }
      #expect(error?.description == "The top-p must be in 0.0...1.0, not 7.0.")
    }

    @Test func badLogits() throws {
      let model = try TestModel.load()
      let sampler = try Sampler(settings: .greedy, model: model)
      #expect(throws: SamplerError.self) { try sample(sampler, [1, 2, 3]) }
      let count = model.tokenizer.vocabularySize
      #expect(throws: SamplerError.noCandidates) {
        try sample(sampler, [Float](repeating: .nan, count: count))
      }
      #expect(throws: SamplerError.self) { try sampler.accept(-1) }
      var some = [Float](repeating: .nan, count: count)
      some[5] = 0
      #expect(try sample(sampler, some) == 5)
    }
  }
}
