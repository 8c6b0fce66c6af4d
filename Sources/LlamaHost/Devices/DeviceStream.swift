// A device as our own graphs use it, beside the host.

import CLlama
import Platform

/// A back end of its own for a device: what it computes and what the host computes there take turns on the device, but
/// neither waits for the other's commands to be described. The back end is there as long as this object, the device
/// always.
@safe final class DeviceStream {
  let device: ggml_backend_dev_t
  let name: String
  let handle: ggml_backend_t
  /// Whether it copies to the CPU while it computes. RPC servers do one thing after the other.
  let readsWhileComputing: Bool

  /// - Throws: ``LlamaError/deviceFailed(device:operation:)`` for a device that does not start.
  init(_ device: ggml_backend_dev_t, pool: ThreadPool) throws {
    let name = unsafe ggml_backend_dev_name(device).map { unsafe String(cString: $0) } ?? "?"
    guard let handle = unsafe ggml_backend_dev_init(device, nil) else {
      throw LlamaError.deviceFailed(device: name, operation: "start a second time")
    }
    unsafe self.device = unsafe device
    self.name = name
    unsafe self.handle = unsafe handle
    var properties = unsafe ggml_backend_dev_props()
    unsafe ggml_backend_dev_get_props(device, &properties)
    readsWhileComputing = unsafe properties.caps.async && properties.caps.host_buffer
    if unsafe ggml_backend_dev_type(device) == GGML_BACKEND_DEVICE_TYPE_CPU {
      unsafe ggml_backend_cpu_set_n_threads(handle, Int32(pool.threadCount))
      unsafe ggml_backend_cpu_set_threadpool(handle, pool.handle)
    }
  }

  deinit { unsafe ggml_backend_free(handle) }

  /// Begins with a graph, which must stay as it is until it is done.
  func start(_ graph: DeviceGraph) throws {
    let status = unsafe ggml_backend_graph_compute_async(handle, graph.graph)
    guard status == GGML_STATUS_SUCCESS else {
      throw LlamaError.deviceFailed(device: name, operation: "attend (status \(status.rawValue))")
    }
    // ggml's RPC sends from a thread of its own, which wakes on this core and would wait for this thread's work.
    sched_yield()
  }

  /// Bytes that are free; nil where the device does not tell.
  var freeBytes: Int? {
    var (free, total) = (0, 0)
    unsafe ggml_backend_dev_memory(device, &free, &total)
    return total > 0 ? free : nil
  }

  /// Bytes that may be taken; nil where nobody knows. Back ends take more for themselves as they work, and end the
  /// process when there is none: some is left to them.
  func availableBytes(for context: GuestContext) -> Int? {
    let used = context.deviceMemory.first { $0.device == name }?.total ?? 0
    let allowed = context.model.deviceMemoryLimit.map { $0 - used - context.holdings[name] }
    let free = freeBytes.map { $0 - max($0 / 16, Self.reserve) }
    return [allowed, free].compactMap { $0 }.min()
  }

  private static let reserve = 64 << 20
}
