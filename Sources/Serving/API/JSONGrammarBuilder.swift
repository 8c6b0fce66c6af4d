// One rule for each part of a schema.

/// Collects rules, and what is wrong with the schema.
struct JSONGrammarBuilder {
  let document: JSONValue
  private var rules: [(name: String, definition: String)] = []
  private var shared: Set<String> = []
  /// Rules of `$ref` targets; entered before they are built, so that they may refer to themselves.
  private var references = ["#": "root"]
  private(set) var problems: [String] = []

  /// Deeper schemas would exhaust the stack of whoever follows them.
  private static let deepest = 64
  /// The host unrolls repetitions, so large ones make huge grammars.
  static let largestRepetition = 1000
  private static let mostRules = 5000

  init(document: JSONValue) { self.document = document }

  func text(root: String) -> String {
    "root ::= \(root)\n" + rules.map { "\($0.name) ::= \($0.definition)\n" }.joined()
      + JSONGrammarRules.text(for: shared)
  }

  // MARK: Rules

  mutating func use(_ name: String) -> String {
    shared.insert(name)
    return name
  }

  mutating func add(_ definition: String) -> String {
    let name = "r\(rules.count)"
    rules.append((name, definition))
    return name
  }

  mutating func fail(_ place: String, _ reason: String) -> String {
    if problems.count < 20 { problems.append("\(place): \(reason)") }
    return "\"\""
  }

