// What a request says about the form of its answer, in the spellings of several servers.

import Foundation
import Serving

/// A grammar for the answer, and the field that asked for it.
///
/// OpenAI's `response_format`; llama.cpp's `grammar` and `json_schema`; vLLM's `guided_…` and `structured_outputs`;
/// SGLang's `ebnf`; Ollama's `format`; TGI's `grammar` as an object. A constraint that cannot be kept is refused by its
/// name: an answer without it would look as if it had been.
struct OutputConstraint {
  let field: String
  let grammar: String

  /// The one constraint of a request, nil for none.
  static func find(_ fields: RequestFields) throws(APIError) -> OutputConstraint? {
    try fields.refuse(
      "guided_regex", "regex", "structural_tag", "guided_whitespace_pattern", "grammar_lazy",
      "grammar_triggers",
      "allowed_token_ids", "bad_words", "response_schema")
    var found: [OutputConstraint] = []
    func add(_ field: String, _ grammar: String?) {
      if let grammar { found.append(OutputConstraint(field: field, grammar: grammar)) }
    }
    for field in ["guided_grammar", "ebnf"] { add(field, try fields.string(field)) }
    for field in ["json_schema", "guided_json"] {
      add(field, try fields[field].map { value throws(APIError) in try schema(value, field) })
    }
    add("guided_choice", try choice(fields, "guided_choice"))
    add("guided_json_object", try fields.flag("guided_json_object") == true ? JSONGrammar.anyObject : nil)
    add("structured_outputs", try structuredOutputs(fields))
    add("format", try format(fields))
    add("response_format", try responseFormat(fields))
    add("grammar", try grammar(fields))
    guard let last = found.last, found.count > 1 else { return found.first }
    throw .invalid(last.field, "Give '\(last.field)' or '\(found[0].field)', not both.")
  }

  /// GBNF, or TGI's `{"type": "json", "value": {…}}`.
  private static func grammar(_ fields: RequestFields) throws(APIError) -> String? {
    guard fields["grammar"]?.object != nil, let object = try fields.object("grammar") else {
      return try fields.string("grammar")
    }
    let type = try object.string("type")
    guard type == "json" || type == "json_schema", let value = object["value"] else {
      throw .invalid(
        object.name("type"),
        "'grammar' must be GBNF, or an object whose 'type' is json and whose 'value' is a schema.")
    }
    return try schema(value, object.name("value"))
  }

  private static func responseFormat(_ fields: RequestFields) throws(APIError) -> String? {
    guard let format = try fields.object("response_format") else { return nil }
    let wrapper = try format.object("json_schema") ?? format
    let type = try format.string("type")
    switch type {
    case "text":
      guard wrapper["schema"] == nil else {
        throw .invalid(
          wrapper.name("schema"), "'\(wrapper.name("schema"))' needs a 'type' of json_schema, not text.")
      }
      return nil
    case "json_object", "json_schema":
      guard let value = wrapper["schema"] else {
        if type == "json_object" { return JSONGrammar.anyObject }
        throw .invalid(wrapper.name("schema"), "'\(wrapper.name("schema"))' is missing.")
      }
      return try schema(value, wrapper.name("schema"))
    case "grammar":
      guard let grammar = try format.string("grammar") else { throw format.mismatch("grammar", "a string") }
      return grammar
    default:
      throw .invalid(
        format.name("type"),
        "'\(format.name("type"))' must be text, json_object, json_schema or grammar.")
    }
  }

  private static func structuredOutputs(_ fields: RequestFields) throws(APIError) -> String? {
    guard let options = try fields.object("structured_outputs") else { return nil }
    try options.refuse("regex", "structural_tag", "whitespace_pattern", "disable_any_whitespace")
    var found: [String] = []
    if let value = options["json"] { found.append(try schema(value, options.name("json"))) }
    if try options.flag("json_object") == true { found.append(JSONGrammar.anyObject) }
    if let grammar = try options.string("grammar") { found.append(grammar) }
    if let grammar = try choice(options, "choice") { found.append(grammar) }
    guard found.count <= 1 else {
      throw .invalid(
        "structured_outputs", "'structured_outputs' must have one constraint, not \(found.count).")
    }
    return found.first
  }

  /// `"json"` or a schema.
  private static func format(_ fields: RequestFields) throws(APIError) -> String? {
    switch fields["format"] {
    case nil, .string("")?: return nil
    case .string("json")?: return JSONGrammar.anyObject
    case let value?:
      guard value.object != nil else { throw fields.mismatch("format", "\"json\" or a JSON schema") }
      return try schema(value, "format")
    }
  }

  private static func choice(_ fields: RequestFields, _ field: String) throws(APIError) -> String? {
    guard let value = fields[field] else { return nil }
    guard let list = value.array, !list.isEmpty, list.allSatisfy({ $0.string != nil }) else {
      throw .invalid(fields.name(field), "'\(fields.name(field))' must be a list of at least one string.")
    }
    return JSONGrammar.choice(of: list.compactMap(\.string))
  }

  /// A grammar for a schema, which some clients send as text.
  private static func schema(_ value: JSONValue, _ field: String) throws(APIError) -> String {
    var value = value
    if let text = value.string {
      do {
        value = try JSONValue(parsing: Data(text.utf8))
      } catch {
        throw .invalid(field, "'\(field)' is not a JSON schema: it is \(error)")
      }
    }
    // As in OpenAI's format, with a name beside the schema, which itself has no such keyword.
    if let inner = value.object?["schema"], field == "json_schema" { value = inner }
    do {
      return try JSONGrammar.grammar(schema: value)
    } catch {
      throw .invalid(field, "\(error)")
    }
  }
}
