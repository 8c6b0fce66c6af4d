// Prompts that the model's devices attend to themselves: what is quadratic in the context goes where the arithmetic is.

public import LlamaHost
public import RetrievalAttention

/// How a prompt was read.
public struct PromptReading: Sendable, Hashable, Encodable {
  /// What devices held meanwhile, keys and values of the prompt among it; empty when they did not attend to it. All but
  /// the weights was given back.
  public internal(set) var memory: [DeviceMemoryUse] = []
  /// Why they did not, though they were to.
  public internal(set) var refusal: String?
}

extension GuestHost {
  /// Calls `body`, which reads a prompt of `tokenCount` tokens into an engine that is empty. Layers on devices attend
  /// there, to keys and values that devices keep for the time, and the engine takes in what it needs; where that is
  /// not possible the engine attends, and ``promptReading`` tells why.
  ///
  /// - Parameter anywhere: the host's own attention on the CPU too; for tests.
  func readingPrompt<Result>(
    of tokenCount: Int, engine: AttentionEngine, anywhere: Bool = false, _ body: () throws -> Result
  ) throws -> Result {
    guard promptContext == nil, anywhere || attendsOnDevices(tokenCount), engine.tokenCount == 0,
      engine.takesInAttendedPrompts
    else { return try body() }
    promptReading = PromptReading()
    do {
      let prompt = try LlamaContext(
        promptLength: tokenCount, model: model, pool: pool, batchCapacity: context.batchCapacity,
        takeover: takeover, guest: NoGuest(), devicesOnly: !anywhere)
      prompt.isCancelled = context.isCancelled
      promptReading.memory = prompt.deviceMemory
      promptContext = prompt
    } catch let error as LlamaError {
      promptReading.refusal = "\(error)"
      return try body()
    }
    defer {
      if let promptContext { promptTraffic.add(promptContext.deviceTraffic) }
      promptContext = nil
    }
    return try body()
  }

  /// A prompt of a batch or less is not worth a context of its own.
  private func attendsOnDevices(_ tokenCount: Int) -> Bool {
    model.readsPromptsOnDevices && tokenCount > context.batchCapacity
      && takeover.layers.contains { model.isOnDevice(layer: $0.layer) }
  }
}
