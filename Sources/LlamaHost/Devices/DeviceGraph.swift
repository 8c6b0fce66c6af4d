// Graphs over memory that others own.

import CLlama

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
