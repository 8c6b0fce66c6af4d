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
    if takeover.isHybrid {
      windowReading.refusal = Self.hybridRefusal
      return nil
    }
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
