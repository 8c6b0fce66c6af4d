// Access to the host's tensors wherever they live.

import CLlama

typealias TensorPointer = UnsafeMutablePointer<ggml_tensor>

enum HostTensor {
  /// Whether the tensor's bytes can be read through a pointer.
  static func isHostMemory(_ tensor: TensorPointer) -> Bool {
    guard let buffer = unsafe buffer(tensor) else { return unsafe tensor.pointee.data != nil }
    return unsafe ggml_backend_buffer_is_host(buffer)
  }

  /// The device that the tensor lies on.
  static func device(_ tensor: TensorPointer) -> ggml_backend_dev_t? {
    unsafe buffer(tensor).flatMap { unsafe ggml_backend_buft_get_device(ggml_backend_buffer_get_type($0)) }
  }

  /// Where the tensor lies; a view may lack a buffer of its own.
  static func buffer(_ tensor: TensorPointer) -> ggml_backend_buffer_t? {
    unsafe tensor.pointee.buffer ?? tensor.pointee.view_src?.pointee.buffer
  }

  /// The layer that a cache tensor (or a view of one) belongs to, from a name such as `cache_k_l17`.
  static func cacheLayer(_ tensor: TensorPointer) -> (isKey: Bool, layer: Int)? {
    let root = unsafe tensor.pointee.view_src ?? tensor
    guard let name = unsafe ggml_get_name(root) else { return nil }
    return unsafe name.withMemoryRebound(to: UInt8.self, capacity: 64) { unsafe cacheLayer($0) }
  }

  private static let prefix: StaticString = "cache_?_l"

  private static func cacheLayer(_ name: UnsafePointer<UInt8>) -> (isKey: Bool, layer: Int)? {
    var isKey = false
    for index in 0..<prefix.utf8CodeUnitCount {
      let expected = unsafe prefix.utf8Start[index]
      if expected == UInt8(ascii: "?") {
        guard unsafe name[index] == UInt8(ascii: "k") || name[index] == UInt8(ascii: "v") else { return nil }
        isKey = unsafe name[index] == UInt8(ascii: "k")
      } else if unsafe name[index] != expected {
        return nil
      }
    }
    var layer = 0
    var index = prefix.utf8CodeUnitCount
    while unsafe name[index] != 0 {
      // Other letters are other caches' business (states of recurrent layers, streams).
      guard unsafe (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(name[index]), layer < 100_000 else {
        return nil
      }
      layer = unsafe layer * 10 + Int(name[index] - UInt8(ascii: "0"))
      index += 1
    }
    return index > prefix.utf8CodeUnitCount ? (isKey, layer) : nil
  }

  /// Whether the values of an attention node are the beginnings of its keys, in the same memory.
  static func areKeys(_ value: TensorPointer, _ key: TensorPointer) -> Bool {
    unsafe cacheLayer(value)?.isKey == true && value.pointee.data == key.pointee.data
      && value.pointee.nb.1 == key.pointee.nb.1 && value.pointee.nb.2 == key.pointee.nb.2
  }

  /// The numbers of a tensor of single precision.
  static func floats(_ tensor: TensorPointer) -> [Float] {
    guard unsafe tensor.pointee.type == GGML_TYPE_F32 else { return [] }
    let count = unsafe Int(ggml_nelements(tensor))
    return unsafe [Float](unsafeUninitializedCapacity: count) { buffer, initialized in
      unsafe ggml_backend_tensor_get(tensor, buffer.baseAddress, 0, count * 4)
      initialized = count
    }
  }

  /// Whether an index tensor of a SET_ROWS node says 0, 1, 2 and so on.
  static func isInOrder(_ rows: TensorPointer, count: Int) -> Bool {
    if unsafe rows.pointee.type == GGML_TYPE_I64, unsafe Int(rows.pointee.ne.0) == count,
      unsafe isHostMemory(rows),
      let data = unsafe rows.pointee.data
    {
      let indices = unsafe data.assumingMemoryBound(to: Int64.self)
      return (0..<count).allSatisfy { unsafe indices[$0] == Int64($0) }
    }
    return unsafe indices(rows, count: count)?.elementsEqual(0..<Int64(count)) ?? false
  }

  /// Row numbers in an index tensor of a SET_ROWS node, nil if it is not of an integer type.
  static func indices(_ tensor: TensorPointer, count: Int) -> [Int64]? {
    guard unsafe Int(tensor.pointee.ne.0) >= count, count > 0 else { return nil }
    if unsafe tensor.pointee.type == GGML_TYPE_I64 {
      return unsafe [Int64](unsafeUninitializedCapacity: count) { buffer, initialized in
        unsafe ggml_backend_tensor_get(tensor, buffer.baseAddress, 0, count * 8)
        initialized = count
      }
    }
    guard unsafe tensor.pointee.type == GGML_TYPE_I32 else { return nil }
    return unsafe [Int32](unsafeUninitializedCapacity: count) { buffer, initialized in
      unsafe ggml_backend_tensor_get(tensor, buffer.baseAddress, 0, count * 4)
      initialized = count
    }.map(Int64.init)
  }
}

/// Which caches a layer's new rows were stored in, and whether in batch order: told when the host is about to store
/// them, since it may use the memory of the row numbers again before attention. Tensors are only compared.
@safe struct StoredCacheRows {
  private var caches: [(root: TensorPointer, isInOrder: Bool)] = unsafe []

