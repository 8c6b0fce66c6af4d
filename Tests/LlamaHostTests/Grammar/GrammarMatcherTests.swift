import Foundation
import LlamaHost
import Testing

extension HostTests {
  @Suite struct GrammarMatcherTests {
    private static let cases: [(grammar: String, yes: [String], no: [String])] = [
      (#"root ::= "yes" | "no""#, ["yes", "no"], ["", "ye", "yess", "maybe"]),
      ("\u{FEFF}root ::= \"yes\" | \"no\"\n", ["yes", "no"], [""]),
      ("root ::= [a-c]{2,4}", ["ab", "abc", "cccc"], ["a", "abcab", "ad"]),
      ("root ::= [a-c]{2,} \"x\"", ["abx", "abcabcabcx"], ["ax", "ab", "x"]),
      ("root ::= \"ab\"{0} \"c\"{3}", ["ccc"], ["cc", "abccc"]),
      (#"root ::= "a"{2}{3}"#, ["aaaaaa"], ["aa", "aaaaa", "aaaaaaa"]),
      // Words that begin alike, one the beginning of another, one twice.
      (
        #"root ::= "in" | "inner" | "inn" | "out" | "in""#, ["in", "inn", "inner", "out"],
        ["i", "inne", "inout"]
      ),
      ("root ::= .\".\"", ["x.", "é.", "👋.", "\n."], [".", "xy.", "x"]),
      ("root ::= [^a-zé]+", ["ABC", "Ä👋 1"], ["", "ABc", "é"]),
      (#"root ::= [\u00e0-\u00ff\U0001F44B]+"#, ["éà", "👋é"], ["e", "Ā", "👌"]),
      (#"root ::= "\x41\u0042\U00000043\t\r\n\\\"\[\]\-""#, ["ABC\t\r\n\\\"[]-"], ["ABC"]),
      // Recursion, in the middle, and of rules that may be empty.
      ("root ::= \"(\" root \")\" |", ["", "()", "(((())))"], ["(", "(()", "())"]),
      ("root ::= \"x\" root \"y\" | \"x\" root \"z\" | \"\"", ["", "xy", "xxzy", "xxxxzzyz"], ["x", "xyz"]),
      ("root ::= e e \"a\" e\ne ::= o o\no ::= \"b\"?", ["a", "bba", "bbbbabb"], ["bbbbba", "abbb", "b"]),
      (
        "root ::= list\nlist ::= item | item \",\" list\nitem ::= [0-9]+", ["1", "1,22,333"],
        ["1,", ",1", ""]
      ),
      ("root ::= (\"a\"? \"b\"?)* \"c\"", ["c", "abbac"], ["ab", "ca"]),
      // More than copies are made of, so repeated by a rule.
      (
        "root ::= (\"abcdefghijklmnopqrstuvwxyz\" [0-9]?){1,3}",
        ["abcdefghijklmnopqrstuvwxyz1abcdefghijklmnopqrstuvwxyz"], ["", "abc"]
      ),
      // A way that never ends is no way.
      ("root ::= \"a\" | \"b\" x\nx ::= \"c\" x", ["a"], ["b", "bc"]),
    ]

    @Test(arguments: cases)
    func texts(grammar: String, yes: [String], no: [String]) throws {
      let follower = try GrammarFollower(grammar)
      for text in yes { #expect(try follower.matches(text), "\(grammar) must have '\(text)'") }
      for text in no { #expect(try !follower.matches(text), "\(grammar) must not have '\(text)'") }
    }

    @Test func tokensByName() throws {
      let model = try TestModel.load()
      let tokenizer = model.tokenizer
      let start = try tokenizer.tokenize("<|im_start|>", addSpecial: false, parseSpecial: true)
      try #require(start.count == 1)
      let follower = try GrammarFollower("root ::= \"a\" <|im_start|> !<[\(start[0])]> \"b\"?")
      #expect(try !follower.allowed().contains(start[0]))
      let letters = try tokenizer.tokenize("ab", addSpecial: false, parseSpecial: false)
      let letter = try #require(tokenizer.tokenize("a", addSpecial: false, parseSpecial: false).first)
      try follower.sampler.accept(letter)
      #expect(try follower.allowed() == [start[0]])
      try follower.sampler.accept(start[0])
      let texts = try follower.allowed()
      // Any text, but no control token.
      #expect(
        texts.count > tokenizer.vocabularySize * 9 / 10 && !texts.contains(start[0])
          && !texts.contains(where: tokenizer.isControl))
      try follower.sampler.accept(try #require(letters.last))
      #expect(try follower.isComplete())
      for (grammar, error) in [
        ("root ::= <[99999999]> \"a\"", GrammarError.unknownToken("<[99999999]>")),
        ("root ::= \"a\" | <no such token>", .unknownToken("<no such token>")),
        ("root ::= !<[49152]>", .unknownToken("<[49152]>")),
        ("root ::= <|im_end|>", .endingToken("<|im_end|>")),
      ] {
        #expect(throws: SamplerError.grammar(error)) { try GrammarFollower(grammar) }
      }
    }

    /// Bytes of a character that come as tokens of their own.
    @Test func charactersInPieces() throws {
      let follower = try GrammarFollower(#"root ::= [à-é] "!""#)
      let allowed = try follower.allowed()
      let texts = allowed.map { follower.model.tokenizer.bytes(of: $0) }
      #expect(Set(texts.compactMap(\.first)) == [0xC3])
      let byte = try #require(allowed.first { follower.model.tokenizer.bytes(of: $0) == [0xC3] })
      try follower.sampler.accept(byte)
      #expect(try !follower.isComplete())
      let seconds = try follower.allowed().map { follower.model.tokenizer.bytes(of: $0) }
      #expect(Set(seconds.compactMap(\.first)) == Set(0xA0...0xA9))
    }

    /// Thousands of words: the tokens allowed are those that begin one, or go on in one.
    @Test func manyWords() throws {
      let words = (0..<20_000).map { "w\($0)" }
      let follower = try GrammarFollower("root ::= " + words.map { "\"\($0)\"" }.joined(separator: " | "))
      var beginnings: Set<[UInt8]> = []
      for word in words {
        for count in 1...word.utf8.count { beginnings.insert(Array(word.utf8.prefix(count))) }
      }
      var text: [UInt8] = []
      for next in ["w", "1", "7"] {
        let tokenizer = follower.model.tokenizer
        let expected = (0..<Int32(tokenizer.vocabularySize)).filter {
          let bytes = tokenizer.bytes(of: $0)
          return !bytes.isEmpty && beginnings.contains(text + bytes)
        }
        #expect(try follower.allowed() == Set(expected))
        #expect(try follower.isComplete() == words.contains(String(decoding: text, as: UTF8.self)))
        try follower.sampler.accept(
          try #require(tokenizer.tokenize(next, addSpecial: false, parseSpecial: false).first))
        text += Array(next.utf8)
      }
    }

    /// Shapes with exponentially many ways to be read, and with very long ones.
    @Test func chains() throws {
      let letters = try GrammarFollower(
        "root ::= " + Array(repeating: "\"a\"?", count: 400).joined(separator: " "))
      #expect(try letters.matches(String(repeating: "a", count: 400)))
      #expect(
        try letters.matches("") && !letters.matches("ab")
          && !letters.matches(String(repeating: "a", count: 401)))
      let classes = try GrammarFollower(
        "root ::= " + Array(repeating: "[a-z]*", count: 200).joined(separator: " "))
      #expect(try classes.matches(String(repeating: "lighthouse", count: 50)) && !classes.matches("a b"))
      let groups = try GrammarFollower("root ::= ((\"a\"? \"b\"?){0,50} | (\"a\" | \"ab\" | \"b\")*){0,50}")
      #expect(try groups.matches(String(repeating: "abba", count: 50)) && !groups.matches("abc"))
      let twice = try GrammarFollower("root ::= \"x\" root \"y\" | \"x\" root \"z\" | \"\"")
      #expect(try twice.matches(String(repeating: "x", count: 200) + String(repeating: "yz", count: 100)))
      let rules = 10_000
      let chain = try GrammarFollower(
        "root ::= r0\n" + (0..<rules).map { "r\($0) ::= r\($0 + 1) \"b\"\n" }.joined()
          + "r\(rules) ::= \"a\"\n")
      #expect(try chain.matches("a" + String(repeating: "b", count: rules)) && !chain.matches("abbb"))
    }

    /// What cannot be bounded by its size is bounded in its work, and can be followed as far as it goes.
    @Test func workIsBounded() throws {
      var random = SplitMix(state: 1)
      let letters = (0..<20_000).map { _ in
        "\"\(Character(UnicodeScalar(UInt8.random(in: 97...122, using: &random))))\"?"
      }
      // Every text leaves another number of letters, and there are more texts among the tokens than can be looked at.
      let follower = try GrammarFollower("root ::= " + letters.joined(separator: " "))
      for _ in 0..<2 {
        let error = #expect(throws: SamplerError.self) { try follower.allowed() }
        switch error {
        case .grammar(.tooAmbiguous(GrammarLimits.steps)),
          .grammar(.tooManyStates(GrammarLimits.stateMemory)):
          break
        default: Issue.record("\(String(describing: error))")
        }
        let text = try follower.model.tokenizer.tokenize("lighthouse", addSpecial: false, parseSpecial: false)
        for token in text { try follower.sampler.accept(token) }
      }
      let few = try GrammarFollower("root ::= " + letters.prefix(400).joined(separator: " "))
      #expect(try few.matches("lighthouse") && few.allowed().count > 100)
    }

    /// A state that comes again is not computed again, and one that was forgotten is found again.
    @Test func longTexts() throws {
      let follower = try GrammarFollower("root ::= item (\",\" item)*\nitem ::= \"[\" root \"]\" | [a-z]+")
      let tokenizer = follower.model.tokenizer
      let text = String(repeating: "[", count: 3000) + "a" + String(repeating: ",b]", count: 3000)
      #expect(try follower.matches(text))
      follower.sampler.reset()
      let first = try follower.allowed()
      for token in try tokenizer.tokenize("[a,b],", addSpecial: false, parseSpecial: false) {
        try follower.sampler.accept(token)
      }
      #expect(try follower.allowed() == first)
    }
  }
}
