// Memory of a device, and graphs over memory that others own.

import CLlama

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#elseif canImport(Musl)
  import Musl
#endif

/// A back end of its own for a device: what it computes and what the host computes there take turns on the device, but
/// neither waits for the other's commands to be described.
final class DeviceStream {
  let device: ggml_backend_dev_t
  let name: String
  let handle: ggml_backend_t
  /// Whether it copies to the CPU while it computes. RPC servers do one thing after the other.
  let readsWhileComputing: Bool

  /// - Throws: ``LlamaError/deviceFailed(device:operation:)`` for a device that does not start.
  init(_ device: ggml_backend_dev_t, pool: ThreadPool) throws {
    let name = ggml_backend_dev_name(device).map { String(cString: $0) } ?? "?"
    guard let handle = ggml_backend_dev_init(device, nil) else {
      throw LlamaError.deviceFailed(device: name, operation: "start a second time")
    }
    self.device = device
    self.name = name
    self.handle = handle
    var properties = ggml_backend_dev_props()
    ggml_backend_dev_get_props(device, &properties)
    readsWhileComputing = properties.caps.async && properties.caps.host_buffer
    if ggml_backend_dev_type(device) == GGML_BACKEND_DEVICE_TYPE_CPU {
      ggml_backend_cpu_set_n_threads(handle, Int32(pool.threadCount))
      ggml_backend_cpu_set_threadpool(handle, pool.handle)
    }
  }

  deinit { ggml_backend_free(handle) }

  /// Begins with a graph, which must stay as it is until it is done.
  func start(_ graph: DeviceGraph) throws {
    let status = ggml_backend_graph_compute_async(handle, graph.graph)
    guard status == GGML_STATUS_SUCCESS else {
      throw LlamaError.deviceFailed(device: name, operation: "attend (status \(status.rawValue))")
    }
    // ggml's RPC sends from a thread of its own, which wakes on this core and would wait for this thread's work.
    sched_yield()
  }

  /// Bytes that are free; nil where the device does not tell.
  var freeBytes: Int? {
    var (free, total) = (0, 0)
    ggml_backend_dev_memory(device, &free, &total)
    return total > 0 ? free : nil
  }

  /// Bytes that may be taken; nil where nobody knows. Back ends take more for themselves as they work, and end the process
  /// when there is none: some is left to them.
  func availableBytes(for context: LlamaContext) -> Int? {
    let used = context.deviceMemory.first { $0.device == name }?.total ?? 0
    let allowed = context.model.deviceMemoryLimit.map { $0 - used - context.holdings[name] }
    let free = freeBytes.map { $0 - max($0 / 16, Self.reserve) }
    return [allowed, free].compactMap { $0 }.min()
  }

  private static let reserve = 64 << 20
}

/// Bytes that contexts' prompts and windows hold on devices, by name.
final class DeviceHoldings {
  private var bytes: [String: Int] = [:]

  subscript(device: String) -> Int { bytes[device, default: 0] }

  func add(_ count: Int, on device: String) { bytes[device, default: 0] += count }
}

/// Bytes on a device, all zero at first.
final class DeviceMemoryBlock {
  let byteCount: Int
  let buffer: ggml_backend_buffer_t
  let base: UnsafeMutableRawPointer
  private let context: OpaquePointer

  /// Nil when the device has not so much.
  init?(byteCount: Int, on stream: DeviceStream) {
    let parameters = ggml_init_params(
      mem_size: 2 * ggml_tensor_overhead(), mem_buffer: nil, no_alloc: true)
    guard let context = ggml_init(parameters) else { return nil }
    guard let buffer = ggml_backend_alloc_buffer(stream.handle, byteCount),
      let base = ggml_backend_buffer_get_base(buffer)
    else {
      ggml_free(context)
      return nil
    }
    self.byteCount = byteCount
    self.buffer = buffer
    self.base = base
    self.context = context
    ggml_backend_buffer_clear(buffer, 0)
  }

  deinit {
    ggml_backend_buffer_free(buffer)
    ggml_free(context)
  }

