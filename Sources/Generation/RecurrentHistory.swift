// How a context of a hybrid model goes back: states of recurrent layers cannot be cut, so copies are kept on the way.

import LlamaHost

/// The present states of a context's recurrent layers, and copies of them after fewer tokens.
///
/// A context can go back to a copy only, so whoever edits a text reads again from the last copy before the edit. Copies
/// are made where texts part: where a prompt begins and where it ends, and now and then while one is read or an answer
/// generated. Beyond ``budget`` those go that leave the smallest gap for their distance from the end, so that what is
/// left lies denser towards the end.
struct RecurrentHistory {
  /// The states after the last token.
  let state: RecurrentState
  /// Copies, by ascending position, of which none has two.
  private(set) var checkpoints: [RecurrentSnapshot] = []
  /// Bytes that copies may take.
  var budget = RecurrentHistory.standardBudget {
    didSet { thinToBudget() }
  }

  static let standardBudget = 1 << 30
  /// Copies that there can be, those of small states among them.
  static let largestCount = 512
  /// Tokens between copies while a prompt is read, and while an answer is generated.
  private static let readingInterval = 1024
  private static let generatingInterval = 256
  /// Fewer tokens than these are read again faster than a copy of a large model's states is made.
  private static let leastInterval = 8

  /// Before the first token.
  init() { state = RecurrentState() }

  /// Goes on from the last of some copies.
  init(checkpoints: [RecurrentSnapshot]) {
    self.checkpoints = checkpoints
    state = RecurrentState(checkpoints.last ?? .start)
  }

  /// The same for a context that goes its own way; shares the copies.
  func fork() throws -> RecurrentHistory {
    var fork = RecurrentHistory(checkpoints: checkpoints)
    fork.state.restore(try state.snapshot())
    fork.budget = budget
    return fork
  }

  /// Bytes of copies.
  var byteCount: Int { checkpoints.reduce(0) { $0 + $1.bytes.count } }

  /// The nearest place to go back to, at most `count`; 0 is always one.
  func place(atMost count: Int) -> Int {
    if state.position <= count { return state.position }
    return checkpoints.last { $0.position <= count }?.position ?? 0
  }

  /// Goes back to a place that ``place(atMost:)`` has told.
  mutating func goBack(to position: Int) {
    guard position != state.position else { return }
    checkpoints.removeAll { $0.position > position }
    state.restore(checkpoints.last { $0.position == position } ?? .start)
  }

  /// A prompt begins here, or its last batch.
  mutating func markBeginning() { keep(minimum: Self.leastInterval) }

  /// A prompt ends here: whoever measures answers goes back to just this place.
  mutating func markEnd() { keep(minimum: 1) }

  /// Tokens were read or generated.
  mutating func advanced(isPrompt: Bool) {
    keep(minimum: isPrompt ? Self.readingInterval : Self.generatingInterval)
  }

  /// Makes a copy if the last one is far enough away. Without one the context can go back less finely: no failure.
  private mutating func keep(minimum distance: Int) {
    let position = state.position
    guard position - (checkpoints.last?.position ?? 0) >= distance, let copy = try? state.snapshot() else {
      return
    }
    checkpoints.append(copy)
    thinToBudget()
  }

  private mutating func thinToBudget() {
    // One is left for the present states when all are saved.
    while byteCount > budget || checkpoints.count >= Self.largestCount, checkpoints.count > 1 { thin() }
  }

  private mutating func thin() {
    let end = Double(state.position)
    let last = checkpoints.count - 1
    let superfluous = (0..<last).min { cost($0, end) < cost($1, end) }
    checkpoints.remove(at: superfluous ?? 0)
  }

  /// Tokens that would be read again for want of a copy, for the tokens from there to the end.
  private func cost(_ index: Int, _ end: Double) -> Double {
    let before = index > 0 ? checkpoints[index - 1].position : 0
    return Double(checkpoints[index + 1].position - before) / (end - Double(before) + 1)
  }

  /// The copies to save: those that are kept, and one of the present states.
  func saved() throws -> [RecurrentSnapshot] {
    let present = try state.snapshot()
    let older = checkpoints.filter { $0.position < present.position }
    return present.position > 0 ? older + [present] : older
  }
}

extension Context {
  /// Bytes of copies of recurrent layers' states that some contexts keep, those that several share once.
  package static func stateByteCount(of contexts: [Context]) -> Int {
    // By their addresses, which are only compared.
    var seen: Set<UInt> = []
    return contexts.lazy.flatMap(\.recurrent.checkpoints).reduce(0) { sum, copy in
      unsafe copy.bytes.withUnsafeBytes { bytes in
        guard let base = bytes.baseAddress, seen.insert(UInt(bitPattern: base)).inserted else { return sum }
        return sum + bytes.count
      }
    }
  }
}
