// Lists without repetitions: a grammar can keep them where there are few values to choose from.

extension JSONGrammarBuilder {
  /// Most values of a set; each set of those that are left is a rule.
  private static let mostValues = 8

  /// A list of different values, each at most once.
  mutating func set(
    of item: JSONValue, _ least: Int, _ most: Int?, at place: String, depth: Int
  ) -> String {
    // One item is different from all others.
    if let most, most <= 1 {
      let rule = rule(for: item, at: "\(place)/items", depth: depth + 1)
      return most == 0 ? "\"[]\"" : add("\"[\" \(use("ws")) ( \(rule) ws ){\(least),1} \"]\"")
    }
    guard let values = values(of: item, depth: 0), values.count <= Self.mostValues else {
      return fail(
        place,
        "uniqueItems can only be kept for items that are one of at most \(Self.mostValues) values (enum)")
    }
    guard values.count >= least else {
      return fail(place, "minItems \(least) is more than the \(values.count) values that there are")
    }
    let most = min(most ?? values.count, values.count)
    var rules: [UInt: String] = [:]
    /// What may follow an item when the values of `left` have not been written yet.
    func rest(_ left: UInt) -> String {
      if let rule = rules[left] { return rule }
      let written = values.count - left.nonzeroBitCount
      var parts: [String] = written >= least ? ["\"\""] : []
      if written < most {
        for index in values.indices where left & 1 << UInt(index) != 0 {
          let following = rest(left & ~(1 << UInt(index)))
          parts.append("\(written > 0 ? "\",\" ws " : "")\(Self.literal(values[index])) \(following)")
        }
      }
      let rule = add(parts.joined(separator: " | "))
      rules[left] = rule
      return rule
    }
    return add("\"[\" \(use("ws")) \(rest((1 << UInt(values.count)) - 1)) ws \"]\"")
  }

  /// The JSON texts that a schema allows, where it lists them.
  private func values(of schema: JSONValue, depth: Int) -> [String]? {
    guard let fields = schema.object, depth < 8 else { return nil }
    if let path = fields["$ref"]?.string {
      return target(of: path).flatMap { values(of: $0, depth: depth + 1) }
    }
    var texts: [String]
    if let constant = fields["const"] {
      texts = [constant.text]
    } else if let choices = fields["enum"]?.array {
      texts = choices.map(\.text)
    } else if fields["type"] == .string("boolean") {
      texts = ["false", "true"]
    } else {
      return nil
    }
    var seen: Set<String> = []
    texts = texts.filter { seen.insert($0).inserted }
    return texts
  }

  /// What a reference within the document points to.
  func target(of path: String) -> JSONValue? {
    var target = document
    for part in path.split(separator: "/").dropFirst() {
      let key = String(part).replacing("~1", with: "/").replacing("~0", with: "~")
      if let next = target.object?[key] {
        target = next
      } else if let index = Int(key), let list = target.array, list.indices.contains(index) {
        target = list[index]
      } else {
        return nil
      }
    }
    return target
  }
}
