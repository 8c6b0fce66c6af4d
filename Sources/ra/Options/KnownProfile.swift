// Settings of retrieval that were tuned for a model, where nobody asks for others.

import AttentionKernels
import Generation
import LlamaHost
import RetrievalAttention

extension RetrievalOptions {
  /// The policy of a choice with these options applied; nil for the host. Where nothing was said of attention, the
  /// model's own profile is used, if there is one, and told of.
  ///
  /// A profile holds for what it was measured with: the model as its file has it, keys and values of 16 bits.
  ///
  /// - Parameters:
  ///   - choice: nil where nobody said.
  ///   - path: the model's file.
  func policy(
    _ choice: AttentionChoice?, of path: String, _ variant: VariantOptions, _ store: StoreOptions,
    _ console: Console
  ) throws -> AttentionPolicy? {
    guard choice == nil, firstGiven == nil, profile == nil, variant.isPlain, store.format == KeyValueFormat(),
      // A file that cannot be read is told of when it is loaded.
      let known = try? RetrievalProfile.known(forModel: path)
    else { return try policy(choice ?? .retrieval) }
    console.inform(
      "note: retrieval as tuned for this model (\(known.path)); --profile none for the settings of all models"
    )
    return .retrieval(known.profile.applied(to: RetrievalSettings()))
  }

  /// The same for a policy that is to be saved.
  ///
  /// Throws `ValidationError` for one that cannot be.
  func storedPolicy(
    _ choice: AttentionChoice?, of what: String, model path: String, _ variant: VariantOptions,
    _ store: StoreOptions, _ console: Console
  ) throws -> AttentionPolicy {
    let policy = try storedPolicy(choice ?? .retrieval, of: what)
    return choice == nil ? try self.policy(nil, of: path, variant, store, console) ?? policy : policy
  }
}
