// From a state to the next one.

extension GrammarStates {
  /// The state behind `character`.
  mutating func step(_ state: State, _ character: UInt32) throws(GrammarError) -> State {
    if let known = memo.find(state, character) { return known }
    begin()
    var low: UInt32 = 0x80
    var high = CharacterClass.last
    let label = GrammarLabel.character(character)
    for place in states.range(Int(state)) where states.values[place] != Self.accept {
      let item = states.values[place]
      let node = Int(item >> 32)
      let continuation = UInt32(truncatingIfNeeded: item)
      let edges = Int(network.starts[node])..<Int(network.controlStarts[node])
      var index = network.firstEdge(edges, from: label)
      if index > edges.lowerBound { low = max(low, network.edges[index - 1].label.rawValue &+ 1) }
      while index < edges.upperBound, network.edges[index].label == label {
        push(network.edges[index].to, continuation)
        (low, high) = (character, character)
        try spend(1)
        index += 1
      }
      if index < edges.upperBound, network.edges[index].label < .firstClass {
        high = min(high, network.edges[index].label.rawValue - 1)
        index = network.firstEdge(index..<edges.upperBound, from: .firstClass)
      }
      try spend(2)
      while index < edges.upperBound, network.edges[index].label < .firstToken {
        let parts = network.classes[network.edges[index].label.index]
        if character < 0x80 {
          if parts.contains(ascii: character) { push(network.edges[index].to, continuation) }
        } else {
          let found = parts.search(character)
          low = max(low, found.low)
          high = min(high, found.high)
          if found.isInside { push(network.edges[index].to, continuation) }
        }
        try spend(1)
        index += 1
      }
    }
    let next = try close()
    memo.add(state, character, low: min(low, character), high: max(high, character), next)
    return next
  }

  /// Whether the state goes on with some character from `low` to `high`.
  mutating func accepts(_ state: State, from low: UInt32, to high: UInt32) throws(GrammarError) -> Bool {
    if let known = memo.find(state, from: low, to: high) { return known != Self.dead }
    for place in states.range(Int(state)) where states.values[place] != Self.accept {
      let node = Int(states.values[place] >> 32)
      let edges = Int(network.starts[node])..<Int(network.controlStarts[node])
      var index = network.firstEdge(edges, from: .character(low))
      try spend(2)
      if index < edges.upperBound, network.edges[index].label <= .character(high) { return true }
      index = network.firstEdge(index..<edges.upperBound, from: .firstClass)
      while index < edges.upperBound, network.edges[index].label < .firstToken {
        if network.classes[network.edges[index].label.index].overlaps(low, high) { return true }
        try spend(1)
        index += 1
      }
    }
    return false
  }

  // MARK: Tokens that the grammar names

  /// Numbers of the tokens in ``GrammarNetwork/tokens`` that may come next.
  mutating func tokens(_ state: State) throws(GrammarError) -> Set<Int> {
    var found: Set<Int> = []
    guard !network.tokens.isEmpty else { return found }
    try forEachToken(state) { _, index, _ in found.insert(index) }
    return found
  }

  /// The state behind any of the tokens of the network with these numbers.
  mutating func step(_ state: State, tokens: Set<Int>) throws(GrammarError) -> State {
    guard !tokens.isEmpty else { return Self.dead }
    begin()
    try forEachToken(state) { states, index, item in
      if tokens.contains(index) { states.push(UInt32(item >> 32), UInt32(truncatingIfNeeded: item)) }
    }
    return try close()
  }

  private mutating func forEachToken(
    _ state: State, _ body: (inout GrammarStates, Int, UInt64) -> Void
  ) throws(GrammarError) {
    for place in states.range(Int(state)) where states.values[place] != Self.accept {
      let item = states.values[place]
      let node = Int(item >> 32)
      let edges = Int(network.starts[node])..<Int(network.controlStarts[node])
      for edge in network.edges[network.firstEdge(edges, from: .firstToken)..<edges.upperBound] {
        try spend(1)
        body(&self, edge.label.index, Self.item(edge.to, UInt32(truncatingIfNeeded: item)))
      }
    }
  }

  /// The state of a text that may be in either.
  mutating func union(_ left: State, _ right: State) -> State {
    guard left != Self.dead else { return right }
    guard right != Self.dead, left != right else { return left }
    return intern(Self.sortedSet(Array(states[Int(left)]) + states[Int(right)]))
  }
}

extension GrammarNetwork {
  /// The first edge among `edges` whose label is not below `label`.
  func firstEdge(_ edges: Range<Int>, from label: GrammarLabel) -> Int {
    var low = edges.lowerBound
    var high = edges.upperBound
    while low < high {
      let middle = (low + high) / 2
      if self.edges[middle].label < label { low = middle + 1 } else { high = middle }
    }
    return low
  }
}
