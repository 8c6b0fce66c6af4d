// Several sequences in one batch: weights are read once for all of them.

import CLlama

/// Tokens of one sequence at consecutive positions.
public struct SequenceTokens: Sendable, Hashable {
  public var tokens: [Int32]
  public var startPosition: Int
  /// Which of the tokens need logits.
  public var outputs: Outputs

  public init(_ tokens: [Int32], startPosition: Int, outputs: Outputs = .last) {
    self.tokens = tokens
    self.startPosition = startPosition
    self.outputs = outputs
  }
}

extension GuestContext {
  /// Evaluates tokens of several sequences as one batch.
  ///
  /// The guest sees the tokens in the order given, one sequence after another, and has to attend for each sequence by
  /// itself. Logits come in the same order. Results equal those of one batch a sequence within the host's rounding,
  /// which depends on the size of a batch.
  ///
  /// - Parameter sequences: 1 to ``sequenceCapacity`` sequences with 1 to ``LlamaContext/batchCapacity`` tokens in all.
  /// - Throws: as `evaluate(_:startPosition:outputs:)`; the guest may have seen some layers of the batch then.
  @discardableResult
  public func evaluate(_ sequences: [SequenceTokens]) throws -> Logits {
    guard sequences.count <= sequenceCapacity else {
      throw LlamaError.capacityOutOfRange(
        name: "number of sequences", value: sequences.count, allowed: 1...sequenceCapacity)
    }
    let tokenCount = sequences.reduce(0) { $0 + $1.tokens.count }
    guard tokenCount <= batchCapacity else {
      throw LlamaError.batchTooLong(tokenCount: tokenCount, capacity: batchCapacity)
    }
    guard !sequences.isEmpty else { throw LlamaError.emptyBatch }
    var outputCount = 0
    for sequence in sequences {
      outputCount += try sequence.tokens.withUnsafeBufferPointer {
        try check($0, startPosition: sequence.startPosition, outputs: sequence.outputs)
      }
    }
    try checkOutputs(outputCount)
    batch.removeAll()
    var rows: [Range<Int>] = []
    for (id, sequence) in sequences.enumerated() {
      let first = rows.last?.upperBound ?? 0
      rows.append(first..<first + sequence.tokens.count)
      sequence.tokens.withUnsafeBufferPointer {
        batch.append(
          $0, startPosition: sequence.startPosition, outputCount: sequence.outputs.count(of: $0.count),
          sequence: Int32(id))
      }
    }
    try computeBatch(sequences: rows)
    return logits(outputCount)
  }
}
