// What computes attention in the place of the host.

/// Computes attention in the place of the host.
public protocol AttentionGuest: AnyObject {
  /// Called for each sequence of a batch in every layer, in order, on the thread that called
  /// `LlamaContext.evaluate(_:startPosition:outputs:)`.
  ///
  /// The guest must remember the keys and values it will need later, since the host keeps nothing, and must
  /// fill the whole output, unless ``AttentionModel/AttentionCall/isAttended`` says that a device does.
  ///
  /// - Parameters:
  ///   - call: one layer's queries, keys, values and output; its memory is valid only during the call.
  ///   - sequence: number of the sequence in the batch, from 0.
  ///   - parallel: the host's threads, which wait for this very call.
  /// - Throws: Whatever it likes; evaluation stops and `evaluate` throws the same error. Layers before this
  ///   one, and sequences before this one, have been attended then, so the guest has to take back what it stored for
  ///   this batch.
  func attend(_ call: AttentionCall, sequence: Int, parallel: ParallelRunner) throws
}
