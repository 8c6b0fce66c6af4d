// Documentation of policies, as programs print it.

/// What a policy is and how it is set, with the names of its JSON form.
public struct PolicyDescription: Sendable, Hashable, Codable {
  /// A setting of a policy.
  public struct Parameter: Sendable, Hashable, Codable {
    /// As in `name=value`.
    public var name: String
    /// What the paper calls it.
    public var symbol: String?
    public var summary: String
    /// The value without a setting.
    public var `default`: String
    /// The values that are allowed: `1...100`, or `max|mean`.
    public var allowed: String
  }

  /// As in `AttentionPolicy.parse`.
  public var name: String
  /// What it does, in one line.
  public var summary: String
  /// The arXiv number of the paper.
  public var paper: String?
  /// What it gives up, and how it differs from its paper.
  public var tradeOff: String
  public var parameters: [Parameter]
}

/// Why a policy cannot be made from text.
public enum AttentionPolicyError: Error, Equatable, Sendable {
  case unknownPolicy(String, known: [String])
  case unknownParameter(policy: String, name: String, known: [String])
  /// A setting that is not of the form `key=value`.
  case malformedParameter(policy: String, text: String)
  case repeatedParameter(policy: String, name: String)
  case valueNotAllowed(policy: String, parameter: String, value: String, allowed: String)
  /// Settings that make no sense together.
  case invalidSetting(policy: String, AttentionError)
}

extension AttentionPolicyError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .unknownPolicy(let name, let known):
      "there is no attention '\(name)'; give one of \(known.joined(separator: ", "))"
    case .unknownParameter(let policy, let name, let known):
      known.isEmpty
        ? "\(policy) has no setting '\(name)', nor any other"
        : "\(policy) has no setting '\(name)'; it has \(known.joined(separator: ", "))"
    case .malformedParameter(let policy, let text):
      "'\(text)' is no setting of \(policy); settings are written \(policy):key=value,key=value"
    case .repeatedParameter(let policy, let name):
      "\(policy) is given \(name) twice; give it once"
    case .valueNotAllowed(let policy, let parameter, let value, let allowed):
      "\(parameter) of \(policy) is '\(value)', but must be in \(allowed)"
    case .invalidSetting(let policy, let error):
      "\(policy): \(error)"
    }
  }
}
