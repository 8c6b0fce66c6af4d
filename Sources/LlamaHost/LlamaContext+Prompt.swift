// Contexts that read one prompt, with attention where the layers are.

import CLlama

extension LlamaContext {
  /// A context for one prompt: layers on devices attend there, to keys and values that stay there until the context goes,
  /// and the guest is shown them as they are made. Layers on the CPU are the guest's, as ever.
  ///
  /// Evaluate consecutive tokens from position 0 on.
  ///
  /// - Parameters:
  ///   - promptLength: tokens for which devices have to have room.
  ///   - devicesOnly: false lets the host attend on the CPU too; for tests.
  /// - Throws: as for a guest's context, and when keys and values are more than what is free on the devices.
  public convenience init(
    promptLength: Int, model: LlamaModel, pool: ThreadPool, batchCapacity: Int, takeover: TakeoverReport,
    guest: any AttentionGuest, devicesOnly: Bool = true
  ) throws {
    try Self.check("prompt length", promptLength, 1...Self.positionRange.upperBound)
    try Self.checkPromptMemory(
      takeover, model: model, promptLength: promptLength, batchCapacity: batchCapacity)
    try self.init(
      model: model, pool: pool, batchCapacity: min(batchCapacity, promptLength), outputCapacity: 1,
      contextLength: promptLength, takeover: takeover, guest: guest,
      hostAttention: devicesOnly ? .onDevices : .everywhere)
  }

  /// Refuses what devices or the system would only refuse half-way.
  private static func checkPromptMemory(
    _ takeover: TakeoverReport, model: LlamaModel, promptLength: Int, batchCapacity: Int
  ) throws {
    func bytes(_ layers: [TakeoverReport.Layer]) -> Int {
      // A position has 31 bits, so that no width of a model that was loaded overflows this.
      2 * promptLength * layers.reduce(0) { $0 + $1.kvHeadCount * ($1.headDimension + $1.valueDimension) }
    }
    let names = Set(model.devices.map(\.name))
    let free = names.isEmpty ? [] : ComputeDevice.all().filter { names.contains($0.name) }.map(\.freeBytes)
    let known = free.compactMap { $0 }
    let onDevices = bytes(takeover.layers.filter { model.isOnDevice(layer: $0.layer) })
    let onCPU = bytes(takeover.layers.filter { !model.isOnDevice(layer: $0.layer) })
    let available = known.count == names.count ? known.reduce(0, +) : Int.max
    guard onDevices > available || onCPU > PhysicalMemory.byteCount else { return }
    throw LlamaError.contextNotCreated(
      contextLength: promptLength, batchCapacity: batchCapacity,
      log: [
        "keys and values need \(onDevices) bytes of the \(available) that are free on "
          + "\(names.sorted().joined(separator: ", ")), and \(onCPU) in main memory"
      ])
  }
}

extension LlamaModel {
  /// Whether a layer's weights, and with them its cache, are on a device.
  public func isOnDevice(layer: Int) -> Bool {
    // The output is the last of the layers that are counted, and is no layer here.
    layer >= description.layerCount + 1 - min(gpuLayers, description.layerCount + 1)
  }
}
