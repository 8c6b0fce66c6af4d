// Making and freeing a C context.

import CLlama

/// Owns a C context, and keeps alive what the context points to.
final class ContextHandle {
  let pointer: OpaquePointer
  /// Nil for models that keep nothing, such as text encoders.
  let memory: OpaquePointer?
  private let model: ModelHandle
  private let pool: ThreadPool
  private let observer: NodeObserver?

  /// - Parameter configure: Changes what differs from one sequence, f16 cache, no embeddings. Caches are where the
  ///   layers are, so that attention is a node of the layer's own device and its keys keep their names; on another
  ///   device the host would attend to unnamed copies.
  init(
    model: LlamaModel, pool: ThreadPool, contextLength: Int, batchCapacity: Int, outputCapacity: Int,
    observer: NodeObserver?, configure: (inout llama_context_params) -> Void
  ) throws {
    self.model = model.handle
    self.pool = pool
    self.observer = observer
    let mark = HostLog.mark()
    var parameters = llama_context_default_params()
    parameters.n_ctx = UInt32(contextLength)
    parameters.n_batch = UInt32(batchCapacity)
    parameters.n_ubatch = UInt32(batchCapacity)
    parameters.n_seq_max = 1
    parameters.n_outputs_max = UInt32(outputCapacity)
    parameters.n_threads = Int32(pool.threadCount)
    parameters.n_threads_batch = Int32(pool.threadCount)
    parameters.type_k = GGML_TYPE_F16
    parameters.type_v = GGML_TYPE_F16
    parameters.offload_kqv = !model.devices.isEmpty
    parameters.op_offload = false
    parameters.no_perf = true
    parameters.kv_unified = true
    // A full-size cache for sliding-window layers, so that all layers are laid out alike.
    parameters.swa_full = true
    configure(&parameters)
    observer?.install(in: &parameters)
    guard let pointer = llama_init_from_model(model.handle.pointer, parameters) else {
      throw LlamaError.contextNotCreated(
        contextLength: contextLength, batchCapacity: batchCapacity, log: HostLog.lines(since: mark))
    }
    self.pointer = pointer
    memory = llama_get_memory(pointer)
    llama_attach_threadpool(pointer, pool.handle, pool.handle)
    try model.loadedAdapters.install(in: pointer)
  }

  deinit {
    llama_detach_threadpool(pointer)
    llama_free(pointer)
  }
}
