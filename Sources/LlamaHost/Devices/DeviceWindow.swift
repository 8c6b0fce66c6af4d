// First and last tokens attended to by the model's devices while the CPU searches the rest.

import CLlama

/// What was done in generated tokens' layers by devices and beside them.
public struct WindowActivity: Sendable, Hashable, Codable {
  /// Layers of generated tokens, all together.
  public internal(set) var layers = 0
  /// Seconds of the CPU in these, while devices worked: its own part of attention, and telling devices what to do.
  public internal(set) var cpuSeconds = 0.0
  /// Seconds that the CPU waited for devices then.
  public internal(set) var waitingSeconds = 0.0
  /// Now and then a device is waited for at once, to know how long it takes.
  public internal(set) var measuredLayers = 0
  /// Seconds of devices in these.
  public internal(set) var measuredSeconds = 0.0
  /// Keys and values that were sent.
  public internal(set) var sentBytes = 0

  /// Nothing yet.
  public init() {}

  /// Microseconds of a mean layer: of the CPU, waited for devices, and of a device that nothing else is done beside;
  /// nil before any was measured.
  public var microsecondsPerLayer: (cpu: Double, waiting: Double, device: Double?)? {
    guard layers > 0 else { return nil }
    return (
      cpuSeconds / Double(layers) * 1e6, waitingSeconds / Double(layers) * 1e6,
      measuredLayers > 0 ? measuredSeconds / Double(measuredLayers) * 1e6 : nil
    )
  }

  /// What came to `earlier`, or all when that was another window's.
  package func since(_ earlier: WindowActivity) -> WindowActivity {
    guard layers >= earlier.layers else { return self }
    var difference = self
    difference.layers -= earlier.layers
    difference.cpuSeconds -= earlier.cpuSeconds
    difference.waitingSeconds -= earlier.waitingSeconds
    difference.measuredLayers -= earlier.measuredLayers
    difference.measuredSeconds -= earlier.measuredSeconds
    difference.sentBytes -= earlier.sentBytes
    return difference
  }

  package mutating func add(_ other: WindowActivity) {
    layers += other.layers
    cpuSeconds += other.cpuSeconds
    waitingSeconds += other.waitingSeconds
    measuredLayers += other.measuredLayers
    measuredSeconds += other.measuredSeconds
    sentBytes += other.sentBytes
  }
}

/// Attention of generated tokens to the first and the last tokens of one context, by the devices that have the layers.
///
/// The shared mode of RetrievalAttention (arXiv 2409.10516): these few keys and values stay on the device, and
/// their part of attention is computed there while the CPU attends to what it finds in the index. A state is merged
/// from both: ggml's attention does not tell log-sum-exps, so this is a graph of its own parts.
public final class DeviceWindow: DeviceWork, FixedAttention {
  /// What was done so far.
  public private(set) var activity = WindowActivity()
  /// What devices hold for it, by name.
  public let byteCounts: [String: Int]
  package let writesOutput = false
  package let startsBeforeReading = false
  private let holdings: DeviceHoldings
  private let shares: [WindowShare]
  private let shareOfLayer: [Int: Int]
  private var running: (share: WindowShare, since: ContinuousClock.Instant)?
  private let results = StagingBuffer()
  /// Every so many layers a device is waited for at once: not a multiple of common numbers of layers.
  private static let measuringInterval = 61

  /// Takes devices' memory.
  ///
  /// - Parameters:
  ///   - capacity: most rows of a layer.
  ///   - anywhere: layers on the CPU too, with the CPU as one more device; for tests.
  /// - Throws: ``LlamaError/promptMemoryInsufficient(device:needed:available:)``, also for the model's limit, and
  ///   ``LlamaError/noDeviceAttention(layers:)`` for a model with layers that devices do not know.
  package init(capacity: Int, context: GuestContext, anywhere: Bool = false) throws {
    let layers = try unsafe context.layersByDevice(anywhere: anywhere) { $0.shape.slidingWindow == nil }
    holdings = context.holdings
    shareOfLayer = unsafe layers.shareOfLayer
    shares = try unsafe layers.devices.map { device, layers in
      let stream = try unsafe DeviceStream(device, pool: context.pool)
      return try WindowShare(
        layers: layers, capacity: capacity, stream: stream, available: stream.availableBytes(for: context))
    }
    byteCounts = Dictionary(uniqueKeysWithValues: shares.map { ($0.stream.name, $0.byteCount) })
    for (device, count) in byteCounts { holdings.add(count, on: device) }
  }

  deinit {
    for (device, count) in byteCounts { holdings.add(-count, on: device) }
  }

  /// A device that has not what the graph needs; the CPU does its layers.
  package var incapableDevice: String? { shares.first(where: \.isIncapable)?.stream.name }

  package func start(
    _ node: AttentionNode, rows: Range<Int>, position: Int, stored: any StoredRows
  ) throws -> Bool {
    running = nil
    guard rows.count == 1, let number = shareOfLayer[node.layer.number],
      let window = stored.fixedRows(layer: node.layer.number)
    else { return false }
    let share = shares[number]
    activity.sentBytes += try share.send(node.layer, window, stored: stored)
    var begin = ContinuousClock.now
    guard try share.start(node, row: rows.lowerBound, window) else { return false }
    activity.layers += 1
    if activity.layers % Self.measuringInterval == 0 {
      // A machine far away is known to be ready only by what it answers.
      share.readResult(into: results)
      activity.measuredLayers += 1
      let end = ContinuousClock.now
      activity.measuredSeconds += (end - begin) / .seconds(1)
      begin = end
    }
    running = (share, begin)
    return true
  }

  /// Whether the device of the present layer is at it.
  package var isRunning: Bool { running != nil }

  package func didRead() {}

  /// Waits for the present layer; traps where no device is at it.
  package func result() -> AttendedHeads {
    guard let (share, since) = running else { preconditionFailure("no device is at this layer") }
    let waiting = ContinuousClock.now
    let result = share.readResult(into: results)
    let now = ContinuousClock.now
    activity.cpuSeconds += (waiting - since) / .seconds(1)
    activity.waitingSeconds += (now - waiting) / .seconds(1)
    running = nil
    return result
  }

  package func finish() {
    guard let share = running?.share else { return }
    unsafe ggml_backend_synchronize(share.stream.handle)
    running = nil
  }
}
