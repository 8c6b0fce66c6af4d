// The states that a text can be in.

/// States of a grammar, found as they are needed, each kept once.
///
/// An item is a node and a continuation: where to go on in a rule, and where once the rule has ended. A continuation is
/// a set of items. What calls a rule at the same place shares one continuation, so that the ways to read a text form a
/// graph and not a list of stacks, of which there can be exponentially many (Tomita, "Efficient Parsing for Natural
/// Language", 1986). A state is a set of items; equal ones are the same number, so what a state allows is computed
/// once.
struct GrammarStates {
  typealias State = Int32

  /// No text of the grammar goes on like this.
  static let dead: State = -1
  /// Stands in a continuation for the end of the text.
  static let accept = UInt64.max

  let network: GrammarNetwork
  private(set) var start: State = dead
  /// Steps left for what is being computed.
  var steps = GrammarLimits.steps

  private(set) var continuations = InternedLists()
  private(set) var states = InternedLists()
  var memo = TransitionMemo()

  // Scratch of a closure.
  private var work: [UInt64] = []
  private var result: [UInt64] = []
  private var accepts = false
  private var epoch: UInt32 = 0
  /// The last epoch in which a node was reached, and with which continuation; more of them are in `others`.
  private var reached: [UInt64]
  private var others: Set<UInt64> = []
  private var popped: [UInt32] = []
  private var callers: [[UInt64]]
  private var calledRanks = MinimumHeap()

  init(_ network: GrammarNetwork) throws(GrammarError) {
    self.network = network
    reached = Array(repeating: 0, count: network.nodeCount)
    callers = Array(repeating: [], count: network.ruleStarts.count)
    begin()
    push(network.ruleStarts[network.root], UInt32(continuations.intern([Self.accept])))
    start = try close()
  }

  var memory: Int { continuations.memory + states.memory + memo.memory + popped.count * 4 }

  /// Whether the text may end here.
  func isComplete(_ state: State) -> Bool { states[Int(state)].last == Self.accept }

  mutating func spend(_ count: Int) throws(GrammarError) {
    steps -= count
    guard steps >= 0 else { throw .tooAmbiguous(limit: GrammarLimits.steps) }
  }

  // MARK: Closures

  mutating func begin() {
    // What a closure that was given up has left.
    while let rank = calledRanks.popMinimum() { callers[Int(network.rulesByRank[Int(rank)])] = [] }
    work.removeAll(keepingCapacity: true)
    result.removeAll(keepingCapacity: true)
    if !others.isEmpty { others.removeAll(keepingCapacity: others.count < 10_000) }
    accepts = false
    epoch &+= 1
    if epoch == 0 {
      reached = Array(repeating: 0, count: reached.count)
      popped = Array(repeating: 0, count: popped.count)
      epoch = 1
    }
  }

  mutating func push(_ node: UInt32, _ continuation: UInt32) {
    let mark = reached[Int(node)]
    if mark >> 32 == epoch {
      guard UInt32(truncatingIfNeeded: mark) != continuation,
        others.insert(Self.item(node, continuation)).inserted
      else { return }
    } else {
      reached[Int(node)] = Self.item(epoch, continuation)
    }
    work.append(Self.item(node, continuation))
  }

  static func item(_ node: UInt32, _ continuation: UInt32) -> UInt64 {
    UInt64(node) << 32 | UInt64(continuation)
  }

