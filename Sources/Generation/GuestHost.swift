// A model made ready for guest attention: what all of its contexts share.

public import AttentionKernels
public import LlamaHost
public import RetrievalAttention

/// A model whose attention is taken over, with the memory that the host needs for one batch.
///
/// The model is probed once here; ``GuestRunner`` and ``Session`` take one and start at once. All of them use the same
/// memory and threads, so they take turns: one owner, one call at a time, for all together.
public final class GuestHost {
  public let model: LlamaModel
  public let pool: ThreadPool
  public let takeover: TakeoverReport
  /// The model's attention layers, and how new contexts store their keys and values.
  public let shape: ModelShape
  let context: GuestContext
  package let parallel: ParallelRunner
  /// How the last prompt was read that devices were to attend to.
  public internal(set) var promptReading = PromptReading()
  /// The same of first and last tokens, while others were generated.
  public internal(set) var windowReading = WindowReading()
  package var placement = DevicePlacement.devices
  /// Bytes that each context may keep of copies of recurrent layers' states, for models that have such layers: see
  /// ``Context/truncationPoint(atMost:)``.
  public var stateBudget = 1 << 30

  /// - Parameters:
  ///   - batchCapacity: tokens that are read at once.
  ///   - sequenceCapacity: contexts that a ``BatchRunner`` on this host can evaluate together.
  ///   - outputCapacity: tokens of a batch that can have logits; one of each context and some drafts when nil.
  ///   - format: how contexts store keys and values. Eight bits take half the memory of f16.
  /// - Throws: ``GenerationError/unsupportedModel(_:)`` and the host's errors.
  public init(
    model: LlamaModel, pool: ThreadPool, batchCapacity: Int = 512, outputCapacity: Int? = nil,
    sequenceCapacity: Int = 1, format: KeyValueFormat = KeyValueFormat()
  ) throws {
    takeover = try model.takeover(pool: pool)
    shape = try ModelShape(takeover, format: format)
    self.model = model
    self.pool = pool
    parallel = pool.runner
    context = try GuestContext(
      model: model, pool: pool, batchCapacity: batchCapacity,
      outputCapacity: outputCapacity ?? min(batchCapacity, sequenceCapacity + AttentionEngine.maximumDrafts),
      sequenceCapacity: sequenceCapacity, guest: nil)
  }

  /// What the model's devices hold, weights included: the same for contexts of any length, and of any number.
  public var deviceMemory: [DeviceMemoryUse] { context.deviceMemory }

  /// What went between the model's devices and the attention here, since the host was made.
  public var deviceTraffic: DeviceTraffic { context.deviceTraffic }

  /// Evaluates a batch, with `guest` for attention. What `confirm` throws after it makes it one that failed.
  func evaluate(
    _ sequences: [SequenceTokens], states: [RecurrentState], guest: any AttentionGuest,
    deviceParts: [DevicePart], confirm: () throws -> Void
  ) throws -> Logits {
    context.guest = guest
    context.deviceParts = deviceParts
    // So that contexts go when their runners do.
    defer {
      context.guest = nil
      context.deviceParts = []
    }
    return try context.evaluate(sequences, states: states, confirm: confirm)
  }

  /// Takes note of what devices have done by now.
  func note(_ prompt: DevicePrompt?, _ window: DeviceWindow?) {
    if let prompt { promptReading.activity = prompt.activity }
    if let window {
      windowReading.activity = window.activity
      windowReading.refusal = window.incapableDevice.map { "\($0) lacks an operation of it" }
    }
  }
}