  mutating func note(_ node: TensorPointer, isInOrder: Bool) {
    unsafe caches.append((node.pointee.view_src ?? node, isInOrder))
  }

  /// Nil when nothing was stored in the cache that a tensor is a view of.
  func isInOrder(_ tensor: TensorPointer) -> Bool? {
    let root = unsafe tensor.pointee.view_src ?? tensor
    return unsafe caches.last { unsafe $0.root == root }?.isInOrder
  }

  mutating func removeAll() { unsafe caches.removeAll(keepingCapacity: true) }
}

/// Memory that is kept between uses and grows when needed: for copies from and to a device, in memory that this can
/// read and write by itself, where it has such. It owns the memory; an address is good until the next call.
@safe final class StagingBuffer {
  private var regions: [Region] = []

  /// Memory that its owner frees, once.
  @safe private struct Region {
    var device: ggml_backend_dev_t?
    var memory: UnsafeMutableRawBufferPointer
    /// Owns the memory when it is of a back end's making.
    var pinned: ggml_backend_buffer_t?

    func free() {
      if let pinned = unsafe pinned {
        unsafe ggml_backend_buffer_free(pinned)
      } else {
        unsafe memory.deallocate()
      }
    }
  }

  deinit { for region in regions { region.free() } }

  /// - Parameter device: whose copies go there; nil for none in particular.
  func reserve(_ count: Int, for device: ggml_backend_dev_t? = nil) -> UnsafeMutableRawPointer {
    if let index = regions.firstIndex(where: { unsafe $0.device == device }) {
      if unsafe regions[index].memory.count < count {
        regions[index].free()
        regions[index] = unsafe Self.allocate(max(count, 4096), for: device)
      }
      return unsafe regions[index].memory.baseAddress!
    }
    let region = unsafe Self.allocate(max(count, 4096), for: device)
    regions.append(region)
    return unsafe region.memory.baseAddress!
  }

  private static func allocate(_ count: Int, for device: ggml_backend_dev_t?) -> Region {
    if let device = unsafe device, let kind = unsafe ggml_backend_dev_host_buffer_type(device),
      let buffer = unsafe ggml_backend_buft_alloc_buffer(kind, count)
    {
      if let base = unsafe ggml_backend_buffer_get_base(buffer) {
        return unsafe Region(
          device: device, memory: UnsafeMutableRawBufferPointer(start: base, count: count), pinned: buffer)
      }
      unsafe ggml_backend_buffer_free(buffer)
    }
    return unsafe Region(device: device, memory: .allocate(byteCount: count, alignment: 64))
  }
}
