// The arrays of a llama_batch, made once.

import CLlama

/// A batch of tokens, of one sequence at consecutive positions or of several. Arrays are reused; nothing is allocated
/// by a decode step.
final class TokenBatch {
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
    tokens = .allocate(capacity: capacity)
    positionStorage = .allocate(capacity: capacity)
    sequenceCounts = .allocate(capacity: capacity)
    // The host reads one more, as the end of the list.
    sequences = .allocate(capacity: capacity + 1)
    sequenceIDs = .allocate(capacity: capacity)
    outputs = .allocate(capacity: capacity)
    sequenceIDs.initialize(repeating: 0, count: capacity)
    sequenceCounts.initialize(repeating: 1, count: capacity)
    for index in 0..<capacity { (sequences + index).initialize(to: sequenceIDs + index) }
    (sequences + capacity).initialize(to: nil)
  }

  deinit {
    tokens.deallocate()
    positionStorage.deallocate()
    sequenceCounts.deallocate()
    sequences.deallocate()
    sequenceIDs.deallocate()
    outputs.deallocate()
  }

  var positions: UnsafeBufferPointer<Int32> { UnsafeBufferPointer(start: positionStorage, count: count) }

  /// - Parameter outputCount: Logits are wanted for so many tokens at the end.
  func fill(
    _ newTokens: UnsafeBufferPointer<Int32>, startPosition: Int, outputCount: Int, sequence id: Int32 = 0
  ) {
    count = 0
    append(newTokens, startPosition: startPosition, outputCount: outputCount, sequence: id)
  }

  func removeAll() { count = 0 }

  /// Adds tokens of a sequence that has none in the batch so far.
  func append(
    _ newTokens: UnsafeBufferPointer<Int32>, startPosition: Int, outputCount: Int, sequence id: Int32
  ) {
    let end = count + newTokens.count
    precondition(end <= capacity, "a batch holds \(capacity) tokens, not \(end)")
    for index in 0..<newTokens.count {
      tokens[count + index] = newTokens[index]
      positionStorage[count + index] = Int32(startPosition + index)
      sequenceIDs[count + index] = id
      outputs[count + index] = index >= newTokens.count - outputCount ? 1 : 0
    }
    count = end
  }

  var batch: llama_batch {
    llama_batch(
      n_tokens: Int32(count), token: tokens, embd: nil, pos: positionStorage, n_seq_id: sequenceCounts,
      seq_id: sequences, logits: outputs)
  }
}
