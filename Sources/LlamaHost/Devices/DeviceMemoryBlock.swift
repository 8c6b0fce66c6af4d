// Memory of a device.

import CLlama

/// Bytes that contexts' prompts and windows hold on devices, by name.
final class DeviceHoldings {
  private var bytes: [String: Int] = [:]

  subscript(device: String) -> Int { bytes[device, default: 0] }

  func add(_ count: Int, on device: String) { bytes[device, default: 0] += count }
}

/// Bytes on a device, all zero at first; given back with this object. Copies are within them, which is checked.
@safe final class DeviceMemoryBlock {
  let byteCount: Int
  let buffer: ggml_backend_buffer_t
  let base: UnsafeMutableRawPointer
  private let context: OpaquePointer

  /// Nil when the device has not so much.
  init?(byteCount: Int, on stream: DeviceStream) {
    let parameters = unsafe ggml_init_params(
      mem_size: 2 * ggml_tensor_overhead(), mem_buffer: nil, no_alloc: true)
    guard let context = unsafe ggml_init(parameters) else { return nil }
    guard let buffer = unsafe ggml_backend_alloc_buffer(stream.handle, byteCount),
      let base = unsafe ggml_backend_buffer_get_base(buffer)
    else {
      unsafe ggml_free(context)
      return nil
    }
    self.byteCount = byteCount
    unsafe self.buffer = unsafe buffer
    unsafe self.base = unsafe base
    unsafe self.context = unsafe context
    unsafe ggml_backend_buffer_clear(buffer, 0)
  }

  deinit {
    unsafe ggml_backend_buffer_free(buffer)
    unsafe ggml_free(context)
  }

  /// Returns when the bytes are there.
  func write(_ source: UnsafeRawPointer, byteCount: Int, at offset: Int) {
    unsafe ggml_backend_tensor_set(piece(byteCount, at: offset), source, 0, byteCount)
  }

  /// The same for numbers of half precision, by their bits.
  func write(_ numbers: [UInt16], at offset: Int) {
    unsafe numbers.withUnsafeBytes { bytes in
      if let start = bytes.baseAddress { unsafe write(start, byteCount: bytes.count, at: offset) }
    }
  }

  /// Returns when the bytes are here.
  func read(_ target: UnsafeMutableRawPointer, byteCount: Int, at offset: Int) {
    unsafe ggml_backend_tensor_get(piece(byteCount, at: offset), target, 0, byteCount)
  }

  /// A part of it as bytes. One tensor for all of it would be longer than the 32 bits that RPC has for lengths.
  private func piece(_ byteCount: Int, at offset: Int) -> TensorPointer {
    precondition(offset >= 0 && byteCount <= self.byteCount - offset, "\(byteCount) bytes at \(offset)")
    unsafe ggml_reset(context)
    guard let tensor = unsafe ggml_new_tensor_1d(context, GGML_TYPE_I8, Int64(byteCount)),
      unsafe ggml_backend_tensor_alloc(buffer, tensor, base + offset) == GGML_STATUS_SUCCESS
    else { preconditionFailure("no room for a tensor") }
    return unsafe tensor
  }
}
