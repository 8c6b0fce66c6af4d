// Where a hybrid model's states lie in the host, and how a batch that fails leaves them as they were.

import CLlama

/// The host's memory for recurrent states: one slot for each sequence of a batch.
///
/// A slot is two of the host's sequences, the running one and its backup. Between batches both stand for the same cell
/// of recurrent memory, and neither has a cell of attention: those are the guest's. A batch writes to a new cell, so
/// the backup is still there when it fails. Copying a sequence is bookkeeping alone: an empty range copies no cell of
/// attention, and recurrent memory, which has no ranges, ignores it.
final class RecurrentSlots {
  let count: Int
  private let handle: ContextHandle
  private var slots: [Slot]
  private var useCount = 0

  private struct Slot {
    weak var owner: RecurrentState?
    var lastUse = 0
  }

  /// Sequences that a context must have for so many slots; several of them need a spare one.
  static func sequenceCount(for count: Int) -> Int { count > 1 ? 2 * count + 1 : 2 }

  /// - Parameter handle: of a context for ``sequenceCount(for:)`` sequences.
  init(handle: ContextHandle, count: Int) {
    self.handle = handle
    self.count = count
    slots = Array(repeating: Slot(), count: count)
  }

  private func running(_ index: Int) -> Int32 { Int32(index) }
  private func backup(_ index: Int) -> Int32 { Int32(count + index) }

  /// Makes sure that states are in slots, as many at most as there are.
  ///
  /// - Returns: the host's number of each sequence.
  /// - Throws: ``LlamaError/recurrentStateFailed(operation:byteCount:)``; no state has changed then.
  func admit(_ states: [RecurrentState]) throws -> [Int32] {
    useCount += 1
    for state in states {
      if let place = state.place, place.slots === self { slots[place.index].lastUse = useCount }
    }
    for state in states where state.place?.slots !== self {
      // Wherever else it is, in another host say, it has to leave.
      let snapshot = try state.snapshot()
      let index = try freeSlot()
      clear(index)
      if !snapshot.bytes.isEmpty { try load(snapshot.bytes, into: index) }
      state.leave()
      state.enter(self, index)
      slots[index] = Slot(owner: state, lastUse: useCount)
    }
    return states.compactMap { $0.place.map { running($0.index) } }
  }

  /// Empties the cells of attention of states in the middle of a batch that is evaluated in several parts.
  func emptyCells(_ states: [RecurrentState]) {
    let spare = Int32(2 * count)
    for state in states {
      guard let index = state.place?.index else { continue }
      copy(from: running(index), to: spare)
      remove(running(index))
      copy(from: spare, to: running(index))
      remove(spare)
    }
  }

  /// A batch was computed: of each state so many tokens.
  func commit(_ states: [RecurrentState], tokenCounts: [Int]) {
    for (state, tokenCount) in zip(states, tokenCounts) {
      guard let index = state.place?.index else { continue }
      // Drops cells of attention, keeps the new state.
      copy(from: running(index), to: backup(index))
      remove(running(index))
      copy(from: backup(index), to: running(index))
      state.advance(tokenCount)
    }
  }

  /// A batch failed, wherever: states are those before it.
  func rollBack(_ states: [RecurrentState]) {
    for state in states {
      guard let index = state.place?.index else { continue }
      remove(running(index))
      copy(from: backup(index), to: running(index))
    }
  }

  /// The states of a slot in the host's form.
  func copy(_ index: Int) throws -> [UInt8] {
    let size = unsafe llama_state_seq_get_size_ext(handle.pointer, running(index), 0)
    let bytes = unsafe [UInt8](unsafeUninitializedCapacity: size) { buffer, initialized in
      initialized = unsafe llama_state_seq_get_data_ext(
        handle.pointer, buffer.baseAddress, size, running(index), 0)
    }
    guard size > 0, bytes.count == size else {
      throw LlamaError.recurrentStateFailed(operation: "copy", byteCount: size)
    }
    return bytes
  }

  /// A slot is free again.
  func forget(_ state: RecurrentState) {
    for index in slots.indices where slots[index].owner === state { slots[index] = Slot() }
  }

  private func freeSlot() throws -> Int {
    if let index = slots.firstIndex(where: { $0.owner == nil }) { return index }
    // Never one of the present batch, which has at most as many sequences as there are slots.
    let index = slots.indices.min { slots[$0].lastUse < slots[$1].lastUse } ?? 0
    if let owner = slots[index].owner {
      _ = try owner.snapshot()
      owner.leave()
    }
    return index
  }

  private func load(_ bytes: [UInt8], into index: Int) throws {
    let read = unsafe bytes.withUnsafeBufferPointer {
      unsafe llama_state_seq_set_data_ext(handle.pointer, $0.baseAddress, $0.count, running(index), 0)
    }
    guard read == bytes.count else {
      clear(index)
      throw LlamaError.recurrentStateFailed(operation: "take back", byteCount: bytes.count)
    }
    copy(from: running(index), to: backup(index))
  }

  private func clear(_ index: Int) {
    remove(running(index))
    remove(backup(index))
  }

  private func copy(from source: Int32, to target: Int32) {
    unsafe llama_memory_seq_cp(handle.memory, source, target, 0, 0)
  }

  private func remove(_ sequence: Int32) { _ = unsafe llama_memory_seq_rm(handle.memory, sequence, -1, -1) }
}
