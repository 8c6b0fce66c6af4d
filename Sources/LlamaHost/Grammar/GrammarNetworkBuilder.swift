// From trees to a network of nodes: a recursive transition network.

/// Writes rules out as nodes and edges. A rule is what leads from its first node to its last one; an edge that names a
/// rule stands for all that this rule leads through (Woods, "Transition network grammars", CACM 1970).
struct GrammarNetworkBuilder {
  struct Edge {
    var from: UInt32
    var label: GrammarLabel
    var to: UInt32
  }

  private(set) var edges: [Edge] = []
  private(set) var nodeCount: UInt32 = 0
  /// First and last node of each rule. No edge leaves a last node.
  private(set) var starts: [UInt32] = []
  private(set) var ends: [UInt32] = []
  /// Names of rules; one made for a group has the name of the rule in which the group stands.
  private(set) var names: [String] = []
  private var groups: [(rule: Int, body: GrammarExpression)] = []

  /// - Throws: ``GrammarError/tooLarge(rule:what:count:limit:)``, before anything is written out.
  init(_ parser: GrammarParser) throws(GrammarError) {
    var total = 0
    for rule in parser.rules {
      let size = rule.expression?.size ?? 0
      let (sum, overflows) = total.addingReportingOverflow(size)
      guard size <= GrammarLimits.elements else { throw Self.tooLarge(rule.name, size) }
      guard !overflows, sum <= GrammarLimits.elements else {
        throw Self.tooLarge(nil, overflows ? .max : sum)
      }
      total = sum
      _ = addRule(rule.name)
    }
    for (index, rule) in parser.rules.enumerated() {
      guard let expression = rule.expression else { continue }
      try add(expression, rule: index)
      while let group = groups.popLast() { try add(group.body, rule: group.rule) }
    }
  }

  private static func tooLarge(_ rule: String?, _ count: Int) -> GrammarError {
    .tooLarge(
      rule: rule, what: "elements with all repetitions", count: count, limit: GrammarLimits.elements)
  }

  private mutating func addRule(_ name: String) -> Int {
    names.append(name)
    starts.append(addNode())
    ends.append(addNode())
    return names.count - 1
  }

  private mutating func addNode() -> UInt32 {
    nodeCount += 1
    return nodeCount - 1
  }

  private mutating func add(_ expression: GrammarExpression, rule: Int) throws(GrammarError) {
    try add(expression, from: starts[rule], to: ends[rule], rule: rule)
  }

  private mutating func connect(_ from: UInt32, _ label: GrammarLabel, _ to: UInt32) {
    if label != .empty || from != to { edges.append(Edge(from: from, label: label, to: to)) }
  }

  private mutating func add(
    _ expression: GrammarExpression, from: UInt32, to: UInt32, rule: Int
  ) throws(GrammarError) {
    switch expression {
    case .elements(let labels):
      if labels.isEmpty { connect(from, .empty, to) }
      var node = from
      for (index, label) in labels.enumerated() {
        let next = index == labels.count - 1 ? to : addNode()
        connect(node, label, next)
        node = next
      }
    case .sequence(let parts): try add(parts[...], from: from, to: to, rule: rule)
    case .alternatives(let parts): try addAlternatives(parts, from: from, to: to, rule: rule)
    case .repetition(let body, let least, let most):
      try addRepetition(body, least, most, from: from, to: to, rule: rule)
    }
  }

  private mutating func add(
    _ parts: ArraySlice<GrammarExpression>, from: UInt32, to: UInt32, rule: Int
  ) throws(GrammarError) {
    if parts.isEmpty { connect(from, .empty, to) }
    var node = from
    for (index, part) in zip(parts.indices, parts) {
      let next = index == parts.endIndex - 1 ? to : addNode()
      try add(part, from: node, to: next, rule: rule)
      node = next
    }
  }

  /// Alternatives share the nodes of what they begin with: thousands of words become a tree.
  private mutating func addAlternatives(
    _ parts: [GrammarExpression], from: UInt32, to: UInt32, rule: Int
  ) throws(GrammarError) {
    struct Step: Hashable {
      var node: UInt32
      var label: GrammarLabel
    }
    var shared: [Step: UInt32] = [:]
    var ended: Set<Step> = []
    for part in parts {
      var beginning: [GrammarLabel] = []
      var rest: ArraySlice<GrammarExpression> = []
      var isWhole = false
      switch part {
      case .elements(let labels):
        beginning = labels
        isWhole = !labels.isEmpty
      case .sequence(let parts):
        rest = parts[...]
        if case .elements(let labels)? = parts.first {
          beginning = labels
          rest = parts.dropFirst()
        }
      default: rest = [part]
      }
      var node = from
      for label in isWhole ? beginning.dropLast() : beginning[...] {
        let step = Step(node: node, label: label)
        if let known = shared[step] {
          node = known
        } else {
          let next = addNode()
          connect(node, label, next)
          shared[step] = next
          node = next
        }
      }
      if isWhole, let label = beginning.last {
        if ended.insert(Step(node: node, label: label)).inserted { connect(node, label, to) }
      } else {
        try add(rest, from: node, to: to, rule: rule)
      }
    }
  }

  private mutating func addRepetition(
    _ body: GrammarExpression, _ least: Int, _ most: Int?, from: UInt32, to: UInt32, rule: Int
  ) throws(GrammarError) {
    let copies = GrammarExpression.copies(least: least, most: most)
    guard copies > 0 else { return connect(from, .empty, to) }
    var body = body
    if copies > 1, body.size > GrammarExpression.largestCopiedBody {
      guard names.count < GrammarLimits.rules else {
        throw .tooLarge(
          rule: names[rule], what: "rules", count: names.count + 1, limit: GrammarLimits.rules)
      }
      let group = addRule(names[rule])
      groups.append((group, body))
      body = .elements([.rule(group)])
    }
    var node = from
    guard let most else {
      for _ in 1..<max(1, least) {
        let next = addNode()
        try add(body, from: node, to: next, rule: rule)
        node = next
      }
      let begin = addNode()
      let end = least == 0 ? begin : addNode()
      connect(node, .empty, begin)
      try add(body, from: begin, to: end, rule: rule)
      connect(end, .empty, begin)
      return connect(end, .empty, to)
    }
    for index in 0..<most {
      if index >= least { connect(node, .empty, to) }
      let next = index == most - 1 ? to : addNode()
      try add(body, from: node, to: next, rule: rule)
      node = next
    }
  }
}