  /// A GBNF literal for `text`.
  static func literal(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case "\n": result += "\\n"
      case "\r": result += "\\r"
      case "\t": result += "\\t"
      default:
        if scalar.value < 0x20 || scalar.value == 0x7F {
          let digits = String(scalar.value, radix: 16, uppercase: true)
          result += "\\x" + (digits.count < 2 ? "0" : "") + digits
        } else {
          result.unicodeScalars.append(scalar)
        }
      }
    }
    return result + "\""
  }

  // MARK: Schemas

  private static let annotations: Set<String> = [
    "$schema", "$id", "$anchor", "$comment", "$defs", "definitions", "title", "description", "default",
    "examples",
    "example", "deprecated", "readOnly", "writeOnly", "contentMediaType", "contentEncoding", "discriminator",
  ]

  /// A rule for the texts that `schema` allows.
  mutating func rule(for schema: JSONValue, at place: String, depth: Int) -> String {
    guard depth < Self.deepest else { return fail(place, "nested more than \(Self.deepest) deep") }
    guard rules.count < Self.mostRules else { return fail(place, "more than \(Self.mostRules) parts") }
    switch schema {
    case .bool(true): return use("value")
    case .object(let fields): return rule(fields: fields, at: place, depth: depth)
    default: return fail(place, "a schema must be an object or true, not \(schema.kind)")
    }
  }

  private mutating func rule(fields: JSONObject, at place: String, depth: Int) -> String {
    if let reference = fields["$ref"] {
      refuse(fields, besides: ["$ref"], at: place, what: "$ref")
      return rule(reference: reference, at: place, depth: depth)
    }
    if let constant = fields["const"] {
      refuse(fields, besides: ["const", "type"], at: place, what: "const")
      return Self.literal(constant.text)
    }
    if let choices = fields["enum"] {
      refuse(fields, besides: ["enum", "type"], at: place, what: "enum")
      guard let choices = choices.array, !choices.isEmpty else {
        return fail(place, "enum must be a list with at least one value")
      }
      return add(choices.map { Self.literal($0.text) }.joined(separator: " | "))
    }
    for key in ["anyOf", "oneOf", "allOf"] {
      guard let list = fields[key] else { continue }
      refuse(fields, besides: [key, "type"], at: place, what: key)
      guard let schemas = list.array, !schemas.isEmpty else {
        return fail(place, "\(key) must be a list of schemas")
      }
      if key == "allOf", schemas.count > 1 {
        return fail(place, "allOf of more than one schema is not supported")
      }
      var parts: [String] = []
      for (index, schema) in schemas.enumerated() {
        parts.append(rule(for: schema, at: "\(place)/\(key)/\(index)", depth: depth + 1))
      }
      return add(parts.joined(separator: " | "))
    }
    return rule(types: fields, at: place, depth: depth)
  }

  private mutating func rule(types fields: JSONObject, at place: String, depth: Int) -> String {
    let names: [String]
    switch fields["type"] {
    case .string(let name)?: names = [name]
    case .array(let list)?:
      names = list.compactMap(\.string)
      guard names.count == list.count, !names.isEmpty else { return fail(place, "type must name types") }
    case nil:
      // The keywords tell.
      if fields["properties"] != nil || fields["additionalProperties"] != nil || fields["required"] != nil {
        names = ["object"]
      } else if fields["items"] != nil || fields["prefixItems"] != nil {
        names = ["array"]
      } else {
        refuse(fields, besides: [], at: place, what: "a schema without type")
        return use("value")
      }
    case let other?: return fail(place, "type must be a string or a list, not \(other.kind)")
    }
    var parts: [String] = []
    var known: Set<String> = ["type"]
    for name in names {
      switch name {
      case "object":
        known.formUnion([
          "properties", "required", "additionalProperties", "propertyNames", "patternProperties",
        ])
        parts.append(object(fields, at: place, depth: depth))
      case "array":
        known.formUnion(["items", "prefixItems", "minItems", "maxItems", "uniqueItems"])
        parts.append(array(fields, at: place, depth: depth))
      case "string":
        known.formUnion(["minLength", "maxLength", "format", "pattern"])
        parts.append(string(fields, at: place))
      case "integer", "number":
        known.formUnion([
          "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "format",
        ])
        parts.append(number(fields, at: place, isInteger: name == "integer"))
      case "boolean", "null": parts.append(use(name))
      default: return fail(place, "there is no type '\(name.prefix(40))'")
      }
    }
    refuse(fields, besides: known, at: place, what: "type \(names.joined(separator: ", "))")
    return parts.count == 1 ? parts[0] : add(parts.joined(separator: " | "))
  }

  /// Notes every keyword that is neither known here nor an annotation.
  private mutating func refuse(
    _ fields: JSONObject, besides known: Set<String>, at place: String, what: String
  ) {
    for key in fields.keys.sorted() where !known.contains(key) && !Self.annotations.contains(key) {
      _ = fail(place, "'\(key.prefix(40))' is not supported with \(what)")
    }
  }

  private mutating func rule(reference: JSONValue, at place: String, depth: Int) -> String {
    guard let path = reference.string, path == "#" || path.hasPrefix("#/") else {
      return fail(place, "$ref must point into this document, such as #/$defs/name")
    }
    if let known = references[path] { return known }
    guard let target = target(of: path) else {
      return fail(place, "there is nothing at '\(path.prefix(80))'")
    }
    let name = "r\(rules.count)"
    rules.append((name, ""))
    references[path] = name
    let index = rules.count - 1
    let definition = rule(for: target, at: path, depth: depth + 1)
    // A rule that is only itself has no texts, and the host's parser would follow it for ever.
    rules[index].definition =
      definition == name ? fail(place, "'\(path.prefix(80))' refers only to itself") : definition
    return name
  }

  // MARK: Types

  mutating func count(
    _ key: String, _ fields: JSONObject, at place: String, most: Int = Self.largestRepetition
  ) -> Int? {
    guard let value = fields[key] else { return nil }
    guard let number = value.integer, (0...most).contains(number) else {
      _ = fail(place, "\(key) must be an integer from 0 to \(most)")
      return nil
    }
    return number
  }

  private mutating func array(_ fields: JSONObject, at place: String, depth: Int) -> String {
    let least = count("minItems", fields, at: place) ?? 0
    let most = count("maxItems", fields, at: place)
    if let most, least > most { return fail(place, "minItems \(least) is above maxItems \(most)") }
    if let first = fields["prefixItems"] {
      guard fields["uniqueItems"] ?? .bool(false) == .bool(false) else {
        return fail(place, "uniqueItems cannot be kept together with prefixItems")
      }
      guard let schemas = first.array, !schemas.isEmpty, fields["items"] ?? .bool(false) == .bool(false),
        most ?? schemas.count >= schemas.count
      else { return fail(place, "prefixItems must list schemas, with items false and no lower maxItems") }
      var parts: [String] = []
      for (index, schema) in schemas.enumerated() {
        parts.append(rule(for: schema, at: "\(place)/prefixItems/\(index)", depth: depth + 1))
      }
      return add("\"[\" \(use("ws")) " + parts.joined(separator: " \",\" ws ") + " ws \"]\"")
    }
    if let value = fields["uniqueItems"], value != .bool(false) {
      guard value == .bool(true) else { return fail(place, "uniqueItems must be true or false") }
      return set(of: fields["items"] ?? .bool(true), least, most, at: place, depth: depth)
    }
    if most == 0 { return "\"[]\"" }
    let item = rule(for: fields["items"] ?? .bool(true), at: "\(place)/items", depth: depth + 1)
    let more = most.map { String($0 - 1) } ?? ""
    let list = "\(item) ( \",\" ws \(item) ){\(max(0, least - 1)),\(more)} ws"
    return add("\"[\" \(use("ws")) " + (least > 0 ? list : "( \(list) )?") + " \"]\"")
  }

  private mutating func object(_ fields: JSONObject, at place: String, depth: Int) -> String {
    var required: [String] = []
    if let list = fields["required"] {
      guard let names = list.array?.compactMap(\.string), names.count == list.array?.count else {
        return fail(place, "required must list names")
      }
      for name in names where !required.contains(name) { required.append(name) }
    }
    guard let properties = fields["properties"] else {
      return map(fields, required: required, at: place, depth: depth)
    }
    guard let properties = properties.object else { return fail(place, "properties must be an object") }
    // An object with named properties has no others.
    if properties.isEmpty, fields["patternProperties"] != nil || fields["propertyNames"] != nil {
      return fail(place, "properties without a name cannot be kept together with patterns of names")
    }
    for name in required where properties[name] == nil {
      return fail(place, "required names '\(name.prefix(40))', which is not among the properties")
    }
    let optional = properties.keys.filter { !required.contains($0) }.sorted()
    var members: [(rule: String, isRequired: Bool)] = []
    for name in required + optional {
      guard let schema = properties[name] else { continue }
      let value = rule(for: schema, at: "\(place)/properties/\(name.prefix(40))", depth: depth + 1)
      let key = Self.literal(JSONValue.string(name).text + ":")
      members.append((add("\(key) \(use("ws")) \(value)"), required.contains(name)))
    }
    // Behind the first member each one starts with a comma. Required ones come first, so once one is written, the
    // comma is always there; before that, any optional one may be the first.
    var rest = "\"\""
    var first = "\"\""
    for (index, member) in members.enumerated().reversed() {
      let following = rest
      if index > 0 {
        let more = "\",\" \(use("ws")) \(member.rule) \(following)"
        rest = add(member.isRequired ? more : "( \(more) ) | \(following)")
      }
      if member.isRequired {
        first = "\(member.rule) \(following)"
      } else if required.isEmpty {
        first = add("\(member.rule) \(following) | \(first)")
      }
    }
    return add("\"{\" \(use("ws")) \(first) ws \"}\"")
  }

  /// An object without named properties.
  private mutating func map(
    _ fields: JSONObject, required: [String], at place: String, depth: Int
  ) -> String {
    guard required.isEmpty else { return fail(place, "required without properties is not supported") }
    if let patterns = fields["patternProperties"] {
      guard let patterns = patterns.object, patterns.count == 1,
        let (pattern, schema) = patterns.elements.first,
        [nil, .bool(false), .bool(true)].contains(fields["additionalProperties"]),
        fields["propertyNames"] == nil
      else { return fail(place, "patternProperties must be one pattern, and nothing else about other names") }
      let key = string(["pattern": .string(pattern)], at: "\(place)/patternProperties")
      let value = rule(for: schema, at: "\(place)/patternProperties/\(pattern.prefix(40))", depth: depth + 1)
      return map(key: key, value: value)
    }
    if let names = fields["propertyNames"] {
      guard let keys = names.object else { return fail(place, "propertyNames must be a schema") }
      var named = keys
      named["type"] = .string("string")
      let key = rule(for: .object(named), at: "\(place)/propertyNames", depth: depth + 1)
      let schema = fields["additionalProperties"] ?? .bool(true)
      if schema == .bool(false) { return "\"{}\"" }
      return map(key: key, value: rule(for: schema, at: "\(place)/additionalProperties", depth: depth + 1))
    }
    switch fields["additionalProperties"] {
    case nil, .bool(true)?: return use("object")
    case .bool(false)?: return "\"{}\""
    case let schema?:
      let value = rule(for: schema, at: "\(place)/additionalProperties", depth: depth + 1)
      return map(key: use("string"), value: value)
    }
  }

  private mutating func map(key: String, value: String) -> String {
    let member = add("\(key) \":\" \(use("ws")) \(value)")
    return add("\"{\" ws ( \(member) ( \",\" ws \(member) )* ws )? \"}\"")
  }
}
