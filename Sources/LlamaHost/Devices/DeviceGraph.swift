// Graphs over memory that others own.

import CLlama

/// A short graph, made anew for each use. Its tensors lie in memory that is there.
/// It owns their descriptions, which go with `removeAll`: who takes a tensor from here marks what is done with it.
@safe final class DeviceGraph {
  private let context: OpaquePointer
  private let capacity: Int
  private(set) var graph: OpaquePointer

  init(capacity: Int) {
    let size = ggml_graph_overhead_custom(capacity, false) + 4 * capacity * ggml_tensor_overhead()
    guard let context = unsafe ggml_init(ggml_init_params(mem_size: size, mem_buffer: nil, no_alloc: true)),
      let graph = unsafe ggml_new_graph_custom(context, capacity, false)
    else { preconditionFailure("no memory for a graph of \(capacity) nodes") }
    unsafe self.context = unsafe context
    self.capacity = capacity
    unsafe self.graph = unsafe graph
  }

  deinit { unsafe ggml_free(context) }

  func removeAll() {
    unsafe ggml_reset(context)
    guard let new = unsafe ggml_new_graph_custom(context, capacity, false) else {
      preconditionFailure("a graph of \(capacity) nodes fitted before")
    }
    unsafe graph = unsafe new
  }

  /// A tensor in memory that is there, with strides in bytes for the second and third dimension.
  func tensor(
    _ type: ggml_type, _ shape: (Int, Int, Int), strides: (Int, Int), buffer: ggml_backend_buffer_t,
    data: UnsafeMutableRawPointer
  ) -> TensorPointer {
    guard
      let tensor = unsafe ggml_new_tensor_3d(context, type, Int64(shape.0), Int64(shape.1), Int64(shape.2))
    else { preconditionFailure("no room for a tensor") }
    unsafe tensor.pointee.nb.1 = strides.0
    unsafe tensor.pointee.nb.2 = strides.1
    unsafe tensor.pointee.nb.3 = strides.1 * shape.2
    unsafe place(tensor, buffer: buffer, data: data)
    return unsafe tensor
  }

  /// The product of two matrices, in single precision.
  func product(_ a: TensorPointer, _ b: TensorPointer) -> TensorPointer? {
    guard let product = unsafe ggml_mul_mat(context, a, b) else { return nil }
    _ = unsafe ggml_prec_set_acc(product, GGML_PREC_F32)
    return unsafe product
  }

  typealias Place = (buffer: ggml_backend_buffer_t, data: UnsafeMutableRawPointer)

  /// Adds nodes, which are computed in this order: `add` takes one and where its result goes; nil for those that lie in
  /// what they read.
  func nodes(
    _ body: (_ context: OpaquePointer, _ add: (TensorPointer?, Place?) -> TensorPointer) -> Void
  ) -> [TensorPointer] {
    var nodes: [TensorPointer] = unsafe []
    unsafe withoutActuallyEscaping(body) { body in
      unsafe body(context) { node, place in
        guard let node = unsafe node else { preconditionFailure("no room for a node") }
        if let place = unsafe place {
          unsafe self.place(node, buffer: place.buffer, data: place.data)
        } else {
          let status = unsafe ggml_backend_view_init(node)
          precondition(status == GGML_STATUS_SUCCESS, "ggml could not place a view: \(status)")
        }
        unsafe ggml_build_forward_expand(graph, node)
        unsafe nodes.append(node)
        return unsafe node
      }
    }
    return unsafe nodes
  }

  private func place(
    _ tensor: TensorPointer, buffer: ggml_backend_buffer_t, data: UnsafeMutableRawPointer
  ) {
    let status = unsafe ggml_backend_tensor_alloc(buffer, tensor, data)
    precondition(status == GGML_STATUS_SUCCESS, "ggml could not place a tensor: \(status)")
  }
}
