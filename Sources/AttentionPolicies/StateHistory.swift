// States that evicting policies can go back to: a decision to evict is not undone by dropping a row.

import RetrievalAttention

/// What an evicting policy has decided, for some first rows of a context.
protocol EvictionState {
  /// Rows that the state knows of.
  var rowCount: Int { get }
  /// Makes this the same as another state, in its own memory.
  mutating func copy(_ other: Self)
}

/// The current state, the one before the last batch or token, and those at the ends of prompts.
struct StateHistory<State: EvictionState> {
  private(set) var current: State
  private var previous: State
  private var marks: [State] = []
  private let empty: State

  init(_ empty: State) {
    self.empty = empty
    current = empty
    previous = empty
  }

  /// Changes the current state after keeping it as the previous one.
  mutating func advance<Result>(_ change: (inout State) -> Result) -> Result {
    previous.copy(current)
    return change(&current)
  }

  /// Keeps the current state, at the end of a prompt, to go back to. It is no longer changed by ``advance(_:)``.
  mutating func mark() {
    if let last = marks.last, last.rowCount >= current.rowCount { marks.removeLast() }
    marks.append(current)
  }

  /// The positions at which all is known, other than the present one.
  private var known: [Int] { marks.map(\.rowCount) + [previous.rowCount] }

  /// Throws ``AttentionError/cannotRestore(to:known:)`` when a state of `count` rows is not known. Before the end of
  /// the first prompt nothing has been evicted, and everywhere is possible.
  func check(_ count: Int) throws(AttentionError) {
    guard count < current.rowCount, let first = marks.first, count >= first.rowCount else { return }
    guard known.contains(count) else {
      throw .cannotRestore(to: count, known: known.filter { $0 <= current.rowCount })
    }
  }

  /// Goes back to the state of `count` rows, or to none.
  mutating func restore(_ count: Int) {
    guard count < current.rowCount else { return }
    marks.removeAll { $0.rowCount > count }
    if previous.rowCount == count {
      current.copy(previous)
    } else if let mark = marks.last, mark.rowCount == count {
      current.copy(mark)
    } else {
      current.copy(empty)
    }
    previous.copy(current)
  }
}
