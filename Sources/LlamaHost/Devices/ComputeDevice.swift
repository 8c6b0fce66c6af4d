// The devices that ggml can compute on, and which of them a model is to use.

import CLlama

/// A device as ggml sees it: the CPU, a GPU of a back end that was loaded, or one of a remote machine.
public struct ComputeDevice: Sendable, Hashable, Encodable {
  /// What computes.
  public enum Kind: String, Sendable, Encodable {
    /// The processor, or a GPU with memory of its own, here or on another machine.
    case cpu, gpu
    /// A GPU that shares the machine's memory.
    case integratedGPU
    /// Something that helps the CPU, such as a BLAS library.
    case accelerator
  }

  /// What to ask for it by, such as `Vulkan0`.
  public let name: String
  /// What the driver says it is.
  public let description: String
  /// The back end that drives it, such as `Vulkan`.
  public let backend: String
  /// What it is.
  public let kind: Kind
  /// Bytes that are free, and bytes it has, when it was asked; nil where it does not tell.
  public let freeBytes: Int?
  /// All its memory, in bytes; nil where the back end does not tell.
  public let totalBytes: Int?

  /// Whether layers can be given to it.
  public var takesLayers: Bool { kind == .gpu || kind == .integratedGPU }

  /// All devices there are now. ``BackendModules/load()`` and ``RemoteServers/connect(to:)`` add some.
  public static func all() -> [ComputeDevice] {
    HostBackend.start()
    return (0..<ggml_backend_dev_count()).compactMap {
      unsafe ggml_backend_dev_get($0).flatMap(ComputeDevice.init)
    }
  }

  /// The devices that a model's layers go to when nobody names any: those of other machines and all GPUs; GPUs that
  /// share the machine's memory only where there are no others.
  public static func preferred(among devices: [ComputeDevice] = all()) -> [ComputeDevice] {
    let remote = devices.filter { $0.takesLayers && $0.backend == BackendModules.remote }
    let local = devices.filter { $0.takesLayers && $0.backend != BackendModules.remote }
    let discrete = local.filter { $0.kind == .gpu }
    return remote + (discrete.isEmpty ? local : discrete)
  }

  /// The devices of these names, in this order.
  ///
  /// - Throws: ``LlamaError/unknownDevice(name:available:)`` for a name that no device has to which layers can be
  ///   given.
  public static func named(_ names: [String]) throws -> [ComputeDevice] {
    let devices = all().filter(\.takesLayers)
    return try names.map { name in
      guard let device = devices.first(where: { $0.name.lowercased() == name.lowercased() }) else {
        throw LlamaError.unknownDevice(name: name, available: devices.map(\.name))
      }
      return device
    }
  }

  init?(_ handle: ggml_backend_dev_t) {
    switch unsafe ggml_backend_dev_type(handle) {
    case GGML_BACKEND_DEVICE_TYPE_CPU: kind = .cpu
    case GGML_BACKEND_DEVICE_TYPE_GPU: kind = .gpu
    case GGML_BACKEND_DEVICE_TYPE_IGPU: kind = .integratedGPU
    case GGML_BACKEND_DEVICE_TYPE_ACCEL: kind = .accelerator
    // Several devices that pose as one.
    default: return nil
    }
    name = unsafe ggml_backend_dev_name(handle).map { unsafe String(cString: $0) } ?? "?"
    description = unsafe ggml_backend_dev_description(handle).map { unsafe String(cString: $0) } ?? "?"
    backend =
      unsafe ggml_backend_dev_backend_reg(handle).flatMap { unsafe ggml_backend_reg_name($0) }.map {
        unsafe String(cString: $0)
      }
      ?? "?"
    var (free, total) = (0, 0)
    unsafe ggml_backend_dev_memory(handle, &free, &total)
    freeBytes = total > 0 ? free : nil
    totalBytes = total > 0 ? total : nil
  }

  /// ggml never forgets a device.
  var handle: ggml_backend_dev_t? { unsafe ggml_backend_dev_by_name(name) }
}
