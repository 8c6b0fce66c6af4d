// What recurrent layers remember of a sequence: one state of a fixed size in place of keys and values.

/// A copy of all recurrent layers' states after some tokens of a sequence.
public struct RecurrentSnapshot: Sendable, Hashable {
  /// Tokens that had been read.
  public let position: Int
  /// The host's own form; empty before the first token.
  public let bytes: [UInt8]

  public init(position: Int, bytes: [UInt8]) {
    self.position = position
    self.bytes = bytes
  }

  /// Before the first token.
  public static let start = RecurrentSnapshot(position: 0, bytes: [])
}

/// The present states of the recurrent layers of one sequence, for models that mix such layers with attention.
///
/// They lie in the host's memory while the sequence is at work there, and leave it as a copy when others need the room.
/// Unlike keys and values a state cannot be cut: whoever may want to go back takes a ``snapshot()`` in time.
///
/// Not thread-safe: one owner, as its ``GuestContext``.
public final class RecurrentState {
  /// Tokens that have been read.
  public internal(set) var position = 0
  /// A copy of the present states, if there is one.
  private var copy: RecurrentSnapshot? = .start
  /// Where the states are now; nil when they are nowhere but in the copy.
  private(set) var place: (slots: RecurrentSlots, index: Int)?

  /// The states before the first token.
  public init() {}

  /// Goes on from a copy.
  public convenience init(_ snapshot: RecurrentSnapshot) {
    self.init()
    restore(snapshot)
  }

  /// A copy of the present states; the same one until more tokens are read.
  ///
  /// Cost: its size, once. Throws ``LlamaError/recurrentStateFailed(operation:byteCount:)``.
  public func snapshot() throws -> RecurrentSnapshot {
    if let copy { return copy }
    guard let place else {
      throw LlamaError.recurrentStateFailed(operation: "find the state of", byteCount: 0)
    }
    let snapshot = RecurrentSnapshot(position: position, bytes: try place.slots.copy(place.index))
    copy = snapshot
    return snapshot
  }

  /// Goes back, or over, to a copy.
  public func restore(_ snapshot: RecurrentSnapshot) {
    leave()
    copy = snapshot
    position = snapshot.position
  }

  /// Counts tokens as read that were not, up to `newPosition`: for measurements of speed alone.
  package func skip(to newPosition: Int) {
    position = newPosition
    copy = copy.map { RecurrentSnapshot(position: newPosition, bytes: $0.bytes) }
  }

  // For the slots of the host.

  /// The states are in a slot now.
  func enter(_ slots: RecurrentSlots, _ index: Int) { place = (slots, index) }

  /// The slot is wanted for others. Without a copy the states are lost then.
  func leave() {
    place?.slots.forget(self)
    place = nil
  }

  /// The states are those after `count` more tokens.
  func advance(_ count: Int) {
    position += count
    copy = nil
  }
}
