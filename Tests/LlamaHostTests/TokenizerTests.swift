import LlamaHost
import Testing

extension HostTests {
  @Suite struct TokenizerTests {
    @Test(arguments: [
      "", " ", "Hello, world!", "  two spaces  ", "line\nbreaks\r\n\n\n", "naïve café — “quotes”", "日本語のテキスト",
      "👩‍👩‍👧‍👦 family, 🇩🇪 flag, 🎉", "e\u{301} combining", "\u{0}nul\u{0}", "tab\tand\u{7F}del", "𝔘𝔫𝔦𝔠𝔬𝔡𝔢",
      "let x = [1, 2, 3].map { $0 * 2 } // code",
    ])
    func roundTrip(_ text: String) throws {
      let tokenizer = try TestModel.load().tokenizer
      let tokens = try tokenizer.tokenize(text, addSpecial: false, parseSpecial: false)
      #expect(tokenizer.detokenize(tokens) == text)
    }

    /// Recorded with llama.cpp from the file's own vocabulary: a change here spoils every later result.
    @Test(
      arguments: [
        ("Hello, world!", [19556, 28, 905, 17]),
        ("def f(x):\n    return x + 1\n", [1604, 275, 24, 104, 727, 472, 1003, 1792, 1232, 216, 33, 198]),
        ("naïve 🎉", [3546, 46494, 15107, 232, 227]),
        ("1234567890", [33, 34, 35, 36, 37, 38, 39, 40, 41, 32]),
      ] as [(String, [Int32])])
    func recordedEncodings(_ text: String, _ expected: [Int32]) throws {
      let tokens = try TestModel.load().tokenizer.tokenize(text, addSpecial: false, parseSpecial: false)
      #expect(tokens == expected)
    }

    @Test func charactersSplitAcrossTokens() throws {
      let tokenizer = try TestModel.load().tokenizer
      let text = "👩‍👩‍👧‍👦𝔘"
      let tokens = try tokenizer.tokenize(text, addSpecial: false, parseSpecial: false)
      // More tokens than characters: some tokens are parts of a character.
      #expect(tokens.count > text.count)
      var decoder = TextStreamDecoder()
      var result = ""
      var heldBack = false
      for token in tokens {
        let piece = decoder.append(tokenizer.bytes(of: token))
        #expect(!piece.contains("\u{FFFD}"))
        heldBack = heldBack || decoder.hasPending
        result += piece
      }
      #expect(heldBack)
      #expect(result + decoder.finish() == text)
    }

    @Test func controlTokensNeedPermission() throws {
      let tokenizer = try TestModel.load().tokenizer
      let text = "a<|im_end|>b"
      let control = try tokenizer.tokenize("<|im_end|>", addSpecial: false, parseSpecial: true)
      try #require(control.count == 1)
      #expect(tokenizer.isControl(control[0]))
      #expect(tokenizer.isEndOfGeneration(control[0]))
      #expect(try tokenizer.tokenize(text, addSpecial: false, parseSpecial: true).contains(control[0]))
      let plain = try tokenizer.tokenize(text, addSpecial: false, parseSpecial: false)
      #expect(!plain.contains(control[0]))
      #expect(tokenizer.detokenize(plain) == text)
      #expect(tokenizer.bytes(of: control[0]).isEmpty)
      #expect(tokenizer.bytes(of: control[0], renderSpecial: true) == Array("<|im_end|>".utf8))
    }

    @Test func tokensOutsideTheVocabulary() throws {
      let tokenizer = try TestModel.load().tokenizer
      for token in [-1, Int32.max, Int32.min, Int32(tokenizer.vocabularySize)] {
        #expect(tokenizer.bytes(of: token).isEmpty)
        #expect(!tokenizer.isEndOfGeneration(token))
        #expect(!tokenizer.isControl(token))
      }
    }

    @Test func megabytes() throws {
      let tokenizer = try TestModel.load().tokenizer
      let text = String(repeating: sampleText + "\n\n", count: 2500)
      let tokens = try tokenizer.tokenize(text, addSpecial: false, parseSpecial: false)
      #expect(text.utf8.count > 1_000_000)
      #expect(tokens.count > 200_000)
      #expect(tokenizer.detokenize(tokens) == text)
    }

