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
  let context: LlamaContext
  let parallel: ParallelRunner
  /// How the last prompt was read that devices were to attend to.
  public internal(set) var promptReading = PromptReading()
  /// The same of first and last tokens, while others were generated.
  public internal(set) var windowReading = WindowReading()
  package var placement = DevicePlacement.devices
  /// Told when a layer of the next evaluations was attended to.
  var onLayer: (() -> Void)?

  /// - Parameters:
  ///   - batchCapacity: tokens that are read at once.
  ///   - sequenceCapacity: contexts that a ``BatchRunner`` on this host can evaluate together.
  ///   - outputCapacity: tokens of a batch that can have logits.
  ///   - format: how contexts store keys and values. Eight bits take half the memory of f16.
  ///   - takeover: the result of an earlier probe of this model; probed now when nil.
  /// - Throws: ``GenerationError/unsupportedModel(_:)`` and the host's errors.
  public init(
    model: LlamaModel, pool: ThreadPool, batchCapacity: Int = 512, outputCapacity: Int = 1,
    sequenceCapacity: Int = 1, format: KeyValueFormat = KeyValueFormat(), takeover: TakeoverReport? = nil
  ) throws {
    let takeover = try takeover ?? TakeoverReport(probing: model, pool: pool)
    shape = try ModelShape(takeover, format: format)
    self.model = model
    self.pool = pool
    self.takeover = takeover
    parallel = pool.runner
    context = try LlamaContext(
      model: model, pool: pool, batchCapacity: batchCapacity, outputCapacity: outputCapacity,
      sequenceCapacity: sequenceCapacity, takeover: takeover, guest: NoGuest())
  }

  /// What the model's devices hold, weights included: the same for contexts of any length, and of any number.
  public var deviceMemory: [DeviceMemoryUse] { context.deviceMemory }

  /// What went between the model's devices and the attention here, since the host was made.
  public var deviceTraffic: DeviceTraffic { context.deviceTraffic }

  /// Evaluates a batch, with `engine` for attention, and devices for a `prompt` or for a generated token's `window`.
  func evaluate(
    _ tokens: ArraySlice<Int32>, startPosition: Int, outputs: Outputs, engine: AttentionEngine,
    prompt: DevicePrompt? = nil, window: DeviceWindow? = nil
  ) throws -> Logits {
    context.guest = EngineGuest(
      engine: engine, promptEnd: prompt?.end, window: window, onLayer: onLayer)
    let work: (any DeviceWork)? = prompt ?? window
    context.deviceParts =
      work.map { [DevicePart(work: $0, rows: 0..<tokens.count, stored: engine)] } ?? []
    // So that an engine goes when its runner does.
    defer {
      context.guest = NoGuest()
      context.deviceParts = []
      if let prompt { promptReading.activity = prompt.activity }
      if let window {
        windowReading.activity = window.activity
        windowReading.refusal = window.incapableDevice.map { "\($0) lacks an operation of it" }
      }
    }
    return try context.evaluate(tokens, startPosition: startPosition, outputs: outputs)
  }

  /// Evaluates a batch of several contexts.
  func evaluate(
    _ sequences: [SequenceTokens], guest: any AttentionGuest, deviceParts: [DevicePart] = []
  ) throws -> Logits {
    context.guest = guest
    context.deviceParts = deviceParts
    defer {
      context.guest = NoGuest()
      context.deviceParts = []
    }
    return try context.evaluate(sequences)
  }
}

/// Stands in between evaluations.
final class NoGuest: AttentionGuest {
  func attend(_ call: AttentionCall, sequence: Int, parallel: ParallelRunner) throws {
    preconditionFailure("the host was evaluated without an engine")
  }
}

/// Hands a layer's tensors from the host to the engine.
private final class EngineGuest: AttentionGuest {
  private let engine: AttentionEngine
  private let promptEnd: Int?
  private let window: DeviceWindow?
  private let onLayer: (() -> Void)?

  /// - Parameters:
  ///   - promptEnd: position behind the prompt's last token, when devices attend to it.
  ///   - window: devices that attend to a generated token's first and last ones.
  ///   - onLayer: told when a layer was attended to.
  init(engine: AttentionEngine, promptEnd: Int?, window: DeviceWindow?, onLayer: (() -> Void)?) {
    self.engine = engine
    self.promptEnd = promptEnd
    self.window = window
    self.onLayer = onLayer
  }

  func attend(_ call: AttentionCall, sequence: Int, parallel: ParallelRunner) throws {
    if call.isAttended, let promptEnd {
      try engine.takeIn(call, promptEnd: promptEnd, parallel: parallel)
    } else if let window, window.isRunning {
      try engine.attend(call, fixed: window, parallel: parallel)
    } else {
      try engine.attend(call, parallel: parallel)
    }
    onLayer?()
  }
}
