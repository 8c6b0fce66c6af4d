// Making and freeing a C context.

import CLlama

/// Owns a C context, which is there for as long as this is, and keeps alive what the context points to.
@safe final class ContextHandle {
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
    var parameters = unsafe llama_context_default_params()
    unsafe parameters.n_ctx = UInt32(contextLength)
    unsafe parameters.n_batch = UInt32(batchCapacity)
    unsafe parameters.n_ubatch = UInt32(batchCapacity)
    unsafe parameters.n_seq_max = 1
    unsafe parameters.n_outputs_max = UInt32(outputCapacity)
    unsafe parameters.n_threads = Int32(pool.threadCount)
    unsafe parameters.n_threads_batch = Int32(pool.threadCount)
    unsafe parameters.type_k = GGML_TYPE_F16
    unsafe parameters.type_v = GGML_TYPE_F16
    unsafe parameters.offload_kqv = !model.devices.isEmpty
    unsafe parameters.op_offload = false
    unsafe parameters.no_perf = true
    unsafe parameters.kv_unified = true
    // A full-size cache for sliding-window layers, so that all layers are laid out alike.
    unsafe parameters.swa_full = true
    unsafe model.ropeScaling?.apply(to: &parameters)
    unsafe configure(&parameters)
    unsafe observer?.install(in: &parameters)
    guard let pointer = unsafe llama_init_from_model(model.handle.pointer, parameters) else {
      throw LlamaError.contextNotCreated(
        contextLength: contextLength, batchCapacity: batchCapacity, log: HostLog.lines(since: mark))
    }
    unsafe self.pointer = unsafe pointer
    unsafe memory = unsafe llama_get_memory(pointer)
    unsafe llama_attach_threadpool(pointer, pool.handle, pool.handle)
    try model.loadedAdapters.install(in: self)
  }

  deinit {
    unsafe llama_detach_threadpool(pointer)
    unsafe llama_free(pointer)
  }
}
