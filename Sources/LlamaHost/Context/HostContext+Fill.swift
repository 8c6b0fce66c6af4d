// Deep host contexts without a deep prefill, for benchmarks.

import CLlama

extension HostContext {
  /// Grows the context to `position` tokens without computing anything.
  ///
  /// The new positions count as evaluated, but their keys and values are whatever the cache held, zeros at first.
  /// The host's attention takes the same time for any keys, so times are real and answers are not. Cost: the
  /// host's bookkeeping, which grows with the depth.
  ///
  /// - Throws: ``LlamaError/fillingNotAllowed`` unless the context was made with `allowsFilling`, and
  ///   what evaluation throws; ``length`` tells how far it came.
  public func fill(to position: Int) throws {
    guard let fillObserver else { throw LlamaError.fillingNotAllowed }
    let tokens = [Int32](repeating: 0, count: batchCapacity)
    while length < position {
      try Task.checkCancellation()
      // One batch at a time: the host may build its graph anew for the next one, in the same memory.
      fillObserver.begin()
      defer { fillObserver.end() }
      try evaluate(tokens.prefix(position - length), startPosition: length, outputs: .none)
    }
  }
}

/// Turns the host's whole graph into no-ops while a context is being filled. Nodes are remembered until the end of one
/// evaluation, for which the host keeps its graph.
@safe final class FillObserver: NodeObserver {
  private var isFilling = false
  private var skipped: [(node: TensorPointer, operation: ggml_op)] = unsafe []

  func begin() { isFilling = true }

  /// Gives all nodes their operations back: graphs are used again.
  func end() {
    for index in unsafe skipped.indices { unsafe skipped[index].node.pointee.op = skipped[index].operation }
    unsafe skipped.removeAll(keepingCapacity: true)
    isFilling = false
  }

  override func visit(_ node: TensorPointer, isAsking: Bool) -> Bool {
    if isFilling, isAsking, unsafe node.pointee.op != GGML_OP_NONE {
      unsafe skipped.append((node, node.pointee.op))
      unsafe node.pointee.op = GGML_OP_NONE
    }
    // Never a stop: the graph is computed in one go, as without an observer.
    return !isAsking
  }
}
