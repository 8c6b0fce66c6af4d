// The arrays of a llama_batch, made once.

import CLlama

/// A batch of tokens, of one sequence at consecutive positions or of several. Arrays are reused; nothing is allocated
/// by a decode step. It owns them, and writes and reads within them; what `batch` gives to the host is there as long as
/// this object.
@safe final class TokenBatch {
  let capacity: Int
  private(set) var count = 0
  private let tokens: UnsafeMutablePointer<Int32>
  private let positionStorage: UnsafeMutablePointer<Int32>
  private let sequenceCounts: UnsafeMutablePointer<Int32>
  private let sequences: UnsafeMutablePointer<UnsafeMutablePointer<Int32>?>
  /// Sequence of each token.
  private let sequenceIDs: UnsafeMutablePointer<Int32>
  private let outputs: UnsafeMutablePointer<Int8>

  init(capacity: Int) {
    self.capacity = capacity
    unsafe tokens = .allocate(capacity: capacity)
    unsafe positionStorage = .allocate(capacity: capacity)
    unsafe sequenceCounts = .allocate(capacity: capacity)
    // The host reads one more, as the end of the list.
    unsafe sequences = .allocate(capacity: capacity + 1)
    unsafe sequenceIDs = .allocate(capacity: capacity)
    unsafe outputs = .allocate(capacity: capacity)
    unsafe sequenceIDs.initialize(repeating: 0, count: capacity)
    unsafe sequenceCounts.initialize(repeating: 1, count: capacity)
    for index in 0..<capacity { unsafe (sequences + index).initialize(to: sequenceIDs + index) }
    unsafe (sequences + capacity).initialize(to: nil)
  }

  deinit {
    unsafe tokens.deallocate()
    unsafe positionStorage.deallocate()
    unsafe sequenceCounts.deallocate()
    unsafe sequences.deallocate()
    unsafe sequenceIDs.deallocate()
    unsafe outputs.deallocate()
  }

  /// The position of a token of the batch.
  func position(_ index: Int) -> Int {
    precondition(index >= 0 && index < count, "token \(index) of \(count)")
    return unsafe Int(positionStorage[index])
  }

  /// - Parameter outputCount: Logits are wanted for so many tokens at the end.
  func fill(
    _ newTokens: ArraySlice<Int32>, startPosition: Int, outputCount: Int, sequence id: Int32 = 0
  ) {
    count = 0
    append(newTokens, startPosition: startPosition, outputCount: outputCount, sequence: id)
  }

  func removeAll() { count = 0 }

  /// Adds tokens of a sequence that has none in the batch so far.
  func append(
    _ newTokens: ArraySlice<Int32>, startPosition: Int, outputCount: Int, sequence id: Int32
  ) {
    let end = count + newTokens.count
    precondition(end <= capacity, "a batch holds \(capacity) tokens, not \(end)")
    for (index, token) in newTokens.enumerated() {
      unsafe tokens[count + index] = token
      unsafe positionStorage[count + index] = Int32(startPosition + index)
      unsafe sequenceIDs[count + index] = id
      unsafe outputs[count + index] = index >= newTokens.count - outputCount ? 1 : 0
    }
    count = end
  }

  var batch: llama_batch {
    unsafe llama_batch(
      n_tokens: Int32(count), token: tokens, embd: nil, pos: positionStorage, n_seq_id: sequenceCounts,
      seq_id: sequences, logits: outputs)
  }
}
