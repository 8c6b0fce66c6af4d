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
  /// Recurrent layers take sequences of one length together, so where lengths differ there are as many batches as
  /// lengths, which succeed or fail together.
  ///
  /// - Parameters:
  ///   - sequences: 1 to ``sequenceCapacity`` sequences with 1 to ``LlamaContext/batchCapacity`` tokens in all.
  ///   - states: of each sequence's recurrent layers, at its start position, and behind its tokens afterwards; none for
  ///     models without such layers.
  ///   - confirm: called when all is computed, before states are given up for the new ones; what it throws makes the
  ///     evaluation one that failed.
  /// - Throws: as `evaluate(_:startPosition:outputs:)`; the guest may have seen some layers of the batch then. States
  ///   are as they were.
  @discardableResult
  public func evaluate(
    _ sequences: [SequenceTokens], states: [RecurrentState] = [], confirm: () throws -> Void = {}
  ) throws -> Logits {
    let outputCounts = try check(sequences)
    let outputCount = outputCounts.reduce(0, +)
    if hasRecurrentLayers {
      guard states.count == sequences.count, Set(states.map { ObjectIdentifier($0) }).count == states.count
      else {
        throw LlamaError.capacityOutOfRange(
          name: "number of recurrent states", value: states.count, allowed: sequences.count...sequences.count)
      }
    }
    let groups = groups(sequences)
    try withStates(
      states, tokenCounts: sequences.map(\.tokens.count), startPositions: sequences.map(\.startPosition)
    ) { ids in
      for group in groups {
        try computeBatch(sequences, of: group, ids: group.map { ids[$0] })
        if groups.count > 1 {
          collectLogits(of: group, outputCounts)
          recurrentSlots?.emptyCells(group.map { states[$0] })
        }
      }
      try confirm()
    }
    guard groups.count > 1 else { return logits(outputCount) }
    return collectedLogits.logits(rowCount: outputCount, vocabularySize: model.tokenizer.vocabularySize)
  }

  /// Refuses what is no batch; returns how many tokens of each sequence need logits.
  private func check(_ sequences: [SequenceTokens]) throws -> [Int] {
    guard sequences.count <= sequenceCapacity else {
      throw LlamaError.capacityOutOfRange(
        name: "number of sequences", value: sequences.count, allowed: 1...sequenceCapacity)
    }
    let tokenCount = sequences.reduce(0) { $0 + $1.tokens.count }
    guard tokenCount <= batchCapacity else {
      throw LlamaError.batchTooLong(tokenCount: tokenCount, capacity: batchCapacity)
    }
    guard !sequences.isEmpty else { throw LlamaError.emptyBatch }
    let outputCounts = try sequences.map { sequence in
      try check(sequence.tokens[...], startPosition: sequence.startPosition, outputs: sequence.outputs)
    }
    try checkOutputs(outputCounts.reduce(0, +))
    return outputCounts
  }

  /// Sequences that the host can evaluate together, by number, in the order of the first of each group: all of them, or
  /// those of equal length where layers are recurrent.
  private func groups(_ sequences: [SequenceTokens]) -> [[Int]] {
    guard hasRecurrentLayers else { return [Array(sequences.indices)] }
    // The host stores this one's states in wrong cells when a batch has several sequences.
    let isAlone = model.description.architecture == "plamo2"
    var groups: [[Int]] = []
    for (number, sequence) in sequences.enumerated() {
      let index = groups.firstIndex { sequences[$0[0]].tokens.count == sequence.tokens.count }
      if !isAlone, let index { groups[index].append(number) } else { groups.append([number]) }
    }
    return groups
  }

  private func computeBatch(_ sequences: [SequenceTokens], of numbers: [Int], ids: [Int32]) throws {
    batch.removeAll()
    var rows: [Range<Int>] = []
    for (number, id) in zip(numbers, ids) {
      let sequence = sequences[number]
      let first = rows.last?.upperBound ?? 0
      rows.append(first..<first + sequence.tokens.count)
      batch.append(
        sequence.tokens[...], startPosition: sequence.startPosition,
        outputCount: sequence.outputs.count(of: sequence.tokens.count), sequence: id)
    }
    try computeBatch(sequences: rows, numbers: numbers)
  }

  /// Copies the logits of a group of sequences to where they stand in the order of all.
  private func collectLogits(of group: [Int], _ outputCounts: [Int]) {
    collectedLogits.reserve(outputCounts.reduce(0, +) * model.tokenizer.vocabularySize)
    let rows = logits(group.reduce(0) { $0 + outputCounts[$1] })
    var row = 0
    for number in group {
      let first = outputCounts[..<number].reduce(0, +)
      for index in 0..<outputCounts[number] {
        collectedLogits.set(first + index, to: rows[row])
        row += 1
      }
    }
  }
}