  /// Returns when the bytes are there.
  func write(_ source: UnsafeRawPointer, byteCount: Int, at offset: Int) {
    ggml_backend_tensor_set(piece(byteCount, at: offset), source, 0, byteCount)
  }

  /// Returns when the bytes are here.
  func read(_ target: UnsafeMutableRawPointer, byteCount: Int, at offset: Int) {
    ggml_backend_tensor_get(piece(byteCount, at: offset), target, 0, byteCount)
  }

  /// A part of it as bytes. One tensor for all of it would be longer than the 32 bits that RPC has for lengths.
  private func piece(_ byteCount: Int, at offset: Int) -> TensorPointer {
    precondition(offset >= 0 && byteCount <= self.byteCount - offset, "\(byteCount) bytes at \(offset)")
    ggml_reset(context)
    guard let tensor = ggml_new_tensor_1d(context, GGML_TYPE_I8, Int64(byteCount)),
      ggml_backend_tensor_alloc(buffer, tensor, base + offset) == GGML_STATUS_SUCCESS
    else { preconditionFailure("no room for a tensor") }
    return tensor
  }
}

/// A short graph, made anew for each use. Its tensors lie in memory that is there.
final class DeviceGraph {
  private let context: OpaquePointer
  private let capacity: Int
  private(set) var graph: OpaquePointer

  init(capacity: Int) {
    let size = ggml_graph_overhead_custom(capacity, false) + 4 * capacity * ggml_tensor_overhead()
    guard let context = ggml_init(ggml_init_params(mem_size: size, mem_buffer: nil, no_alloc: true)),
      let graph = ggml_new_graph_custom(context, capacity, false)
    else { preconditionFailure("no memory for a graph of \(capacity) nodes") }
    self.context = context
    self.capacity = capacity
    self.graph = graph
  }

  deinit { ggml_free(context) }

  func removeAll() {
    ggml_reset(context)
    guard let new = ggml_new_graph_custom(context, capacity, false) else {
      preconditionFailure("a graph of \(capacity) nodes fitted before")
    }
    graph = new
  }

  /// A tensor in memory that is there, with strides in bytes for the second and third dimension.
  func tensor(
    _ type: ggml_type, _ shape: (Int, Int, Int), strides: (Int, Int), buffer: ggml_backend_buffer_t,
    data: UnsafeMutableRawPointer
  ) -> TensorPointer {
    guard
      let tensor = ggml_new_tensor_3d(context, type, Int64(shape.0), Int64(shape.1), Int64(shape.2))
    else { preconditionFailure("no room for a tensor") }
    tensor.pointee.nb.1 = strides.0
    tensor.pointee.nb.2 = strides.1
    tensor.pointee.nb.3 = strides.1 * shape.2
    place(tensor, buffer: buffer, data: data)
    return tensor
  }

  typealias Place = (buffer: ggml_backend_buffer_t, data: UnsafeMutableRawPointer)

  /// Adds nodes, which are computed in this order: `add` takes one and where its result goes; nil for those that lie in
  /// what they read.
  @discardableResult
  func nodes(
    _ body: (_ context: OpaquePointer, _ add: (TensorPointer?, Place?) -> TensorPointer) -> Void
  ) -> [TensorPointer] {
    var nodes: [TensorPointer] = []
    withoutActuallyEscaping(body) { body in
      body(context) { node, place in
        guard let node else { preconditionFailure("no room for a node") }
        if let place {
          self.place(node, buffer: place.buffer, data: place.data)
        } else {
          let status = ggml_backend_view_init(node)
          precondition(status == GGML_STATUS_SUCCESS, "ggml could not place a view: \(status)")
        }
        ggml_build_forward_expand(graph, node)
        nodes.append(node)
        return node
      }
    }
    return nodes
  }

  private func place(
    _ tensor: TensorPointer, buffer: ggml_backend_buffer_t, data: UnsafeMutableRawPointer
  ) {
    let status = ggml_backend_tensor_alloc(buffer, tensor, data)
    precondition(status == GGML_STATUS_SUCCESS, "ggml could not place a tensor: \(status)")
  }
}
