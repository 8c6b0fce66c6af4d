// The methods of this module by name, registered as any user's method would be.

public import RetrievalAttention

extension PolicyRegistry {
  /// Exact attention, retrieval, and the published methods, in the order in which reports list them.
  public static let published: PolicyRegistry = {
    var registry = PolicyRegistry.standard
    do throws(AttentionPolicyError) {
      try registry.register(GraphRetrievalSettings.self)
      try registry.register(FlatRetrievalSettings.self)
      try registry.register(IVFRetrievalSettings.self)
      try registry.register(StreamingSettings.self)
      try registry.register(SnapKVSettings.self)
      try registry.register(CormSettings.self)
      try registry.register(CascadeSettings.self)
      try registry.register(InfLLMSettings.self)
      try registry.register(QuestSettings.self)
      try registry.register(MagicPIGSettings.self)
      try registry.register(HiPSettings.self)
      try registry.register(XAttentionSettings.self)
      try registry.register(PQCacheSettings.self)
      try registry.register(RetroInferSettings.self)
    } catch {
      preconditionFailure("the published methods have names of their own: \(error)")
    }
    return registry
  }()
}

extension AttentionPolicy {
  /// As retrieval, with a graph, as in the paper (arXiv 2409.10516).
  public static func graph(_ settings: GraphRetrievalSettings) -> AttentionPolicy {
    AttentionPolicy(settings)
  }
  /// As retrieval, with the exact top k: the paper's Flat.
  public static func flat(_ settings: FlatRetrievalSettings) -> AttentionPolicy { AttentionPolicy(settings) }
  /// As retrieval, with inverted lists: the paper's IVF.
  public static func ivf(_ settings: IVFRetrievalSettings) -> AttentionPolicy { AttentionPolicy(settings) }
  /// First and last tokens only: StreamingLLM (arXiv 2309.17453).
  public static func streaming(_ settings: StreamingSettings) -> AttentionPolicy { AttentionPolicy(settings) }
  /// Keys that the end of the prompt attends to: SnapKV (arXiv 2404.14469).
  public static func snapKV(_ settings: SnapKVSettings) -> AttentionPolicy { AttentionPolicy(settings) }
  /// Keys that recent queries cared for: CORM (arXiv 2404.15949).
  public static func corm(_ settings: CormSettings) -> AttentionPolicy { AttentionPolicy(settings) }
  /// A window that thins out with age: Cascading KV cache (arXiv 2406.17808).
  public static func cascade(_ settings: CascadeSettings) -> AttentionPolicy { AttentionPolicy(settings) }
  /// Blocks with representatives: InfLLM (arXiv 2402.04617).
  public static func infLLM(_ settings: InfLLMSettings) -> AttentionPolicy { AttentionPolicy(settings) }
  /// Pages chosen by bounds of their keys: Quest (arXiv 2406.10774).
  public static func quest(_ settings: QuestSettings) -> AttentionPolicy { AttentionPolicy(settings) }
  /// A sample by hashing, with its estimator: MagicPIG (arXiv 2410.16179).
  public static func magicPIG(_ settings: MagicPIGSettings) -> AttentionPolicy { AttentionPolicy(settings) }
  /// Blocks found by halving spans: HiP (arXiv 2406.09827).
  public static func hip(_ settings: HiPSettings) -> AttentionPolicy { AttentionPolicy(settings) }
  /// Prompts read by blocks that antidiagonal sums find: XAttention (arXiv 2503.16428).
  public static func xAttention(_ settings: XAttentionSettings) -> AttentionPolicy {
    AttentionPolicy(settings)
  }
  /// Keys of the highest scores by product codes: PQCache (arXiv 2407.12820).
  public static func pqCache(_ settings: PQCacheSettings) -> AttentionPolicy { AttentionPolicy(settings) }
  /// Clusters read, estimated and left out: RetroInfer (arXiv 2505.02922).
  public static func retroInfer(_ settings: RetroInferSettings) -> AttentionPolicy {
    AttentionPolicy(settings)
  }
}