  /// The state of all items that were pushed and of what follows from them without a character.
  mutating func close() throws(GrammarError) -> State {
    try follow(isNew: false)
    // A rule comes after all that can begin with it, so all of its callers are known then.
    while let rank = calledRanks.popMinimum() {
      let rule = Int(network.rulesByRank[Int(rank)])
      var frames: [UInt64] = []
      let called = callers[rule]
      callers[rule] = []
      for frame in called {
        let node = Int(frame >> 32)
        // Where nothing follows, the caller's own continuation is meant: right recursion does not grow.
        if network.isEnd[node] {
          let range = continuations.range(Int(UInt32(truncatingIfNeeded: frame)))
          try spend(range.count)
          frames += continuations.values[range]
        } else {
          frames.append(frame)
        }
      }
      push(network.ruleStarts[rule], UInt32(continuations.intern(Self.sortedSet(frames))))
      try follow(isNew: true)
    }
    if accepts { result.append(Self.accept) }
    guard !result.isEmpty else { return Self.dead }
    return intern(Self.sortedSet(result))
  }

  mutating func intern(_ items: [UInt64]) -> State {
    let state = states.intern(items)
    memo.reserve(states.count)
    return State(state)
  }

  static func sortedSet(_ items: [UInt64]) -> [UInt64] {
    guard items.count > 1 else { return items }
    var sorted = items.sorted()
    var count = 1
    for index in 1..<sorted.count where sorted[index] != sorted[count - 1] {
      sorted[count] = sorted[index]
      count += 1
    }
    sorted.removeSubrange(count...)
    return sorted
  }

  /// - Parameter isNew: Whether the items belong to a rule that was entered here. When such a rule ends here it is
  ///   empty, and its callers have gone on already.
  private mutating func follow(isNew: Bool) throws(GrammarError) {
    while let item = work.popLast() {
      let node = Int(item >> 32)
      let continuation = UInt32(truncatingIfNeeded: item)
      if network.isEnd[node] {
        if !isNew { try end(continuation) }
        continue
      }
      let control = Int(network.controlStarts[node])
      let next = Int(network.starts[node + 1])
      try spend(1 + next - control)
      if control > Int(network.starts[node]) { result.append(item) }
      for edge in network.edges[control..<next] {
        guard edge.label != .empty else {
          push(edge.to, continuation)
          continue
        }
        let rule = edge.label.index
        if callers[rule].isEmpty { calledRanks.insert(network.ranks[rule]) }
        callers[rule].append(Self.item(edge.to, continuation))
        if network.isNullable[rule] { push(edge.to, continuation) }
      }
    }
  }

  private mutating func end(_ continuation: UInt32) throws(GrammarError) {
    let index = Int(continuation)
    if popped.count <= index {
      popped += Array(repeating: 0, count: max(continuations.count, index + 1) - popped.count)
    }
    guard popped[index] != epoch else { return }
    popped[index] = epoch
    let range = continuations.range(index)
    try spend(range.count)
    for place in range {
      let frame = continuations.values[place]
      if frame == Self.accept {
        accepts = true
      } else {
        push(UInt32(frame >> 32), UInt32(truncatingIfNeeded: frame))
      }
    }
  }

  // MARK: Room

  /// Forgets every state but one, and returns its new number.
  mutating func keepOnly(_ state: State) -> State {
    let old = continuations
    // A continuation has only continuations before it inside.
    var isNeeded = [Bool](repeating: false, count: old.count)
    func mark(_ items: ArraySlice<UInt64>) {
      for item in items where item != Self.accept { isNeeded[Int(UInt32(truncatingIfNeeded: item))] = true }
    }
    mark(states[Int(state)])
    for index in (0..<old.count).reversed() where isNeeded[index] { mark(old[index]) }
    continuations = InternedLists()
    var numbers = [UInt32](repeating: 0, count: old.count)
    func renumbered(_ items: ArraySlice<UInt64>) -> [UInt64] {
      items.map {
        $0 == Self.accept
          ? $0 : Self.item(UInt32($0 >> 32), numbers[Int(UInt32(truncatingIfNeeded: $0))])
      }.sorted()
    }
    for index in 0..<old.count where isNeeded[index] {
      numbers[index] = UInt32(continuations.intern(renumbered(old[index])))
    }
    let kept = renumbered(states[Int(state)])
    states = InternedLists()
    memo = TransitionMemo()
    popped = []
    return intern(kept)
  }
}
