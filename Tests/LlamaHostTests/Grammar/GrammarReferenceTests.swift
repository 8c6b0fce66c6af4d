import CLlama
import LlamaHost
import Testing

extension HostTests {
  /// llama.cpp's own engine, which keeps every way to read a text, must allow the same tokens.
  @Suite struct GrammarReferenceTests {
    /// Random grammars over few characters, with recursion behind characters only.
    private struct Generator {
      var random: SplitMix
      let ruleCount = 3

      private mutating func one<Element>(_ list: [Element]) -> Element {
        list[Int.random(in: 0..<list.count, using: &random)]
      }

      mutating func grammar() -> String {
        (0..<ruleCount).map { rule in
          "\(rule == 0 ? "root" : "r\(rule)") ::= \(alternatives(rule, depth: 0)) | \(one(["\"a\"", "[b-d]", "\"ok\""]))\n"
        }.joined()
      }

      private mutating func alternatives(_ rule: Int, depth: Int) -> String {
        (0..<Int.random(in: 1...3, using: &random)).map { _ in sequence(rule, depth: depth) }.joined(
          separator: " | ")
      }

      private mutating func sequence(_ rule: Int, depth: Int) -> String {
        var parts: [String] = []
        for _ in 0..<Int.random(in: 1...3, using: &random) {
          var part: String
          switch Int.random(in: 0..<10, using: &random) {
          case 0...2: part = one(["\"a\"", "\"the\"", "\" \"", "\"é\"", "\"👋b\"", "\"\\n\"", "\"日本\""])
          case 3...5: part = one(["[a-z]", "[^a-f]", ".", "[ -~]", "[à-ü]", "[0-9a]", "[^\\n]", "[あ-ん]"])
          case 6 where depth < 2: part = "(\(alternatives(rule, depth: depth + 1)))"
          // Only what comes after a character may call an earlier rule.
          case 7 where rule + 1 < ruleCount: part = "r\(Int.random(in: rule + 1..<ruleCount, using: &random))"
          case 8: part = "\"b\" \(one(["root", "r1", "r2"]))"
          default: part = one(["\"x\"", "[xyz]", "\"in\""])
          }
          if !part.hasPrefix("\"b\" ") { part += one(["", "", "", "?", "*", "+", "{2}", "{0,2}", "{1,}"]) }
          parts.append(part)
        }
        return parts.joined(separator: " ")
      }
    }

    private final class Reference {
      let sampler: UnsafeMutablePointer<llama_sampler>
      let count: Int

      init?(_ grammar: String, _ model: OpaquePointer) {
        let vocabulary = llama_model_get_vocab(model)
        guard let pointer = llama_sampler_init_grammar(vocabulary, grammar, "root") else { return nil }
        sampler = pointer
        count = Int(llama_vocab_n_tokens(vocabulary))
      }

      deinit { llama_sampler_free(sampler) }

      func allowed() -> [Bool] {
        var data = (0..<count).map { llama_token_data(id: Int32($0), logit: 0, p: 0) }
        data.withUnsafeMutableBufferPointer { buffer in
          var array = llama_token_data_array(
            data: buffer.baseAddress, size: buffer.count, selected: -1, sorted: false)
          llama_sampler_apply(sampler, &array)
        }
        return data.map { $0.logit > -.infinity }
      }
    }

    /// Whether bytes can be the beginning of a text: llama.cpp takes some that cannot.
    private static func beginsText(_ bytes: [UInt8]) -> Bool {
      if bytes.contains(0) { return false }
      for missing in 0...3 where missing <= bytes.count {
        let head = bytes.dropLast(missing)
        guard String(validating: head, as: UTF8.self) != nil else { continue }
        let tail = Array(bytes.suffix(missing))
        guard let first = tail.first else { return true }
        let length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : first >= 0xC2 ? 2 : 0
        guard first <= 0xF4, tail.count < length else { return false }
        // Some way to end it must be valid.
        return [UInt8(0x80), 0x90, 0xA0, 0xBF].contains { second in
          let filled = tail.count == 1 ? [first, second] : tail
          let rest = Array(repeating: UInt8(0x80), count: length - filled.count)
          return String(validating: filled + rest, as: UTF8.self) != nil
        }
      }
      return false
    }

    @Test func allowedTokensAreTheSame() throws {
      let model = try TestModel.load()
      let tokenizer = model.tokenizer
      var parameters = llama_model_default_params()
      parameters.vocab_only = true
      let raw = try #require(try llama_model_load_from_file(TestModel.path(), parameters))
      defer { llama_model_free(raw) }
      let pieces = (0..<Int32(tokenizer.vocabularySize)).map { tokenizer.bytes(of: $0) }
      var generator = Generator(random: SplitMix(state: 2026))
      var compared = 0
      var restricted = 0
      for _ in 0..<60 {
        let grammar = generator.grammar()
        // Left recursion through rules that may be empty is found by both, but not always by llama.cpp.
        guard let settings = try? SamplerSettings(grammar: grammar) else { continue }
        let reference = try #require(Reference(grammar, raw), "\(grammar)")
        let sampler = try Sampler(settings: settings, model: model)
        var text: [UInt8] = []
        for _ in 0..<4 {
          let found = try sampler.allowedTokens()
          let expected = reference.allowed()
          var open: [Int32] = []
          var different: [Int32] = []
          for token in 0..<Int32(found.count) {
            // Control tokens are no text here, whatever their names.
            if tokenizer.isControl(token), !tokenizer.isEndOfGeneration(token) { continue }
            let index = Int(token)
            if found[index] != expected[index], found[index] || Self.beginsText(text + pieces[index]) {
              different.append(token)
            }
            if found[index], expected[index], !tokenizer.isEndOfGeneration(token) { open.append(token) }
          }
          #expect(
            different.isEmpty,
            "\(grammar) after '\(String(decoding: text, as: UTF8.self))': \(different.prefix(5).map { (pieces[Int($0)], found[Int($0)]) })"
          )
          compared += 1
          if !open.isEmpty, open.count < found.count / 2 { restricted += 1 }
          guard let next = open.randomElement(using: &generator.random) else { break }
          try sampler.accept(next)
          llama_sampler_accept(reference.sampler, next)
          text += pieces[Int(next)]
        }
      }
      // So that the comparison is one.
      #expect(compared >= 100 && restricted >= 50, "\(compared) \(restricted)")
    }
  }
}
