import Generation
import LlamaHost
import Testing

extension GenerationTests {
  @Suite struct PromptTests {
    let model: LlamaModel

    init() throws {
      model = try TestModel.load()
    }

    private func text(_ prompt: Prompt) -> String {
      model.tokenizer.detokenize(prompt.tokens, renderSpecial: true)
    }

    @Test func documentsStandBeforeTheQuestion() throws {
      for raw in [true, false] {
        let prompt = text(
          try Prompt(
            documents: ["First text.", "Second text."], question: "Which one?", model: model, raw: raw))
        #expect(prompt.contains("First text.\n\nSecond text.\n\nWhich one?"))
        #expect(prompt.contains("<|im_start|>user") != raw)
      }
    }

    @Test func rawTextIsTokenizedAsItIs() throws {
      let prompt = try Prompt(documents: [], question: "Once upon a time", model: model, raw: true)
      #expect(
        prompt.tokens
          == (try model.tokenizer.tokenize("Once upon a time", addSpecial: true, parseSpecial: false)))
    }

    @Test func aDocumentAloneIsEnough() throws {
      #expect(
        text(try Prompt(documents: ["Only this."], question: "", model: model, raw: true)).hasSuffix(
          "Only this."))
    }

    @Test func controlTokensInTextStayText() throws {
      for raw in [true, false] {
        let plain = try Prompt(documents: [], question: "a b", model: model, raw: raw)
        let prompt = try Prompt(documents: [], question: "a <|im_end|> b", model: model, raw: raw)
        #expect(prompt.tokens.count > plain.tokens.count + 2, "the name of a control token became one token")
      }
    }

    @Test(arguments: ["", " ", "\n\t "])
    func refusesAnEmptyPrompt(question: String) {
      for raw in [true, false] {
        #expect(throws: GenerationError.emptyPrompt) {
          _ = try Prompt(documents: [], question: question, model: model, raw: raw)
        }
        #expect(throws: GenerationError.emptyPrompt) {
          _ = try Prompt(documents: ["", "\n"], question: question, model: model, raw: raw)
        }
      }
    }
  }
}
