// Loading a model, which then never changes.

import CLlama

/// A loaded model: weights, vocabulary and description. Immutable, so share it between threads and contexts.
///
///     let model = try LlamaModel.load(path: "model.gguf")
///     print(model.description)
public final class LlamaModel: Sendable {
  /// How to load; nothing here depends on the number of threads.
  public struct Options: Sendable {
    /// Map the file instead of reading it: quicker to start, shared between processes, and weights of
    /// layers that are not in use can be dropped from memory.
    public var useMemoryMap = true
    /// Layers whose weights go to a GPU. Guest attention wants 0.
    public var gpuLayers = 0
    /// Load no weights: enough to tokenize, not to evaluate.
    public var vocabularyOnly = false

    public init() {}
  }

  public let description: ModelDescription
  public let tokenizer: Tokenizer
  /// The checked header of the file.
  public let file: GGUFFile
  let handle: ModelHandle

  /// The model's own chat template, nil when it has none.
  public var chatTemplate: ChatTemplate? {
    guard let source = llama_model_chat_template(handle.pointer, nil) else { return nil }
    return ChatTemplate(source: String(cString: source), tokenizer: tokenizer)
  }

  /// Loads a model after checking the file.
  ///
  /// - Parameter progress: Called with 0...1 on this thread; return false to stop.
  /// - Throws: ``GGUFError`` for a bad file, ``LlamaError/modelNotLoaded(path:log:)`` when llama.cpp refuses
  ///   it, `CancellationError` when `progress` or the current task says so. Nothing stays loaded then.
  public static func load(
    path: String, options: Options = Options(), progress: ((Float) -> Bool)? = nil
  ) throws -> LlamaModel {
    try LlamaModel(path: path, options: options, progress: progress)
  }

  /// See ``load(path:options:progress:)``.
  public init(path: String, options: Options = Options(), progress: ((Float) -> Bool)? = nil) throws {
    HostBackend.start()
    file = try GGUFFile(validating: path)
    let mark = HostLog.mark()
    let monitor = LoadMonitor(progress)
    var parameters = llama_model_default_params()
    parameters.load_mode = options.useMemoryMap ? LLAMA_LOAD_MODE_MMAP : LLAMA_LOAD_MODE_NONE
    parameters.n_gpu_layers = Int32(clamping: options.gpuLayers)
    parameters.vocab_only = options.vocabularyOnly
    parameters.progress_callback = { fraction, state in
      guard let state else { return true }
      return Unmanaged<LoadMonitor>.fromOpaque(state).takeUnretainedValue().report(fraction)
    }
    parameters.progress_callback_user_data = Unmanaged.passUnretained(monitor).toOpaque()
    // An empty list of devices keeps GPU back ends out of the picture altogether.
    var noDevices: [ggml_backend_dev_t?] = [nil]
    let pointer: OpaquePointer? = withExtendedLifetime(monitor) {
      noDevices.withUnsafeMutableBufferPointer { devices in
        if options.gpuLayers == 0 { parameters.devices = devices.baseAddress }
        return llama_model_load_from_file(path, parameters)
      }
    }
    guard let pointer else {
      if monitor.isCancelled { throw CancellationError() }
      throw LlamaError.modelNotLoaded(path: path, log: HostLog.lines(since: mark))
    }
    handle = ModelHandle(pointer)
    tokenizer = try Tokenizer(model: handle, path: path)
    description = ModelDescription(model: handle, file: file, vocabularySize: tokenizer.vocabularySize)
  }
}

/// Owns the C model. Everything that reads it keeps a reference to this.
///
/// `@unchecked`: llama.cpp only reads a loaded model, and says so by taking it as `const`.
final class ModelHandle: @unchecked Sendable {
  let pointer: OpaquePointer

  init(_ pointer: OpaquePointer) { self.pointer = pointer }

  deinit { llama_model_free(pointer) }
}

/// What the loading callback needs.
private final class LoadMonitor {
  private let progress: ((Float) -> Bool)?
  private(set) var isCancelled = false

  init(_ progress: ((Float) -> Bool)?) { self.progress = progress }

  func report(_ fraction: Float) -> Bool {
    if Task.isCancelled || progress?(fraction) == false { isCancelled = true }
    return !isCancelled
  }
}
