// An attention under evaluation: its name in results, and how to get a model that runs with it.

public import AttentionPolicies
import Generation
import LlamaHost
public import RetrievalAttention

/// A way to compute attention that is compared with others.
public struct EvaluatedAttention: Sendable, Hashable {
  /// As given on the command line: `retrieval:tolerance=0.002`. Results are told apart by it.
  public var name: String
  /// Nil: llama.cpp's own attention.
  public var policy: AttentionPolicy?

  /// An attention under a name of one's own; no policy is the host's own attention.
  public init(name: String, policy: AttentionPolicy?) {
    self.name = name
    self.policy = policy
  }

  /// Reads `host`, or a policy as ``RetrievalAttention/PolicyRegistry/parse(_:)`` does:
  /// `retrieval:tolerance=0.002,sink=64`. Retrieval may also have a profile: `retrieval:profile=model.json`.
  ///
  /// Throws ``AttentionNameError``, `AttentionPolicyError` for a policy that is none, and what reading a profile
  /// throws.
  ///
  /// - Parameter registry: the methods that there are.
  public init(parsing name: String, registry: PolicyRegistry = .published) throws {
    self.name = name
    guard name != "host" else {
      policy = nil
      return
    }
    let parts = name.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
    let parameters = parts.count > 1 ? parts[1].split(separator: ",").map(String.init) : []
    let prefix = "profile="
    guard let profile = parameters.first(where: { $0.hasPrefix(prefix) }) else {
      policy = try registry.parse(name)
      return
    }
    let rest = parameters.filter { $0 != profile }
    let parsed = try registry.parse(
      ([parts[0]] + (rest.isEmpty ? [] : [rest.joined(separator: ",")])).joined(separator: ":"))
    guard let settings = parsed.retrieval else { throw AttentionNameError.noProfile(name) }
    let changed = try RetrievalProfile(contentsOf: String(profile.dropFirst(prefix.count))).applied(
      to: settings)
    try changed.validate()
    policy = .retrieval(changed)
  }

  /// Whether a context read for `other` serves this one too, after ``activate(on:)``.
  ///
  /// Prefill is exact either way, so keys and values are the same; only what decoding looks at differs.
  func canShareContext(of other: EvaluatedAttention) -> Bool {
    guard let policy, let theirs = other.policy else { return self.policy == nil && other.policy == nil }
    if policy == .exact { return theirs == .exact || theirs.retrieval != nil }
    guard var mine = policy.retrieval, let theirs = theirs.retrieval else { return false }
    mine.search = theirs.search
    mine.layerTolerances = theirs.layerTolerances
    return mine == theirs
  }

  /// Makes a runner that was made for this attention, or for one whose context it shares, decode with it.
  func activate(on runner: any SequenceRunner) {
    guard let runner = runner as? GuestRunner else { return }
    runner.options.isExact = policy == .exact
    if let settings = policy?.retrieval { runner.engine.applySearch(of: settings) }
  }
}

/// A name of an attention that cannot be used.
public enum AttentionNameError: Error, Equatable, Sendable, CustomStringConvertible {
  /// Only retrieval has profiles.
  case noProfile(String)
  /// Two of one name.
  case duplicate(String)

  /// A clause without a full stop.
  public var description: String {
    switch self {
    case .noProfile(let name): "'\(name)' names a profile, which only retrieval has"
    case .duplicate(let name): "the attention '\(name)' is given twice"
    }
  }
}
