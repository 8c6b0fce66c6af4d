import Foundation
import Serving
import Testing

@Suite struct JSONTextTests {
  private func quoted(_ text: String) -> String { JSONValue.string(text).text }

  @Test(arguments: [
    ("^[a-z]+$", ["a", "abc"], ["", "A", "a1", "ab\n"]), ("[0-9]", ["a1b", "1"], ["", "ab"]),
    (#"^\d{3}-\d{4}$"#, ["555-1234"], ["555-123", "5555-1234", "555 1234"]),
    ("^a|b$", ["a", "axx", "xxb", "b"], ["xa", "bx"]), ("^(a|b)(c|d)?$", ["a", "bd"], ["c", "abd"]),
    (#"^"\\$"#, ["\"\\"], ["\"", "\\"]), (#"^[^a]$"#, ["b", "\"", "\\", "é", "😀", "\n"], ["a", "", "bb"]),
    (#"^\S+\s\S+$"#, ["a b", "é\tü"], ["ab", "a  b", "a b "]), ("^.$", ["x", "…"], ["\n", ""]),
    (#"^(?:ab){2,3}$"#, ["abab", "ababab"], ["ab", "abababab"]),
    (#"^(?<n>x)+?y{2}$"#, ["xyy", "xxyy"], ["xy"]),
    (#"^[\w.-]+@[\w-]+\.[a-z]{2,}$"#, ["a.b@c-d.org"], ["a@b", "@c.de"]), (#"^\u00e9\x41$"#, ["éA"], ["eA"]),
    (#"^a{,3}$"#, ["a{,3}"], ["aaa"]), (#"^[]]?"#, [], []), ("^$", [""], ["a"]), ("", ["", "x"], []),
    (#"^[+-]?\d+\.\d{2}$"#, ["+1.25", "0.00"], ["1.2", "1"]), (#"^[a\-z]$"#, ["a", "-", "z"], ["b"]),
    (#"^(^a$|^b$)$"#, [], []), (#"\A[A-F\d]{2}\Z"#, ["A1"], ["G1", "A12"]),
  ])
  func patternsAreExact(pattern: String, good: [String], bad: [String]) throws {
    let schema = JSONValue.object(["type": .string("string"), "pattern": .string(pattern)]).text
    guard !(good.isEmpty && bad.isEmpty) else {
      #expect(throws: JSONSchemaProblem.self) { try GrammarText(schema: schema) }
      return
    }
    let grammar = try GrammarText(schema: schema)
    for text in good { #expect(try grammar.accepts(quoted(text)), "\(pattern) \(text)") }
    for text in bad { #expect(try !grammar.accepts(quoted(text)), "\(pattern) \(text)") }
  }

  @Test func whatIsNoRegularLanguageIsRefusedByName() throws {
    for (pattern, word) in [
      ("(?=a)b", "looks ahead"), ("(?<!a)b", "looks ahead"), (#"(a)\1"#, "refers back"), (#"\bword"#, "edge"),
      (#"\p{L}"#, "\\p"), ("a^b", "middle"), ("(", "without"), ("a)", ")"), ("[a", "["), ("[z-a]", "range"),
      ("*a", "behind nothing"), ("a{5,2}", "counts down"), ("a{2000}", "1000"), ("(?i)a", "changes"),
    ] {
      let schema = JSONValue.object(["type": .string("string"), "pattern": .string(pattern)])
      do {
        let grammar = try JSONGrammar.grammar(schema: schema)
        Issue.record("\(pattern) gave \(grammar)")
      } catch {
        #expect("\(error)".contains(word), "\(error)")
        #expect("\(error)".contains("pattern"), "\(error)")
      }
    }
  }

  @Test(arguments: [
    (
      "date", ["2024-02-29", "2000-02-29", "1999-12-31"],
      ["2023-02-29", "1900-02-29", "2024-04-31", "2024-13-01"]
    ),
    ("time", ["23:59:59Z", "00:00:00.5+02:00"], ["24:00:00Z", "12:00:00", "12:60:00Z"]),
    ("date-time", ["2024-02-29T12:00:00Z"], ["2024-02-30T12:00:00Z", "2024-02-29 12:00:00Z"]),
    ("duration", ["P1D", "PT5M", "P1Y2M3DT4H5M6S", "P2W", "PT1H2M"], ["P", "PT", "1D", "P1H", "P1Y3D"]),
    ("email", ["a.b+c@mail.example.org"], ["a@b", ".a@b.de", "a..b@c.de", "a b@c.de", "a@-b.de"]),
    (
      "uri", ["https://example.org", "http://a.bc:80/x/%20y?z=1"],
      ["example.org", "ftp://a.bc", "http://a.bc/%2"]
    ),
    ("uuid", ["123e4567-e89b-12d3-a456-426614174000"], ["123e4567e89b12d3a456426614174000"]),
    ("uuid4", ["123e4567-e89b-42d3-a456-426614174000"], ["123e4567-e89b-12d3-a456-426614174000"]),
    ("ipv4", ["0.0.0.0", "255.250.199.9"], ["256.0.0.1", "1.2.3", "01.2.3.4"]),
    ("ipv6", ["2001:db8:0:0:0:0:0:1"], ["::1", "2001:db8"]),
    ("hostname", ["a.example"], ["-a.example", "a"]),
    ("password", ["anything at all"], []), ("base64", ["", "QUJD"], ["QUJ", "QU=="]),
  ])
  func formatsAreThoseOfTheirStandards(format: String, good: [String], bad: [String]) throws {
    let grammar = try GrammarText(schema: #"{"type":"string","format":"\#(format)"}"#)
    for text in good { #expect(try grammar.accepts(quoted(text)), "\(format) \(text)") }
    for text in bad { #expect(try !grammar.accepts(quoted(text)), "\(format) \(text)") }
  }

  /// Pydantic writes `constr(pattern=…, min_length=…)` and `AnyUrl` so.
  @Test func lengthsHoldBesidesPatterns() throws {
    let letters = try GrammarText(
      schema: #"{"type":"string","pattern":"^[a-z]+$","minLength":3,"maxLength":5}"#)
    for (text, isGood) in [("ab", false), ("abc", true), ("abcde", true), ("abcdef", false)] {
      #expect(try letters.accepts(quoted(text)) == isGood, "\(text)")
    }
    let code = try GrammarText(schema: #"{"type":"string","pattern":"^x-\\d*$","maxLength":4}"#)
    for (text, isGood) in [("x-", true), ("x-12", true), ("x-123", false)] {
      #expect(try code.accepts(quoted(text)) == isGood, "\(text)")
    }
    let url = try GrammarText(schema: #"{"type":"string","format":"uri","minLength":1,"maxLength":2083}"#)
    #expect(try url.accepts(quoted("https://example.org/a")))
    for schema in [
      #"{"type":"string","pattern":"^a+b+$","maxLength":4}"#,
      #"{"type":"string","pattern":"^abc$","maxLength":2}"#,
      #"{"type":"string","format":"date","minLength":11}"#,
      #"{"type":"string","format":"date","pattern":"^2"}"#,
    ] {
      #expect(throws: JSONSchemaProblem.self, "\(schema)") { try GrammarText(schema: schema) }
    }
  }

  /// `Decimal` of pydantic is a number or a text of this pattern.
  @Test func decimalsOfPydanticAreKnown() throws {
    let grammar = try GrammarText(
      schema:
        #"{"anyOf":[{"type":"number"},{"type":"string","pattern":"^(?!^[-+.]*$)[+-]?0*\\d*\\.?\\d*$"}]}"#)
    for (text, isGood) in [("1.5", true), (#""-12.50""#, true), (#"".""#, false), (#""+""#, false)] {
      #expect(try grammar.accepts(text) == isGood, "\(text)")
    }
  }

  @Test func setsOfAFewValuesAreKept() throws {
    let grammar = try GrammarText(
      schema: ##"{"type":"array","items":{"$ref":"#/$defs/c"},"uniqueItems":true,"minItems":1,"maxItems":2,"##
        + ##""$defs":{"c":{"enum":["red","green",3]}}}"##)
    for (text, isGood) in [
      (#"["red"]"#, true), (#"["red","green"]"#, true), (#"[3, "red"]"#, true), (#"["red","red"]"#, false),
      ("[]", false), (#"["red","green",3]"#, false), (#"["blue"]"#, false),
    ] { #expect(try grammar.accepts(text) == isGood, "\(text)") }
    let one = try GrammarText(
      schema: #"{"type":"array","items":{"type":"null"},"uniqueItems":true,"maxItems":1}"#)
    #expect(try one.accepts("[]") && one.accepts("[null]") && !one.accepts("[null,null]"))
    do {
      _ = try GrammarText(schema: #"{"type":"array","items":{"type":"string"},"uniqueItems":true}"#)
      Issue.record("a set of any texts")
    } catch let problem as JSONSchemaProblem {
      #expect("\(problem)".contains("uniqueItems"))
    }
  }

  @Test func namesFollowPatterns() throws {
    let named = try GrammarText(
      schema:
        #"{"type":"object","propertyNames":{"enum":["a","b"]},"additionalProperties":{"type":"boolean"}}"#)
    #expect(try named.accepts(#"{"a": true}"#) && !named.accepts(#"{"c": true}"#) && named.accepts("{}"))
    let pattern = try GrammarText(schema: #"{"type":"object","patternProperties":{"^x":{"type":"null"}}}"#)
    #expect(try pattern.accepts(#"{"x1": null}"#) && !pattern.accepts(#"{"y": null}"#))
  }
}
