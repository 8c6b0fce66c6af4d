// The arrays of a llama_batch, made once.

import CLlama

/// A batch of tokens of one sequence at consecutive positions. Arrays are reused; nothing is allocated by a
/// decode step.
final class TokenBatch {
  let capacity: Int
  private(set) var count = 0
  private let tokens: UnsafeMutablePointer<Int32>
  private let positionStorage: UnsafeMutablePointer<Int32>
  private let sequenceCounts: UnsafeMutablePointer<Int32>
  private let sequences: UnsafeMutablePointer<UnsafeMutablePointer<Int32>?>
  private let sequence: UnsafeMutablePointer<Int32>
  private let outputs: UnsafeMutablePointer<Int8>

  init(capacity: Int) {
    self.capacity = capacity
    tokens = .allocate(capacity: capacity)
    positionStorage = .allocate(capacity: capacity)
    sequenceCounts = .allocate(capacity: capacity)
    // The host reads one more, as the end of the list.
    sequences = .allocate(capacity: capacity + 1)
    sequence = .allocate(capacity: 1)
    outputs = .allocate(capacity: capacity)
    sequence.initialize(to: 0)
    sequenceCounts.initialize(repeating: 1, count: capacity)
    sequences.initialize(repeating: sequence, count: capacity)
    sequences[capacity] = nil
  }

  deinit {
    tokens.deallocate()
    positionStorage.deallocate()
    sequenceCounts.deallocate()
    sequences.deallocate()
    sequence.deallocate()
    outputs.deallocate()
  }

  var positions: UnsafeBufferPointer<Int32> { UnsafeBufferPointer(start: positionStorage, count: count) }

  /// - Parameter outputCount: Logits are wanted for so many tokens at the end.
  func fill(
    _ newTokens: UnsafeBufferPointer<Int32>, startPosition: Int, outputCount: Int, sequence id: Int32 = 0
  ) {
    precondition(newTokens.count <= capacity, "a batch holds \(capacity) tokens, not \(newTokens.count)")
    count = newTokens.count
    sequence.pointee = id
    for index in 0..<count {
      tokens[index] = newTokens[index]
      positionStorage[index] = Int32(startPosition + index)
      outputs[index] = index >= count - outputCount ? 1 : 0
    }
  }

  var batch: llama_batch {
    llama_batch(
      n_tokens: Int32(count), token: tokens, embd: nil, pos: positionStorage, n_seq_id: sequenceCounts,
      seq_id: sequences, logits: outputs)
  }
}
