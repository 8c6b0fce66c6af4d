// Generated tokens: devices attend to the first and last tokens while the CPU searches the index.

public import LlamaHost
import RetrievalAttention

/// How the last context's first and last tokens were attended to by devices.
public struct WindowReading: Sendable, Hashable, Encodable {
  /// Bytes that devices hold for it, by name.
  public internal(set) var byteCounts: [String: Int] = [:]
  public internal(set) var activity = WindowActivity()
  /// Why they did not, though they were to.
  public internal(set) var refusal: String?
}

extension GuestHost {
  /// Memory of devices for an engine's first and last tokens; nil where the CPU is to attend to them too.
  func deviceWindow(of engine: AttentionEngine) throws -> DeviceWindow? {
    guard placement.isAnywhere || model.attendsToWindowsOnDevices && context.hasDeviceLayers,
      let capacity = engine.maximumFixedRows
    else { return nil }
    windowReading = WindowReading()
    do {
      let window = try DeviceWindow(capacity: capacity, context: context, anywhere: placement.isAnywhere)
      windowReading.byteCounts = window.byteCounts
      return window
    } catch let error as LlamaError {
      windowReading.refusal = "\(error)"
      return nil
    }
  }
}

/// An engine's keys and values, for devices.
final class EngineRows: StoredRows {
  private let engine: AttentionEngine

  init(_ engine: AttentionEngine) { self.engine = engine }

  func withRows(
    layer: Int, kvHead: Int, count: Int, skipping skipped: Int,
    _ body: (_ keys: UnsafePointer<UInt16>, _ values: UnsafePointer<UInt16>) throws -> Void
  ) throws {
    try engine.withHalfPrecisionRows(layer: layer, kvHead: kvHead, count: count, skipping: skipped, body)
  }

  func window(layer: Int) -> WindowRows? {
    engine.fixedRows(layer: layer).map {
      WindowRows(
        sinkCount: $0.sinkCount, windowCount: $0.windowCount, rowCount: $0.rowCount, version: $0.version)
    }
  }
}

/// What a device computes, for an engine.
final class DeviceFixedAttention: FixedAttention {
  private let window: DeviceWindow

  init(_ window: DeviceWindow) { self.window = window }

  /// Whether the device of the present layer is at it.
  var isRunning: Bool { window.isRunning }

  func result() -> (outputs: UnsafePointer<Float>, logSumExps: UnsafePointer<Float>) {
    guard let result = window.result() else { preconditionFailure("no device is at this layer") }
    return result
  }
}
