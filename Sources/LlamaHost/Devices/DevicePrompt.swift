// Prompts that the model's devices attend to: what is quadratic in the context goes where the arithmetic is.

import CLlama

/// What was done for a prompt by devices and beside them.
public struct PromptActivity: Sendable, Hashable, Encodable {
  /// Layers whose keys and values devices kept, and layers whose were sent for each batch.
  public internal(set) var residentLayers = 0
  /// Layers whose keys and values were sent for each batch.
  public internal(set) var streamedLayers = 0
  /// Keys and values of earlier batches that were sent to devices.
  public internal(set) var sentBytes = 0
  /// Bytes of what each token sees, which every batch needs anew: two for each of its tokens and each one before.
  public internal(set) var maskBytes = 0
  /// Seconds that it took to send keys and values.
  public internal(set) var sendingSeconds = 0.0
  /// Seconds that the CPU worked while devices attended: it stores keys and values, and computes what indexes learn
  /// from.
  public internal(set) var sharedSeconds = 0.0
  /// Seconds that the CPU waited for devices then, and for queries, keys and values from them.
  public internal(set) var waitingSeconds = 0.0

  /// Nothing yet.
  public init() {}
}

/// Attention to one prompt by the devices that have the model's layers.
///
/// Devices keep keys and values of as many layers as they have room for, until this object goes. Those of the others
/// are sent from main memory for each batch: a layer at 128K tokens is half a gigabyte for an 8B model, which takes
/// less time on its way than a batch of attention to it.
public final class DevicePrompt: DeviceWork {
  /// Position behind the prompt's last token.
  public let end: Int
  /// What devices hold meanwhile, weights included.
  public private(set) var memory: [DeviceMemoryUse]
  /// What was done so far.
  public private(set) var activity = PromptActivity()
  /// Whose context it is, for whoever has several.
  package var owner: ObjectIdentifier?
  private let holdings: DeviceHoldings
  private let shares: [PromptShare]
  private let shareOfLayer: [Int: Int]
  package let writesOutput = true
  package var startsBeforeReading: Bool { shares.allSatisfy(\.stream.readsWhileComputing) }
  private var running: [(share: PromptShare, since: ContinuousClock.Instant)] = []

  /// Takes the memory that devices need at least, and more of it where there is more.
  ///
  /// - Parameters:
  ///   - end: position behind the prompt's last token.
  ///   - anywhere: layers on the CPU too, with the CPU as one more device; for tests.
  ///   - limit: most bytes for keys and values on each device, for tests; the model's limit holds as well.
  /// - Throws: ``LlamaError/promptMemoryInsufficient(device:needed:available:)`` when a device has not room for one
  ///   layer, ``LlamaError/noDeviceAttention(layers:)`` for a model with layers that devices do not know.
  package init(end: Int, context: GuestContext, anywhere: Bool = false, limit: Int? = nil) throws {
    try LlamaContext.check("prompt length", end, 1...LlamaContext.positionRange.upperBound)
    self.end = end
    memory = context.deviceMemory
    let layers = try unsafe context.layersByDevice(anywhere: anywhere) { _ in true }
    holdings = context.holdings
    shareOfLayer = unsafe layers.shareOfLayer
    shares = try unsafe layers.devices.map { device, layers in
      let stream = try unsafe DeviceStream(device, pool: context.pool)
      let available = [stream.availableBytes(for: context), limit].compactMap { $0 }.min()
      return try PromptShare(
        layers: layers, end: end, batchCapacity: context.batchCapacity, stream: stream, available: available)
    }
    for share in shares { holdings.add(share.rowBytes + share.maskBytes, on: share.stream.name) }
    for share in shares {
      activity.residentLayers += share.residentLayers
      activity.streamedLayers += share.streamedLayers
      if let index = memory.firstIndex(where: { $0.device == share.stream.name }) {
        memory[index].cache += share.rowBytes
        memory[index].compute += share.maskBytes
      }
    }
  }

  deinit {
    for share in shares { holdings.add(-share.rowBytes - share.maskBytes, on: share.stream.name) }
  }

  /// Whether nothing but windows is sent with each batch.
  package var keepsContext: Bool { shares.allSatisfy(\.keepsContext) }

  /// Sends what the layer's device lacks and lets it begin to attend.
  package func start(
    _ node: AttentionNode, rows: Range<Int>, position: Int, stored: any StoredRows
  ) throws -> Bool {
    guard let number = shareOfLayer[node.layer.number], position + rows.count <= end else { return false }
    let share = shares[number]
    let begin = ContinuousClock.now
    let sent = try share.send(node.layer, before: position, stored: stored)
    let start = ContinuousClock.now
    activity.sentBytes += sent
    if sent > 0 { activity.sendingSeconds += (start - begin) / .seconds(1) }
    let isStarted = try share.start(node, rows: rows, before: position)
    activity.maskBytes = shares.reduce(0) { $0 + $1.sentMaskBytes }
    guard isStarted else { return false }
    running.append((share, start))
    return true
  }

  package func didRead() {
    let now = ContinuousClock.now
    for index in running.indices {
      activity.waitingSeconds += (now - running[index].since) / .seconds(1)
      running[index].since = now
    }
  }

  package func finish() {
    while let (share, start) = running.popLast() {
      let waiting = ContinuousClock.now
      unsafe ggml_backend_synchronize(share.stream.handle)
      activity.sharedSeconds += (waiting - start) / .seconds(1)
      activity.waitingSeconds += (ContinuousClock.now - waiting) / .seconds(1)
    }
  }
}
