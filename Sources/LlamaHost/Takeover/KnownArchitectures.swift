// What is known of a model's attention before it is loaded: by its architecture, which was tried once.

/// Whether attention can be taken over, as the file's header tells. Only ``LlamaModel/takeover(pool:)`` looks itself.
public enum ExpectedSupport: Sendable, Hashable {
  /// Models of this architecture are taken over; `isHybrid` for those with recurrent layers besides.
  case takenOver(isHybrid: Bool)
  /// The host's own attention runs it, for a reason.
  case hostOnly(reason: String)
  /// It turns texts into vectors, or scores them.
  case embeddings
  /// It cannot be run here, for a reason.
  case none(reason: String)
  /// Nobody has tried models of this architecture.
  case unknown
}

extension GGUFFile {
  /// What `ra doctor` found with a model of this architecture; docs/models.md has the whole table.
  public var expectedSupport: ExpectedSupport {
    guard kind == .model else { return .none(reason: "it is \(kind.description)") }
    guard let architecture else { return .unknown }
    if let reason = KnownArchitectures.unusable[architecture] { return .none(reason: reason) }
    if pooling != nil { return .embeddings }
    if let reason = KnownArchitectures.hostOnly[architecture] { return .hostOnly(reason: reason) }
    if KnownArchitectures.hybrid.contains(architecture) { return .takenOver(isHybrid: true) }
    return KnownArchitectures.takenOver.contains(architecture) ? .takenOver(isHybrid: false) : .unknown
  }
}

/// Architectures by what `make test-models` finds, as docs/models.md lists them.
enum KnownArchitectures {
  static let takenOver: Set<String> = [
    "afmoe", "arcee", "arctic", "baichuan", "bailingmoe", "bailingmoe2", "bloom", "chatglm", "codeshell",
    "cogvlm", "cohere2", "cohere2moe", "command-r", "dbrx", "deci", "deepseek", "deepseek2", "deepseek32",
    "dots1", "dots3note", "ernie4_5", "ernie4_5-moe", "exaone", "exaone-moe", "exaone4", "falcon", "gemma",
    "gemma2", "gemma3", "glm-dsa", "glm4", "glm4moe", "gpt-oss", "gpt2", "gptneox", "granite", "granite_swa",
    "granitemoe", "grovemoe", "hrm_text", "hunyuan-dense", "hunyuan-moe", "hunyuan_vl", "hy_v3", "hy_v4",
    "internlm2", "jais", "jais2", "laguna", "llama", "llama4", "maincoder", "maple", "mellum", "mimo2",
    "minicpm", "minicpm3", "minimax-m2", "minimax-m3", "mistral3", "mistral4", "mpt", "muse-glimmer",
    "nanbeige", "nemotron", "olmo", "olmo2", "olmoe", "openelm", "orion", "paddleocr", "pangu-embedded",
    "phi2", "phi3", "phimoe", "plamo", "plamo3", "pockettts", "qwen", "qwen2", "qwen2moe", "qwen2vl",
    "qwen3", "qwen3moe", "qwen3tts", "qwen3vl", "qwen3vlmoe", "refact", "seed_oss", "smallthinker",
    "smollm3", "spark2_5", "stablelm", "starcoder", "starcoder2", "talkie", "xverse",
  ]

  /// With recurrent layers besides.
  static let hybrid: Set<String> = [
    "bailingmoe3", "falcon-h1", "glm5-next", "granitehybrid", "jamba", "kimi-k3", "kimi-linear", "lfm2",
    "lfm2moe", "minimax-01", "nemotron_h", "nemotron_h_moe", "plamo2", "qwen35", "qwen35moe", "qwen3next",
  ]

  static let hostOnly = [
    "deepseek4": "attention nodes read keys that are in no layer's cache",
    "grok": "there is no flash-attention node",
    "mamba": "the model is recurrent, not attentive",
    "mamba2": "the model is recurrent, not attentive",
    "qwen4exp": "llama.cpp chooses blocks of keys by itself",
  ]

  /// Not even the host continues texts with them.
  static let unusable = [
    "dream": "the model generates by diffusion",
    "llada": "the model generates by diffusion",
    "llada-moe": "the model generates by diffusion",
    "rnd1": "the model generates by diffusion",
  ]
}
