// Loading a model, which then never changes.

import CLlama
import Synchronization

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
    /// Layers whose weights go to ``devices``, the last ones of the model; the output counts as one more. Any number
    /// beyond that means all.
    public var gpuLayers = 0
    /// Where they go, in this order, shared out by free memory. With none of them everything stays on the CPU.
    public var devices: [ComputeDevice] = []
    /// Whether prompts are attended to on the devices, which keep their keys and values meanwhile, where they fit.
    public var readsPromptsOnDevices = true
    /// Whether devices attend to the first and the last tokens of a context while others are generated.
    public var attendsToWindowsOnDevices = false
    /// Most bytes that one device may hold; see
    /// ``LlamaError/deviceMemoryExceeded(device:weights:cache:compute:limit:)``.
    public var deviceMemoryLimit: Int?
    /// The set of RoPE factors, for models that have two; nil for the short ones. See
    /// ``GGUFFile/ropeFactors(forContext:)``.
    public var ropeFactors: RopeFactors?
    /// How angles of RoPE are scaled, for contexts beyond what the model was trained for; nil for what its file says.
    public var ropeScaling: RopeScaling?
    /// What is added to the weights.
    public var adapters: [LoRAAdapter] = []
    /// Load no weights: enough to tokenize, not to evaluate.
    public var vocabularyOnly = false
    /// A chat template in place of the model's own.
    public var chatTemplate: ChatTemplate.Choice?
    /// What chat templates are given beside messages.
    public var chatTemplateOptions = ChatTemplate.Options()

    /// Everything on the CPU.
    public init() {}
  }

  /// What is known without evaluating anything.
  public let description: ModelDescription
  /// The model's own.
  public let tokenizer: Tokenizer
  /// The checked header of the file.
  public let file: GGUFFile
  /// The devices that have layers; empty when all are on the CPU.
  public let devices: [ComputeDevice]
  /// See ``Options/readsPromptsOnDevices``.
  public let readsPromptsOnDevices: Bool
  /// See ``Options/attendsToWindowsOnDevices``.
  public let attendsToWindowsOnDevices: Bool
  /// The RoPE factors in use; nil for models that have one set, or none.
  public let ropeFactors: RopeFactors?
  /// The scaling of RoPE in place of the file's, complete with what the file tells of it; nil for the file's own.
  public let ropeScaling: RopeScaling?
  /// The chat template of the model, or the one that it was loaded with; nil when there is none. Whether it can be
  /// used is told by ``ChatTemplate/check()``.
  public let chatTemplate: ChatTemplate?
  /// See ``Options/chatTemplateOptions``.
  public let chatTemplateOptions: ChatTemplate.Options
  /// See ``Options/adapters``.
  public let adapters: [LoRAAdapter]
  let deviceMemoryLimit: Int?
  let handle: ModelHandle
  let loadedAdapters: LoadedAdapters
  private let probed = Mutex<TakeoverReport?>(nil)

  /// What its attention looks like, and whether a guest can compute it. Cost: a context of 256 positions and five tiny
  /// batches, once.
  ///
  /// - Throws: Only when the question cannot be asked, for example in a cancelled task; a model that cannot be taken
  ///   over is an answer.
  public func takeover(pool: ThreadPool) throws -> TakeoverReport {
    if let report = probed.withLock(\.self) { return report }
    let report = try TakeoverProbe(model: self, pool: pool).report()
    probed.withLock { $0 = report }
    return report
  }

  /// Loads a model after checking the file.
  ///
  /// - Parameter progress: Called with 0...1 on this thread; return false to stop.
  /// - Throws: ``GGUFError`` for a bad file, ``LlamaError/notALanguageModel(path:kind:)``,
  ///   ``LlamaError/adapterNotUsable(path:reason:)``, ``LlamaError/ropeScalingNotUsable(_:reason:)``,
  ///   ``LlamaError/modelNotLoaded(path:log:)`` when llama.cpp
  ///   refuses it, ``LlamaError/deviceMemoryExceeded(device:weights:cache:compute:limit:)`` when the weights alone
  ///   are more than may go to the devices, `CancellationError` when `progress` or the current task says so.
  ///   Nothing stays loaded then.
  public static func load(
    path: String, options: Options = Options(), progress: ((Float) -> Bool)? = nil
  ) throws -> LlamaModel {
    try LlamaModel(path: path, options: options, progress: progress)
  }

  /// See ``load(path:options:progress:)``.
  public init(path: String, options: Options = Options(), progress: ((Float) -> Bool)? = nil) throws {
    try HostProcessor.check()
    HostBackend.start()
    file = try GGUFFile(validating: path)
    guard file.kind == .model else { throw LlamaError.notALanguageModel(path: path, kind: file.kind) }
    adapters = options.vocabularyOnly ? [] : options.adapters
    devices = options.gpuLayers > 0 && !options.vocabularyOnly ? options.devices : []
    readsPromptsOnDevices = options.readsPromptsOnDevices
    attendsToWindowsOnDevices = options.attendsToWindowsOnDevices
    deviceMemoryLimit = options.deviceMemoryLimit
    ropeFactors = file.hasTwoRopeFactors ? options.ropeFactors ?? .short : nil
    ropeScaling = try options.ropeScaling?.resolved(for: file)
    try Self.checkDeviceMemory(
      file: file, layers: options.gpuLayers, devices: devices, limit: deviceMemoryLimit)
    let mark = HostLog.mark()
    let monitor = LoadMonitor(progress)
    var parameters = unsafe llama_model_default_params()
    unsafe parameters.load_mode = options.useMemoryMap ? LLAMA_LOAD_MODE_MMAP : LLAMA_LOAD_MODE_NONE
    unsafe parameters.n_gpu_layers = devices.isEmpty ? 0 : Int32(clamping: options.gpuLayers)
    unsafe parameters.vocab_only = options.vocabularyOnly
    unsafe parameters.progress_callback = { fraction, state in
      guard let state = unsafe state else { return true }
      return unsafe Unmanaged<LoadMonitor>.fromOpaque(state).takeUnretainedValue().report(fraction)
    }
    unsafe parameters.progress_callback_user_data = unsafe Unmanaged.passUnretained(monitor).toOpaque()
    let overrides = ropeFactors == .long ? MetadataOverrides(alwaysLongRopeOf: file.architecture ?? "") : nil
    // An empty list keeps GPU back ends out of the picture altogether; none would mean all of them.
    var handles = unsafe devices.map(\.handle) + [nil]
    let pointer = unsafe withExtendedLifetime(monitor) {
      unsafe handles.withUnsafeMutableBufferPointer { handles in
        unsafe parameters.devices = handles.baseAddress
        return unsafe MetadataOverrides.with(overrides, in: parameters) {
          unsafe llama_model_load_from_file(path, $0)
        }
      }
    }
    guard let pointer = unsafe pointer else {
      if monitor.isCancelled { throw CancellationError() }
      throw LlamaError.modelNotLoaded(path: path, log: HostLog.lines(since: mark))
    }
    handle = unsafe ModelHandle(pointer)
    loadedAdapters = try LoadedAdapters(adapters, model: handle, architecture: file.architecture)
    tokenizer = try Tokenizer(model: handle, path: path)
    chatTemplateOptions = options.chatTemplateOptions
    let template = unsafe llama_model_chat_template(pointer, nil).map { unsafe String(cString: $0) }
    let chosen = try options.chatTemplate.map { [file] in
      try $0.source(in: file) {
        unsafe llama_model_chat_template(pointer, $0).map { unsafe String(cString: $0) }
      }
    }
    chatTemplate = (chosen ?? template).map { [tokenizer] source in
      ChatTemplate(
        source: source, isModelsOwn: source == template, options: options.chatTemplateOptions,
        tokenizer: tokenizer)
    }
    description = ModelDescription(model: handle, file: file, vocabularySize: tokenizer.vocabularySize)
    if let ropeScaling, description.ropeLayout == nil, !options.vocabularyOnly {
      throw LlamaError.ropeScalingNotUsable(ropeScaling, reason: "the model does not turn queries and keys")
    }
  }

  /// Tokens of a context that the model's positions are for: those of its training, or of ``ropeScaling``; 0 when the
  /// file does not tell.
  public var contextLimit: Int {
    guard let ropeScaling else { return description.trainedContextLength }
    return file.contextLength(scaled: ropeScaling) ?? description.trainedContextLength
  }
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
