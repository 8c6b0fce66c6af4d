import LlamaHost
import Testing

/// What is wrong with a grammar is told by name, without a model.
@Suite struct GrammarErrorTests {
  private func refusal(of grammar: String) -> GrammarError? {
    do {
      _ = try SamplerSettings(grammar: grammar)
      return nil
    } catch SamplerError.grammar(let error) {
      return error
    } catch {
      Issue.record("\(error)")
      return nil
    }
  }

  private static let refused: [(String, GrammarError)] = [
    ("", .empty), ("  # nothing\n\n", .empty), ("\u{FEFF}", .empty),
    ("start ::= \"a\"", .missingRoot), ("start ::= root \"a\"", .missingRoot),
    ("root ::= missing", .undefinedRule("missing", usedBy: "root")),
    ("root ::= a\na ::= (b | \"c\")*", .undefinedRule("b", usedBy: "a")),
    ("root ::= \"a\"\nroot ::= \"b\"", .duplicateRule("root")),
    (#"root ::= "a"{3,1}"#, .reversedRepetition(rule: "root", least: 3, most: 1)),
    (#"root ::= x{18446744073709551615,1}"#, .reversedRepetition(rule: "root", least: .max, most: 1)),
    ("root ::= [z-a]", .reversedRange(rule: "root", low: "z", high: "a")),
    (#"root ::= [\n-\t]"#, .reversedRange(rule: "root", low: "U+000A", high: "U+0009")),
    ("root ::= []", .emptyClass(rule: "root")), ("root ::= [^]", .emptyClass(rule: "root")),
    (#"root ::= [\uD800-\uDFFF]"#, .emptyClass(rule: "root")),
    (#"root ::= [^\U00000000-\U0010FFFF]"#, .emptyClass(rule: "root")),
    ("root ::= root \"a\" | \"b\"", .leftRecursion(rule: "root")),
    ("root ::= x? y\nx ::= \" \"\ny ::= x* root", .leftRecursion(rule: "root")),
    ("root ::= ( root? \"a\" )*", .leftRecursion(rule: "root")),
    ("root ::= \"a\" root", .endless), ("root ::= \"a\" x | x \"b\"\nx ::= [a-z] x", .endless),
  ]

  @Test(arguments: refused)
  func refusals(grammar: String, expected: GrammarError) {
    #expect(refusal(of: grammar) == expected)
  }

  @Test(arguments: [
    ("nonsense", 1, "'::='"), ("root ::= (", 1, "')'"), ("root ::= \"a\" )", 1, "')'"),
    ("root ::= \"a\"\n\nother := \"b\"", 3, "'::='"),
    ("root ::= \"unterminated", 1, "ends inside"), ("root ::= [a-", 1, "ends inside"),
    ("root ::= [", 1, "ends inside"),
    ("root ::= *", 1, "nothing before"), ("root ::= (\n{3}\n)", 2, "nothing before"),
    ("root ::= \"a\"{}", 1, "number"), ("root ::= \"a\"{,3}", 1, "number"), ("root ::= \"a\"{3", 1, "'}'"),
    (#"root ::= "\q""#, 1, "escape"), (#"root ::= "\x1""#, 1, "2 hexadecimal"),
    (#"root ::= "\u12+4""#, 1, "4 hexadecimal"),
    (#"root ::= "\U00110000""#, 1, "U+110000"), (#"root ::= "\uD83D\uDE00""#, 1, "U+D83D"),
    ("root ::= \"\u{0}\"", 1, "U+0000"), (#"root ::= "\x00""#, 1, "U+0000"),
    ("root ::= <think", 1, "'>'"), ("root ::= <[x]>", 1, "number of a token"),
    ("root ::= ! \"a\"", 1, "token"),
    ("root ::= \"a\" & \"b\"", 1, "'&'"), ("root ::= \"a\"\n| \"b\"", 2, "a name"),
  ])
  func mistakesHaveALine(grammar: String, line: Int, word: String) throws {
    let error = try #require(refusal(of: grammar))
    guard case .syntax(let found, _, let reason) = error else {
      Issue.record("\(grammar) gave \(error)")
      return
    }
    #expect(found == line && reason.contains(word), "\(error)")
  }

  /// What a grammar comes to is counted, not computed.
  @Test(arguments: [
    ("root ::= \"a\"{999999}", "elements"), ("root ::= \"a\"{9223372036854775807,}", "elements"),
    ("root ::= \"a\"{0,18446744073709551616}", "elements"), ("root ::= (\"\"){1000000}", "elements"),
    ("root ::= a a\na ::= b{400}\nb ::= [a-z]{400} | \"x\"{299500}", "elements"),
    ("root ::= ((((((((\"a\"{9}){9}){9} x){9}){9}){9}){9}){9}){99999}\nx ::= \"x\"{299999}", "elements"),
    ("root ::= \"" + String(repeating: "a", count: 1 << 20) + "\"", "bytes"),
    ("root ::= " + String(repeating: "(", count: 100_000), "inside each other"),
    ("root ::= \"a\"" + String(repeating: "?", count: 100_000), "inside each other"),
    (
      "root ::= " + String(repeating: "(", count: 150) + "\"a\"" + String(repeating: "*)*", count: 150),
      "inside each other"
    ),
    ("root ::= " + (0...1000).map { "<[\($0)]>" }.joined(separator: " "), "named tokens"),
    ("root ::= \"a\"\n" + (0..<50_000).map { "r\($0)::=.\n" }.joined(), "rules"),
    // Each group needs a rule to be repeated by.
    ("root ::= " + String(repeating: "(\"abcdefghijklmnopq\"){2}", count: 16_000) + "\n", "elements"),
  ])
  func sizesAreBounded(grammar: String, what: String) throws {
    let error = try #require(refusal(of: grammar))
    guard case .tooLarge(_, let found, let count, let limit) = error else {
      Issue.record("\(error)")
      return
    }
    #expect(found.contains(what) && count > limit, "\(error)")
  }

  @Test(arguments: [
    "\u{FEFF}root ::= \"yes\" | \"no\"\n", "root ::= \"a\" |\n  \"b\" # or\n\n", "root ::=\n  \"a\"",
    "root ::= \"a\"\r\nb ::= root",
    "root ::= (\n\"a\"\n|\n\"b\"\n)+\n", "root ::= ()", "root ::= |", "root ::= \"\"", "root ::= \"a\"{0}",
    "root ::= \"a\"{2}{3}?*",
    "root ::= [^\\uD800-\\uDFFF]", "root ::= [a-] [-a] [\\]\\[]", "root ::= \"\n\"",
    "root ::= (((\"a\"{100}){100}){100} | \"b\"){1000}{1000}", "root ::= (x*)*\nx ::= \"\"",
    "root ::= \"a\"\nunused ::= [z] unused",
  ])
  func oddButRight(grammar: String) {
    #expect(refusal(of: grammar) == nil)
  }

  @Test func sentencesNameTheRuleAndTheValue() {
    #expect(
      refusal(of: #"root ::= "a"{3,1}"#)?.description == "Rule 'root' repeats {3,1}, but 3 is more than 1.")
    #expect(
      refusal(of: #"root ::= "a"{999999}"#)?.description
        == "Rule 'root' has 999999 elements with all repetitions; at most 300000 are possible.")
    #expect(
      refusal(of: "root ::= \"a\" $")?.description
        == "The grammar is not valid GBNF: line 1, rule 'root': an element or the end of the line is expected, not '$'."
    )
  }

  @Test func anotherSeedKeepsTheRest() throws {
    let settings = try SamplerSettings(temperature: 0.5, topK: 3, seed: 1, grammar: "root ::= [a-z]+")
    let other = settings.with(seed: 7)
    #expect(other.seed == 7 && other.grammar == settings.grammar && other != settings)
    #expect(other.with(seed: 1) == settings)
  }
}
