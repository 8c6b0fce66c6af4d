// From JSON Schema to a GBNF grammar for the host's grammar sampler.

/// Grammars that make a model write JSON.
///
///     let grammar = try JSONGrammar.grammar(schema: schema)
///     let settings = try SamplerSettings(grammar: grammar)
///
/// Of JSON Schema (draft 2020-12) it takes: `type` (also a list), `enum`, `const`, `properties`, `required`,
/// `additionalProperties`, `propertyNames`, `patternProperties` of one pattern, `items`, `prefixItems`, `minItems`,
/// `maxItems`, `uniqueItems` of a few values, `minLength`, `maxLength`, `pattern`, the formats of ``TextFormats``,
/// `minimum`, `maximum` and their exclusive forms, `multipleOf`, `anyOf`, `oneOf` (as `anyOf`), `allOf` of one schema,
/// and `$ref` inside the document, recursion included. Annotations are ignored. Any other keyword would be broken
/// silently, so it is refused, and all of them are named.
///
/// Properties come in the order of `required`, then by name: JSON objects have no order of their own. An object with
/// `properties` takes no others.
package enum JSONGrammar {
  /// Any JSON object.
  package static let anyObject =
    "root ::= object\n" + JSONGrammarRules.text(for: ["object"])

  /// Any one of `texts`, as it is.
  package static func choice(of texts: [String]) -> String {
    "root ::= " + texts.map(JSONGrammarBuilder.literal).joined(separator: " | ") + "\n"
  }

  /// A grammar whose texts are the JSON documents that `schema` allows, without the ones excluded above.
  ///
  /// - Throws: ``JSONSchemaProblem`` with everything that is not understood.
  package static func grammar(schema: JSONValue) throws(JSONSchemaProblem) -> String {
    var builder = JSONGrammarBuilder(document: schema)
    let root = builder.rule(for: schema, at: "#", depth: 0)
    guard root != "root" else { throw JSONSchemaProblem(reasons: ["#: it refers only to itself"]) }
    guard builder.problems.isEmpty else { throw JSONSchemaProblem(reasons: builder.problems) }
    return builder.text(root: root)
  }
}

/// A schema that cannot be followed, with all reasons.
package struct JSONSchemaProblem: Error, Equatable, CustomStringConvertible {
  package var reasons: [String]

  package var description: String {
    "The JSON schema cannot be followed: " + reasons.joined(separator: "; ") + "."
  }
}

/// Rules that schemas share.
enum JSONGrammarRules {
  /// Name, definition, and the names that the definition uses.
  private static let all: [String: (definition: String, uses: [String])] = [
    // Little white space: a model that may write any amount of it can go on for ever.
    "ws": (#"| " " | "\n" [ \t]{0,20}"#, []),
    "value": (
      "object | array | string | number | boolean | null",
      [
        "object", "array", "string", "number", "boolean", "null",
      ]
    ),
    "object": (#""{" ws ( member ( "," ws member )* ws )? "}""#, ["ws", "member"]),
    "member": (#"string ":" ws value"#, ["string", "ws", "value"]),
    "array": (#""[" ws ( value ( "," ws value )* ws )? "]""#, ["ws", "value"]),
    "string": (#""\"" char* "\"""#, ["char"]),
    // Escapes of surrogates are left out: half a pair is no character.
    "char": (
      #"[^"\\\x00-\x1F\x7F] | "\\" ( ["\\/bfnrt] | "u" ( [0-9a-cefA-CEF] hex hex hex | [dD] [0-7] hex hex ) )"#,
      ["hex"]
    ),
    "hex": ("[0-9a-fA-F]", []),
    "number": (#"integer ( "." [0-9]{1,16} )? ( [eE] [-+]? [0-9]{1,3} )?"#, ["integer"]),
    "integer": (#""-"? ( "0" | [1-9] [0-9]{0,15} )"#, []),
    "boolean": (#""true" | "false""#, []),
    "null": (#""null""#, []),
  ]

  /// The rules named and all that they use.
  static func text(for names: Set<String>) -> String {
    var open = names
    var done: Set<String> = []
    while let name = open.popFirst() {
      guard let rule = all[name], done.insert(name).inserted else { continue }
      open.formUnion(Set(rule.uses).subtracting(done))
    }
    return done.sorted().map { "\($0) ::= \(all[$0]?.definition ?? "")\n" }.joined()
  }
}
