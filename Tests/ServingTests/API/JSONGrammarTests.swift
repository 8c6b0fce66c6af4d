import Foundation
import Serving
import Testing

@Suite struct JSONGrammarTests {
  private func grammar(_ schema: String) throws -> String {
    try JSONGrammar.grammar(schema: JSONValue(parsing: Data(schema.utf8)))
  }

  @Test func usesOnlyTheRulesItNeeds() throws {
    #expect(try grammar(#"{"type":"boolean"}"#) == "root ::= boolean\nboolean ::= \"true\" | \"false\"\n")
    #expect(
      try grammar(#"{"const":{"b":"x\"y","a":null}}"#) == #"root ::= "{\"b\":\"x\\\"y\",\"a\":null}""# + "\n")
    let text = try grammar(#"{"enum":["red",1,"two\nlines"]}"#)
    #expect(text.contains(#"r0 ::= "\"red\"" | "1" | "\"two\\nlines\"""#))
  }

  /// Every name that is used is defined, once.
  @Test(arguments: [
    ##"{"type":"object","properties":{"a":{"type":"string"},"b":{"type":"array","items":{"$ref":"#"}}},"required":["a"]}"##,
    #"{"type":"array","items":{"type":"string","format":"date-time"},"minItems":2,"maxItems":5}"#,
    #"{"type":["string","null"],"maxLength":4}"#,
    #"{"anyOf":[{"type":"integer","minimum":3},{"type":"null"}]}"#,
    ##"{"$ref":"#/$defs/x","$defs":{"x":{"type":"object","additionalProperties":{"$ref":"#/$defs/y"}},"y":{"type":"number"}}}"##,
    #"{"type":"array","prefixItems":[{"type":"null"},{"format":"uuid","type":"string"}],"items":false}"#,
    "true", "{}", #"{"type":"object","properties":{}}"#, #"{"type":"array","minItems":1}"#,
  ])
  func everyNameIsDefined(schema: String) throws {
    let text = try grammar(schema)
    var defined: [String] = []
    var used: Set<String> = []
    for line in text.split(separator: "\n") {
      let parts = line.components(separatedBy: " ::= ")
      defined.append(parts[0])
      // Literals and character classes out of the way.
      let rest = parts[1...].joined()
        .replacing(try Regex(#""([^"\\]|\\.)*""#), with: " ").replacing(
          try Regex(#"\[([^\]\\]|\\.)*\]"#), with: " "
        )
        .replacing(try Regex(#"\{[0-9,]*\}"#), with: " ")
      used.formUnion(rest.split { !($0.isLetter || $0.isNumber) }.map(String.init))
    }
    #expect(Set(defined).count == defined.count)
    #expect(used.subtracting(defined).isEmpty, "\(text)")
    #expect(Set(defined).subtracting(used).isSubset(of: ["root"]), "\(text)")
  }

  @Test func refusesWhatItCannotKeep() throws {
    for (schema, words) in [
      (#"{"type":"string","pattern":"(?=a)"}"#, ["pattern", "ahead"]),
      (
        #"{"type":"object","properties":{"a":{"type":"number","minProperties":0},"b":{"type":"x"}}}"#,
        ["minProperties", "'x'"]
      ),
      (#"{"type":"object","properties":{"a":{}},"required":["b"]}"#, ["'b'"]),
      (#"{"$ref":"http://elsewhere/schema"}"#, ["$ref"]), (##"{"$ref":"#/$defs/none"}"##, ["none"]),
      (##"{"$ref":"#"}"##, ["itself"]), (#"{"enum":[]}"#, ["enum"]), (#"{"allOf":[{},{}]}"#, ["allOf"]),
      (#"{"type":"array","minItems":3,"maxItems":2}"#, ["minItems 3"]), (#"{"type":7}"#, ["type"]),
      (#"{"type":"string","maxLength":100000}"#, ["maxLength"]),
      (#"{"type":"string","format":"file-path"}"#, ["file-path"]),
      (#"{"type":"integer","minimum":5,"maximum":4}"#, ["minimum 5"]), (#"{"not":{}}"#, ["not"]),
      ("false", ["schema"]),
      ("[]", ["array"]),
    ] {
      do {
        let text = try grammar(schema)
        Issue.record("\(schema) gave \(text)")
      } catch let problem as JSONSchemaProblem {
        for word in words { #expect("\(problem)".contains(word), "\(problem)") }
      }
    }
  }

  @Test func hugeSchemasEnd() throws {
    var deep = JSONValue.object([:])
    for _ in 0..<200 { deep = .object(["type": .string("array"), "items": deep]) }
    #expect(throws: JSONSchemaProblem.self) { try JSONGrammar.grammar(schema: deep) }
    let wide = (0..<6000).map { #""p\#($0)":{"type":"array","items":{"enum":[1]}}"# }.joined(separator: ",")
    #expect(throws: JSONSchemaProblem.self) { try grammar(#"{"type":"object","properties":{\#(wide)}}"#) }
  }
}
