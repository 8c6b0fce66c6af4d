import Generation
import LlamaHost
import Testing

extension GenerationTests {
  @Suite struct PromptDocumentsTests {
    private static let texts = [("a.txt", "Grüße.\n\n"), ("b.txt", "\u{FEFF}two\nlines"), ("c.txt", "three")]

    private static func documents(from first: Int = 0, startingAt offset: Int = 0) -> PromptDocuments {
      var documents = PromptDocuments(startingAt: offset)
      for (name, text) in texts.dropFirst(first) {
        documents.append(name: name, path: "/\(name)", text: text)
      }
      return documents
    }

    @Test func namesStandAboveTexts() {
      let documents = Self.documents()
      #expect(
        documents.text == "File: a.txt\nGrüße.\n\nFile: b.txt\n\u{FEFF}two\nlines\n\nFile: c.txt\nthree")
      let bytes = Array(documents.text.utf8)
      #expect(
        documents.elements.map { String(decoding: bytes[$0.range], as: UTF8.self) }
          == ["Grüße.", "\u{FEFF}two\nlines", "three"])
      #expect(Set(documents.elements.map(\.hash)).count == 3)
      // Documents that were added later have the ranges that they would have had at once.
      let later = Self.documents(from: 1, startingAt: documents.elements[0].range.upperBound)
      #expect(later.elements == Array(documents.elements.dropFirst()))
    }

    @Test func promptsAndConversationsHaveThemAlike() throws {
      let model = try TestModel.load()
      let documents = Self.documents()
      let question = "Which one?"
      var conversation = try Conversation(model: model)
      let (tokens, ranges) = try conversation.read(documents)
      let whole = tokens + (try conversation.ask(question))
      let prompt = try Prompt(documents: documents, question: question, model: model, raw: false)
      #expect(whole == prompt.tokens)
      let text = model.tokenizer.detokenize(prompt.tokens, renderSpecial: true)
      #expect(text.contains(documents.text + "\n\n" + question))
      #expect(ranges.map(\.name) == ["a.txt", "b.txt", "c.txt"])
      #expect(ranges.map { $0.contents?.bytes } == documents.elements.map(\.range))
      for (range, section) in zip(ranges, documents.sections) {
        let said = model.tokenizer.detokenize(Array(tokens[range.tokens]), renderSpecial: true)
        #expect(section.contains(said.trimmingPrefix { $0.isNewline }.prefix(10)), "\(said)")
      }
    }
  }
}
