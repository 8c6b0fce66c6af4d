// What is known about a model without evaluating anything.

import CLlama

/// The order in which RoPE pairs the elements of a head.
public enum RopeLayout: Sendable, Hashable {
  /// Elements `2i` and `2i + 1` turn together (llama.cpp: NORM).
  case adjacentPairs
  /// Elements `i` and `i + n/2` turn together (llama.cpp: NEOX, and the multi-section kinds on text).
  case rotateHalf
}

/// Shape and origin of a model, from its file.
public struct ModelDescription: Sendable, CustomStringConvertible {
  /// The file, or the first one of several.
  public let path: String
  /// `general.name`.
  public let name: String?
  /// `general.architecture`, such as `llama`.
  public let architecture: String
  /// llama.cpp's own summary, such as `llama 134M Q4_1`.
  public let summary: String
  /// Blocks of the model, those without attention included.
  public let layerCount: Int
  /// Query heads of each layer.
  public let headCounts: [Int]
  /// Key-value heads of each layer.
  public let kvHeadCounts: [Int]
  /// Elements of a head's key.
  public let keyHeadDimension: Int
  /// Elements of a head's value.
  public let valueHeadDimension: Int
  /// Elements of a token's embedding.
  public let embeddingWidth: Int
  /// In tokens; 0 when the file does not tell.
  public let trainedContextLength: Int
  /// Tokens of the vocabulary.
  public let vocabularySize: Int
  /// Weights, as llama.cpp counts them.
  public let parameterCount: Int
  /// Bytes of all tensors.
  public let byteCount: Int
  /// Nil for models without RoPE or with a kind that is not known here.
  public let ropeLayout: RopeLayout?
  /// `rope.freq_base`; nil when the file has none.
  public let ropeFrequencyBase: Double?
  /// `linear`, `yarn`, `longrope`, nil when positions are not scaled.
  public let ropeScaling: String?
  /// `rope.scaling.factor`; nil when the file has none.
  public let ropeScalingFactor: Double?
  /// Tokens of the first training, before the context was made longer; nil when the file has none.
  public let ropeOriginalContextLength: Int?
  /// Elements of a head that are rotated; nil when the file has none.
  public let ropeDimension: Int?
  /// Keys that sliding-window layers see, nil when there are none. Which layers: ``TakeoverReport/layers``.
  public let slidingWindow: Int?

  init(model: ModelHandle, file: GGUFFile, vocabularySize: Int) {
    let pointer = unsafe model.pointer
    path = file.path
    name = file.string("general.name")
    let prefix = file.architecture ?? "unknown"
    architecture = prefix
    summary = Self.summary(model)
    let layers = unsafe Int(llama_model_n_layer(pointer))
    layerCount = layers
    func perLayer(_ key: String, _ fallback: Int) -> [Int] {
      let values = file.integers("\(prefix).attention.\(key)") ?? []
      return (0..<layers).map { values.count == 1 ? values[0] : $0 < values.count ? values[$0] : fallback }
    }
    // A model without weights has no layers, of which the host would read the first.
    let heads = unsafe perLayer("head_count", layers > 0 ? Int(llama_model_n_head(pointer)) : 0)
    headCounts = heads
    // Without key-value heads in the file there is one for each query head.
    kvHeadCounts =
      file.integers("\(prefix).attention.head_count_kv") == nil ? heads : perLayer("head_count_kv", 0)
    embeddingWidth = unsafe Int(llama_model_n_embd(pointer))
    let derived = heads.max().map { unsafe $0 > 0 ? Int(llama_model_n_embd(pointer)) / $0 : 0 } ?? 0
    keyHeadDimension = file.integer("\(prefix).attention.key_length") ?? derived
    valueHeadDimension = file.integer("\(prefix).attention.value_length") ?? derived
    trainedContextLength = unsafe Int(llama_model_n_ctx_train(pointer))
    self.vocabularySize = vocabularySize
    parameterCount = unsafe Int(clamping: llama_model_n_params(pointer))
    byteCount = unsafe Int(clamping: llama_model_size(pointer))
    ropeLayout =
      switch unsafe llama_model_rope_type(pointer) {
      case LLAMA_ROPE_TYPE_NORM: .adjacentPairs
      case LLAMA_ROPE_TYPE_NEOX, LLAMA_ROPE_TYPE_MROPE, LLAMA_ROPE_TYPE_IMROPE: .rotateHalf
      default: nil
      }
    ropeFrequencyBase = file.number("\(prefix).rope.freq_base")
    let scaling = file.string("\(prefix).rope.scaling.type")
    ropeScaling = scaling == "none" ? nil : scaling
    ropeScalingFactor = file.number("\(prefix).rope.scaling.factor")
    ropeOriginalContextLength = file.integer("\(prefix).rope.scaling.original_context_length")
    ropeDimension = file.integer("\(prefix).rope.dimension_count")
    let window = unsafe Int(llama_model_n_swa(pointer))
    slidingWindow = window > 0 ? window : nil
  }

  /// Name, architecture and sizes in one line.
  public var description: String {
    func distinct(_ counts: [Int]) -> String { Set(counts).sorted().map(String.init).joined(separator: "/") }
    var parts = [
      "\(name ?? architecture) (\(summary))", "\(layerCount) layers", "\(distinct(headCounts)) heads",
      "\(distinct(kvHeadCounts)) key-value heads of \(keyHeadDimension)",
      "context \(trainedContextLength)", "vocabulary \(vocabularySize)",
    ]
    if let slidingWindow { parts.append("sliding window \(slidingWindow)") }
    return parts.joined(separator: ", ")
  }

  private static func summary(_ model: ModelHandle) -> String {
    unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { buffer in
      guard let start = buffer.baseAddress, unsafe llama_model_desc(model.pointer, start, 256) > 0 else {
        return ""
      }
      return unsafe String(cString: start)
    }
  }
}
