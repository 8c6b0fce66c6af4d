// An attention under evaluation: its name in results, and how to get a model that runs with it.

package import Generation
package import LlamaHost
public import RetrievalAttention

/// A way to compute attention that is compared with others.
public struct EvaluatedAttention: Sendable, Hashable {
  /// As given on the command line: `retrieval:tolerance=0.002`. Results are told apart by it.
  public var name: String
  /// Nil: llama.cpp's own attention.
  public var policy: AttentionPolicy?

  public init(name: String, policy: AttentionPolicy?) {
    self.name = name
    self.policy = policy
  }

  /// Reads `exact`, `host` or `retrieval`, the last with settings if any: `retrieval:tolerance=0.002,sink=64`, or with
  /// a profile: `retrieval:profile=model.json`.
  ///
  /// Throws ``AttentionNameError`` for what is none of these, and what reading a profile throws.
  public init(parsing name: String) throws {
    let parts = name.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
    let parameters = parts.count > 1 ? parts[1].split(separator: ",").map(String.init) : []
    self.name = name
    switch parts[0] {
    case "host" where parameters.isEmpty: policy = nil
    case "exact" where parameters.isEmpty: policy = .exact
    case "retrieval":
      var settings = RetrievalSettings()
      for parameter in parameters { try settings.set(parameter, attention: name) }
      try settings.validate()
      policy = .retrieval(settings)
    default:
      throw AttentionNameError.unknown(name, known: ["exact", "retrieval", "host"])
    }
  }

  /// A runner for contexts of `plannedTokens`.
  package func makeRunner(
    model: LlamaModel, pool: ThreadPool, plannedTokens: Int, takeover: TakeoverReport?
  ) throws -> any SequenceRunner {
    guard let policy else {
      return try HostRunner(model: model, pool: pool, contextLength: plannedTokens)
    }
    let runner = try GuestRunner(
      model: model, pool: pool, policy: policy, plannedTokens: plannedTokens, takeover: takeover)
    runner.indexesDecodedTokens = false
    return runner
  }

  /// Whether a context read for `other` serves this one too, after ``activate(on:)``.
  ///
  /// Prefill is exact either way, so keys and values are the same; only what decoding looks at differs.
  func canShareContext(of other: EvaluatedAttention) -> Bool {
    switch (policy, other.policy) {
    case (.exact, .retrieval), (.exact, .exact), (nil, nil): return true
    case (.retrieval(var mine), .retrieval(let theirs)):
      mine.search = theirs.search
      mine.layerTolerances = theirs.layerTolerances
      return mine == theirs
    default: return false
    }
  }

  /// Makes a runner that was made for this attention, or for one whose context it shares, decode with it.
  func activate(on runner: any SequenceRunner) {
    guard let engine = (runner as? GuestRunner)?.engine else { return }
    engine.ignoresIndex = policy == .exact
    if case .retrieval(let settings) = policy { engine.applySearch(of: settings) }
  }
}

/// A name of an attention that means nothing.
public enum AttentionNameError: Error, Equatable, Sendable, CustomStringConvertible {
  case unknown(String, known: [String])
  case unknownParameter(String, attention: String, known: [String])
  case notANumber(String, attention: String)
  case duplicate(String)

  public var description: String {
    switch self {
    case .unknown(let name, let known):
      "there is no attention '\(name)'; known are \(known.joined(separator: ", "))"
    case .unknownParameter(let parameter, let attention, let known):
      "'\(parameter)' in '\(attention)' is no parameter=value; parameters are \(known.joined(separator: ", "))"
    case .notANumber(let parameter, let attention):
      "'\(parameter)' in '\(attention)' has no number for its value"
    case .duplicate(let name):
      "the attention '\(name)' is given twice"
    }
  }
}

extension RetrievalSettings {
  fileprivate mutating func set(_ parameter: String, attention: String) throws {
    let parts = parameter.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(
      String.init)
    func number<Value: LosslessStringConvertible>(_: Value.Type) throws(AttentionNameError) -> Value {
      guard parts.count == 2, let value = Value(parts[1]) else {
        throw .notANumber(parameter, attention: attention)
      }
      return value
    }
    switch parts[0] {
    case "tolerance": search.tolerance = try number(Float.self)
    case "maximumRetrieved": search.maximumRetrieved = try number(Int.self)
    case "sink": sinkCount = try number(Int.self)
    case "window": windowCount = try number(Int.self)
    case "profile" where parts.count == 2: self = try RetrievalProfile(contentsOf: parts[1]).applied(to: self)
    default:
      throw AttentionNameError.unknownParameter(
        parameter, attention: attention,
        known: ["tolerance", "maximumRetrieved", "sink", "window", "profile"])
    }
  }
}
