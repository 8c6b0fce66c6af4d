// The evaluation itself, in both modes.

import CLlama

extension LlamaContext {
  /// Evaluates tokens at consecutive positions.
  ///
  /// Guest mode takes 1 to ``batchCapacity`` tokens at any position: what comes before is the guest's
  /// knowledge. Host mode takes any number that fits, in batches, and `startPosition` must be ``length``;
  /// with `.all` they must fit in one batch.
  ///
  /// - Returns: Logits that are valid until the next call.
  /// - Throws: What the guest threw; `CancellationError`; ``LlamaError`` for arguments out of range or a
  ///   failure of the host. The context can be used again at once. After an error in guest mode the guest may
  ///   have seen some layers of the batch; in host mode ``length`` tells how many tokens were kept, always
  ///   whole batches.
  @discardableResult
  public func evaluate(
    _ tokens: some Collection<Int32>, startPosition: Int, outputs: Outputs = .last
  ) throws -> Logits {
    if let logits = try tokens.withContiguousStorageIfAvailable({
      try evaluate($0, startPosition: startPosition, outputs: outputs)
    }) {
      return logits
    }
    return try Array(tokens).withUnsafeBufferPointer {
      try evaluate($0, startPosition: startPosition, outputs: outputs)
    }
  }

  /// See the generic version.
  @discardableResult
  public func evaluate(
    _ tokens: UnsafeBufferPointer<Int32>, startPosition: Int, outputs: Outputs = .last
  ) throws -> Logits {
    let outputCount = try check(tokens, startPosition: startPosition, outputs: outputs)
    guard outputCount <= outputCapacity else {
      throw LlamaError.tooManyOutputs(outputCount: outputCount, capacity: outputCapacity)
    }
    if let guestObserver {
      try evaluateAsGuest(tokens, startPosition, outputCount, guestObserver)
    } else {
      try evaluateAsHost(tokens, startPosition, outputCount)
    }
    return Logits(
      start: outputCount > 0 ? llama_get_logits(handle.pointer) : nil, rowCount: outputCount,
      vocabularySize: model.tokenizer.vocabularySize)
  }

  /// Refuses tokens that the host cannot evaluate; returns how many of them need logits.
  func check(_ tokens: UnsafeBufferPointer<Int32>, startPosition: Int, outputs: Outputs) throws -> Int {
    guard !tokens.isEmpty else { throw LlamaError.emptyBatch }
    let size = model.tokenizer.vocabularySize
    for (index, token) in tokens.enumerated() where token < 0 || Int(token) >= size {
      throw LlamaError.tokenOutOfRange(token: token, index: index, vocabularySize: size)
    }
    guard Self.positionRange.contains(startPosition),
      tokens.count <= Self.positionRange.upperBound - startPosition
    else {
      throw LlamaError.positionOutOfRange(
        start: startPosition, tokenCount: tokens.count, allowed: Self.positionRange)
    }
    let end = startPosition + tokens.count
    if let learnedPositionCount, end > learnedPositionCount {
      throw LlamaError.beyondLearnedPositions(position: end - 1, count: learnedPositionCount)
    }
    if let shortRopeLimit, end > shortRopeLimit {
      throw LlamaError.beyondShortRopeFactors(position: end - 1, original: shortRopeLimit)
    }
    return outputs.count(of: tokens.count)
  }

  private func evaluateAsGuest(
    _ tokens: UnsafeBufferPointer<Int32>, _ startPosition: Int, _ outputCount: Int, _ observer: GuestObserver
  ) throws {
    guard tokens.count <= batchCapacity else {
      throw LlamaError.batchTooLong(tokenCount: tokens.count, capacity: batchCapacity)
    }
    batch.fill(tokens, startPosition: startPosition, outputCount: outputCount)
    try decodeAsGuest(observer, sequences: [0..<tokens.count])
  }

  /// Evaluates what is in the batch, whose rows are those of `sequences`.
  func decodeAsGuest(_ observer: GuestObserver, sequences: [Range<Int>]) throws {
    // The host forgets the last batch, so that this one fills the cells from 0 on.
    llama_memory_clear(handle.memory, false)
    observer.isCancelled = isCancelled
    observer.begin(positions: batch.positions, sequences: sequences)
    defer { observer.end() }
    let mark = HostLog.mark()
    let code = llama_decode(handle.pointer, batch.batch)
    // An evaluation that the callback stopped counts as a success for the host, with garbage for logits.
    if let failure = observer.failure { throw failure }
    guard code == 0 else { throw LlamaError.decodeFailed(code: Int(code), log: HostLog.lines(since: mark)) }
    let expected = takeover?.layers.count ?? 0
    guard observer.attendedLayers == expected else {
      throw LlamaError.unexpectedAttention(
        detail: "\(observer.attendedLayers) layers asked for attention, not \(expected)")
    }
  }

  private func evaluateAsHost(
    _ tokens: UnsafeBufferPointer<Int32>, _ startPosition: Int, _ outputCount: Int
  ) throws {
    guard startPosition == length else {
      throw LlamaError.positionNotNext(start: startPosition, length: length)
    }
    let capacity = contextLength ?? 0
    guard length + tokens.count <= capacity else {
      throw LlamaError.contextFull(needed: length + tokens.count, contextLength: capacity)
    }
    // Outputs of one call must come from one batch, since the host forgets those of the batch before.
    guard outputCount <= 1 || tokens.count <= batchCapacity else {
      throw LlamaError.batchTooLong(tokenCount: tokens.count, capacity: batchCapacity)
    }
    abortMonitor.begin(isCancelled)
    let mark = HostLog.mark()
    var done = 0
    while done < tokens.count {
      let count = min(batchCapacity, tokens.count - done)
      let isLast = done + count == tokens.count
      batch.fill(
        UnsafeBufferPointer(rebasing: tokens[done..<done + count]), startPosition: length,
        outputCount: isLast ? outputCount : 0)
      let code = llama_decode(handle.pointer, batch.batch)
      guard code == 0 else {
        // Whatever part of the batch was stored: it is not kept.
        _ = llama_memory_seq_rm(handle.memory, 0, Int32(length), -1)
        if abortMonitor.wasCancelled { throw CancellationError() }
        throw LlamaError.decodeFailed(code: Int(code), log: HostLog.lines(since: mark))
      }
      length += count
      done += count
    }
  }

  /// Forgets everything from `position` on, so that the next evaluation continues there. Host mode only.
  ///
  /// Cost: independent of what is kept, so benchmarks can decode at many depths after one prefill.
  ///
  /// - Throws: ``LlamaError/cannotTruncate(position:length:)`` for a position beyond the end, or where the
  ///   host's memory cannot be cut.
  public func truncate(to position: Int) throws {
    guard guestObserver == nil else { throw LlamaError.wrongMode(operation: "Truncating", needed: "host") }
    guard (0...length).contains(position) else {
      throw LlamaError.cannotTruncate(position: position, length: length)
    }
    guard position < length else { return }
    guard llama_memory_seq_rm(handle.memory, 0, Int32(position), -1) else {
      throw LlamaError.cannotTruncate(position: position, length: length)
    }
    length = position
  }
}
