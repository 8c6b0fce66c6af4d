// Steps between states that are known.

/// Remembers where characters lead: a table of a state's 128 ASCII characters, and for others the range around the last
/// character of which the same is true, besides every single one.
struct TransitionMemo {
  private struct Interval {
    var low: UInt32 = 1
    var high: UInt32 = 0
    var next: Int32 = 0
  }

  private static let unknown: Int32 = -2
  /// The table of a state, -1 while it has none.
  private var tableOfState: [Int32] = []
  private var tables: [Int32] = []
  private var intervals: [Interval] = []
  private var others: [UInt64: Int32] = [:]

  var memory: Int { tableOfState.count * 16 + tables.count * 4 + others.count * 32 }

  mutating func reserve(_ count: Int) {
    while tableOfState.count < count {
      tableOfState.append(-1)
      intervals.append(Interval())
    }
  }

  func find(_ state: Int32, _ character: UInt32) -> Int32? {
    if character < 128 {
      let table = tableOfState[Int(state)]
      guard table >= 0 else { return nil }
      let next = tables[Int(table) * 128 + Int(character)]
      return next == Self.unknown ? nil : next
    }
    if let next = find(state, from: character, to: character) { return next }
    return others[UInt64(UInt32(bitPattern: state)) << 32 | UInt64(character)]
  }

  /// Where every character from `low` to `high` leads, if that is known to be the same.
  func find(_ state: Int32, from low: UInt32, to high: UInt32) -> Int32? {
    let interval = intervals[Int(state)]
    return interval.low <= low && high <= interval.high ? interval.next : nil
  }

  mutating func add(_ state: Int32, _ character: UInt32, low: UInt32, high: UInt32, _ next: Int32) {
    guard character < 128 else {
      intervals[Int(state)] = Interval(low: low, high: high, next: next)
      if low == high { others[UInt64(UInt32(bitPattern: state)) << 32 | UInt64(character)] = next }
      return
    }
    if tableOfState[Int(state)] < 0 {
      tableOfState[Int(state)] = Int32(tables.count / 128)
      tables += repeatElement(Self.unknown, count: 128)
    }
    tables[Int(tableOfState[Int(state)]) * 128 + Int(character)] = next
  }
}
