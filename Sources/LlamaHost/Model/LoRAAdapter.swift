// Small changes to a model's weights, kept in files of their own.

import CLlama

/// A LoRA adapter (arXiv 2106.09685) and how much of it is added to the model.
public struct LoRAAdapter: Sendable, Hashable, Codable {
  /// A GGUF file, as llama.cpp's `convert_lora_to_gguf.py` writes them.
  public var path: String
  /// A factor of what the adapter adds; 1 is what it was trained for, 0 nothing.
  public var scale: Float

  /// An adapter, whose file is looked at when a model is loaded with it.
  public init(path: String, scale: Float = 1) {
    self.path = path
    self.scale = scale
  }
}

/// Adapters that are loaded beside a model, which frees them: for a context of this model, which keeps it.
///
/// `@unchecked`: they never change, as the model does not.
@safe struct LoadedAdapters: @unchecked Sendable {
  private let pointers: [OpaquePointer?]
  private let scales: [Float]

  /// Loads the adapters of a model.
  ///
  /// - Throws: ``GGUFError``, or ``LlamaError/adapterNotUsable(path:reason:)``.
  init(_ adapters: [LoRAAdapter], model: ModelHandle, architecture: String?) throws {
    unsafe pointers = try unsafe adapters.map {
      try unsafe Self.load($0, model: model, architecture: architecture)
    }
    scales = adapters.map(\.scale)
  }

  private static func load(
    _ adapter: LoRAAdapter, model: ModelHandle, architecture: String?
  ) throws -> OpaquePointer {
    func failure(_ reason: String) -> LlamaError { .adapterNotUsable(path: adapter.path, reason: reason) }
    let file = try GGUFFile(validating: adapter.path)
    guard file.kind == .adapter else { throw failure("it is \(file.kind.description)") }
    if let type = file.string("adapter.type"), type != "lora" { throw failure("it is of the type \(type)") }
    guard file.architecture == architecture else {
      throw failure(
        "it is for models of \(file.architecture ?? "no architecture"), not \(architecture ?? "this one")")
    }
    guard adapter.scale.isFinite else { throw failure("its scale is \(adapter.scale)") }
    let mark = HostLog.mark()
    guard let pointer = unsafe llama_adapter_lora_init(model.pointer, adapter.path) else {
      throw failure(HostLog.lines(since: mark).last ?? "llama.cpp refuses it")
    }
    guard unsafe llama_adapter_get_alora_n_invocation_tokens(pointer) == 0 else {
      throw failure("it acts from certain tokens of the prompt on, which is not done here")
    }
    return unsafe pointer
  }

  /// Adds them to a context of the model.
  func install(in context: ContextHandle) throws {
    guard unsafe !pointers.isEmpty else { return }
    var (pointers, scales) = unsafe (pointers, scales)
    let code = unsafe llama_set_adapters_lora(context.pointer, &pointers, pointers.count, &scales)
    guard code == 0 else {
      throw unsafe LlamaError.adaptersNotInstalled(count: pointers.count, code: Int(code))
    }
  }
}