    /// Texts that are full of control tokens are fed in pieces, with the same result.
    @Test func cutsBetweenControlTokensMakeNoDifference() throws {
      let tokenizer = try TestModel.load().tokenizer
      for part in ["<|im_end|>", "<|im_start|>user\n  Hello, wörld <|im_ end<|im_end|>\n\n"] {
        let one = try tokenizer.tokenize(part, addSpecial: false, parseSpecial: true)
        let count = 1_200_000 / part.utf8.count
        let all = try tokenizer.tokenize(
          String(repeating: part, count: count), addSpecial: false, parseSpecial: true)
        #expect(all.count == count * one.count)
        #expect(all.elementsEqual(repeatElement(one, count: count).joined()))
      }
    }

    /// Also for texts with bytes that the vocabulary has no token for, and of white space.
    @Test func noTextHasFewerTokensThanTheBound() throws {
      let tokenizer = try TestModel.load().tokenizer
      let bound = try #require(TokenBound(tokenizer))
      for text in [
        "word ", "--------------------", "################", "日本語", "🎉", "<|im_end|>", "\u{50000}\u{90000}",
        " \n\t", "",
      ] {
        let text = String(repeating: text, count: 500)
        let tokens = try tokenizer.tokenize(text, addSpecial: false, parseSpecial: true)
        #expect(bound.leastTokens([text]) <= tokens.count)
      }
      let words = String(repeating: "word ", count: 10_000)
      #expect(bound.leastTokens([words, words]) == (80_000 + bound.longestToken - 1) / bound.longestToken)
      #expect(bound.leastTokens([" \n"]) == 0)
    }

    /// A vocabulary whose line breaks are tokens of their own is fed in pieces, with the same result.
    @Test(.enabled(if: TestModel.slidingPath != nil))
    func piecesMakeNoDifference() throws {
      let tokenizer = try LlamaModel.load(path: #require(TestModel.slidingPath)).tokenizer
      // Long enough to be cut as a whole, and with line breaks in runs.
      let part = sampleText + "\n\n\n" + sampleText + "\n    x\n"
      let text = String(repeating: part, count: 150)
      let whole = try tokenizer.tokenize(text, addSpecial: true, parseSpecial: false)
      var expected = try tokenizer.tokenize("", addSpecial: true, parseSpecial: false)
      for (index, line) in text.split(separator: "\n    x", omittingEmptySubsequences: false).enumerated() {
        let piece = (index == 0 ? "" : "\n    x") + line
        expected += try tokenizer.tokenize(piece, addSpecial: false, parseSpecial: false)
      }
      #expect(whole == expected)
    }
  }

  @Suite struct TextStreamDecoderTests {
    @Test func anySplitGivesTheSameText() {
      var random = SplitMix(state: 3)
      let samples: [[UInt8]] = [
        Array("plain".utf8), Array("🎉é日".utf8), [0xFF, 0x41], [0xE2, 0x82], [0xE2, 0x82, 0x41],
        [0xF0, 0x9F, 0x8E],
        [0xC0, 0x80], [0xED, 0xA0, 0x80, 0x42], [0xF4, 0x90, 0x80, 0x80], [0x80, 0x80, 0x80, 0x80, 0x80],
        [0xE0, 0x80, 0x80], [0xF0, 0x80, 0x80, 0x80], [0xF5, 0x80],
      ]
      for _ in 0..<2000 {
        let bytes = (0..<5).flatMap { _ in samples.randomElement(using: &random) ?? [] }
        var decoder = TextStreamDecoder()
        var result = ""
        var rest = bytes[...]
        while !rest.isEmpty {
          let count = Int.random(in: 1...min(5, rest.count), using: &random)
          result += decoder.append(rest.prefix(count))
          rest = rest.dropFirst(count)
        }
        result += decoder.finish()
        #expect(Array(result.utf8) == Array(String(decoding: bytes, as: UTF8.self).utf8), "\(bytes)")
        #expect(!decoder.hasPending)
      }
    }

    @Test func holdsBackOnlyWhatCanBecomeACharacter() {
      var decoder = TextStreamDecoder()
      #expect(decoder.append([0xF0, 0x9F]) == "")
      #expect(decoder.hasPending)
      #expect(decoder.append([0x8E, 0x89]) == "🎉")
      #expect(decoder.append([0xF0, 0x41]) == "\u{FFFD}A")
      #expect(decoder.append([0xE2]) == "")
      #expect(decoder.finish() == "\u{FFFD}")
      #expect(decoder.finish() == "")
    }
  }
}
