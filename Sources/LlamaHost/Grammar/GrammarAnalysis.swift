// What can be known about a grammar before any text: what may be empty, what calls itself, what ends.

/// Facts about the rules of a network.
struct GrammarAnalysis {
  /// Rules that an empty text satisfies.
  private(set) var isNullable: [Bool]
  /// A number for each rule, lower for one that can begin with another one than for the other.
  private(set) var ranks: [UInt32]
  /// Nodes from which the end of their rule can be reached, and rules of which that is true from the beginning.
  private(set) var isProductive: [Bool]
  private(set) var isRuleProductive: [Bool]

  private let builder: GrammarNetworkBuilder
  /// Edges out of a node: `edges[order[outStarts[node]..<outStarts[node + 1]]]`.
  private let outgoing: EdgeIndex
  private let incoming: EdgeIndex

  /// - Throws: ``GrammarError/leftRecursion(rule:)``.
  init(_ builder: GrammarNetworkBuilder) throws(GrammarError) {
    self.builder = builder
    outgoing = EdgeIndex(builder, by: \.from)
    incoming = EdgeIndex(builder, by: \.to)
    isNullable = Array(repeating: false, count: builder.names.count)
    ranks = Array(repeating: 0, count: builder.names.count)
    isProductive = Array(repeating: false, count: Int(builder.nodeCount))
    isRuleProductive = Array(repeating: false, count: builder.names.count)
    let calls = findNullable()
    try rank(calls)
    findProductive()
  }

  /// Follows what needs no character, from the first node of every rule.
  ///
  /// - Returns: For each rule the ones that it can begin with.
  private mutating func findNullable() -> [[Int]] {
    var calls = [[Int]](repeating: [], count: isNullable.count)
    /// Where each rule that is not nullable so far was called: the node behind and the rule in which that is.
    var waiting = [[(node: UInt32, rule: Int)]](repeating: [], count: isNullable.count)
    var isReached = [Bool](repeating: false, count: isProductive.count)
    for rule in isNullable.indices {
      var open: [(node: UInt32, rule: Int)] = [(builder.starts[rule], rule)]
      while let (node, owner) = open.popLast() {
        guard !isReached[Int(node)] else { continue }
        isReached[Int(node)] = true
        if node == builder.ends[owner] {
          isNullable[owner] = true
          open += waiting[owner]
          waiting[owner] = []
        }
        for edge in outgoing[node] where edge.label >= .firstControl {
          if edge.label == .empty {
            open.append((edge.to, owner))
            continue
          }
          let called = edge.label.index
          calls[owner].append(called)
          if isNullable[called] {
            open.append((edge.to, owner))
          } else {
            waiting[called].append((edge.to, owner))
          }
        }
      }
    }
    return calls
  }

  /// Orders the rules so that each comes before those it can begin with.
  private mutating func rank(_ calls: [[Int]]) throws(GrammarError) {
    enum Color { case new, open, done }
    var colors = [Color](repeating: .new, count: calls.count)
    var next = UInt32(calls.count)
    for root in calls.indices where colors[root] == .new {
      colors[root] = .open
      var path: [(rule: Int, call: Int)] = [(root, 0)]
      while let (rule, call) = path.last {
        guard call < calls[rule].count else {
          colors[rule] = .done
          next -= 1
          ranks[rule] = next
          path.removeLast()
          continue
        }
        path[path.count - 1].call += 1
        let called = calls[rule][call]
        switch colors[called] {
        case .new:
          colors[called] = .open
          path.append((called, 0))
        case .open: throw .leftRecursion(rule: builder.names[called])
        case .done: continue
        }
      }
    }
  }

  /// Goes backwards from the ends.
  private mutating func findProductive() {
    var startOf: [UInt32: Int] = [:]
    for (rule, node) in builder.starts.enumerated() { startOf[node] = rule }
    var waiting = [[UInt32]](repeating: [], count: isRuleProductive.count)
    var open = builder.ends
    while let node = open.popLast() {
      guard !isProductive[Int(node)] else { continue }
      isProductive[Int(node)] = true
      if let rule = startOf[node] {
        isRuleProductive[rule] = true
        open += waiting[rule]
        waiting[rule] = []
      }
      for edge in incoming[node] {
        if edge.label.isRule, !isRuleProductive[edge.label.index] {
          waiting[edge.label.index].append(edge.from)
        } else {
          open.append(edge.from)
        }
      }
    }
  }
}

/// The edges of a builder, gathered by one of their ends.
struct EdgeIndex {
  private var starts: [UInt32]
  private var sorted: [GrammarNetworkBuilder.Edge]

  init(_ builder: GrammarNetworkBuilder, by end: (GrammarNetworkBuilder.Edge) -> UInt32) {
    starts = Array(repeating: 0, count: Int(builder.nodeCount) + 1)
    for edge in builder.edges { starts[Int(end(edge)) + 1] += 1 }
    for node in 1..<starts.count { starts[node] += starts[node - 1] }
    var places = starts
    sorted = builder.edges
    for edge in builder.edges {
      let node = Int(end(edge))
      sorted[Int(places[node])] = edge
      places[node] += 1
    }
  }

  subscript(node: UInt32) -> ArraySlice<GrammarNetworkBuilder.Edge> {
    sorted[Int(starts[Int(node)])..<Int(starts[Int(node) + 1])]
  }
}
