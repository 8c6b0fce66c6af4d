// A grammar as it is followed.

/// Nodes and edges of all rules, without ways that never end. Immutable; 16 bytes for each element of the grammar.
struct GrammarNetwork: Sendable {
  struct Edge: Sendable {
    var label: GrammarLabel
    var to: UInt32
  }

  /// Edges of a node, sorted by label: characters, classes, tokens, then what needs no text.
  private(set) var edges: [Edge] = []
  /// Where the edges of a node begin; one more than nodes.
  private(set) var starts: [UInt32] = [0]
  /// Where those of its edges begin that need no text.
  private(set) var controlStarts: [UInt32] = []
  private(set) var isEnd: [Bool]
  /// First nodes of rules.
  let ruleStarts: [UInt32]
  let isNullable: [Bool]
  let ranks: [UInt32]
  let rulesByRank: [UInt32]
  let classes: [CharacterClass]
  let tokens: [GrammarToken]
  let root: Int

  var nodeCount: Int { isEnd.count }

  /// - Throws: ``GrammarError`` for anything that could not be followed.
  init(_ text: String) throws(GrammarError) {
    let parser = try GrammarParser(text)
    let builder = try GrammarNetworkBuilder(parser)
    let analysis = try GrammarAnalysis(builder)
    root = parser.root
    guard analysis.isRuleProductive[root] else { throw .endless }
    ruleStarts = builder.starts
    isNullable = analysis.isNullable
    ranks = analysis.ranks
    var byRank = [UInt32](repeating: 0, count: ranks.count)
    for (rule, rank) in ranks.enumerated() { byRank[Int(rank)] = UInt32(rule) }
    rulesByRank = byRank
    classes = parser.classes
    tokens = parser.tokens
    isEnd = Array(repeating: false, count: Int(builder.nodeCount))
    for node in builder.ends { isEnd[Int(node)] = true }
    addEdges(builder, analysis)
  }

  private mutating func addEdges(_ builder: GrammarNetworkBuilder, _ analysis: GrammarAnalysis) {
    let outgoing = EdgeIndex(builder, by: \.from)
    // Nodes that only lead on to another one are passed over.
    func destination(_ node: UInt32) -> UInt32 {
      var node = node
      for _ in 0..<8 {
        let edges = outgoing[node]
        guard edges.count == 1, let edge = edges.first, edge.label == .empty else { break }
        node = edge.to
      }
      return node
    }
    edges.reserveCapacity(builder.edges.count)
    starts.reserveCapacity(nodeCount + 1)
    controlStarts.reserveCapacity(nodeCount)
    for node in 0..<builder.nodeCount {
      let usable = outgoing[node].filter {
        analysis.isProductive[Int($0.to)]
          && (!$0.label.isRule || analysis.isRuleProductive[$0.label.index])
      }
      let sorted = usable.map { Edge(label: $0.label, to: destination($0.to)) }
        .sorted { ($0.label, $0.to) < ($1.label, $1.to) }
      let control = sorted.firstIndex { $0.label >= .firstControl } ?? sorted.count
      controlStarts.append(UInt32(edges.count + control))
      edges += sorted
      starts.append(UInt32(edges.count))
    }
  }
}
