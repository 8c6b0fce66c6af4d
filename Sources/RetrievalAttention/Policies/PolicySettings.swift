// What every policy's settings have in common: a name, documentation, parameters, and heads made from them.

/// A method of attention: its settings, their documentation, and the heads that it makes.
///
/// Register a type of one's own with ``PolicyRegistry/register(_:)``; then it can be named wherever a policy is chosen
/// by text. docs/policies.md walks through an example.
public protocol PolicySettings: Sendable, Hashable {
  /// As on the command line.
  static var name: String { get }
  /// What it does, in one line.
  static var summary: String { get }
  /// arXiv number; nil for no paper.
  static var paper: String? { get }
  /// What it loses or costs, and how it differs from its paper.
  static var tradeOff: String { get }
  /// The settings that text can name.
  static var parameters: [PolicyParameter<Self>] { get }

  /// With default settings.
  init()
  /// Layers that attend exactly.
  var denseLayers: [Int] { get }
  /// Whether every token of a prompt attends to all keys before it, however long the prompt is.
  var readsPromptsExactly: Bool { get }
  /// Throws ``AttentionError/invalidSetting(name:value:requirement:)`` for the first value that makes no sense.
  func validate() throws(AttentionError)
  /// Whether heads put their rows in an order of their own.
  var movesRows: Bool { get }
  /// What computes one KV head's attention.
  ///
  /// - Parameters:
  ///   - rows: empty, and filled by the engine.
  ///   - place: where in the model the head stands.
  func makeHead(rows: HeadRows, place: HeadPlace) throws(AttentionError) -> any HeadPolicy
}

/// Where in a model a head stands.
public struct HeadPlace {
  /// From 0.
  public var layerNumber: Int
  /// From 0, in the layer.
  public var kvHead: Int
  public var layer: LayerShape

  package init(layerNumber: Int, kvHead: Int, layer: LayerShape) {
    self.layerNumber = layerNumber
    self.kvHead = kvHead
    self.layer = layer
  }

  /// A number of its own for each KV head of a model, to make random choices with.
  public var seed: UInt64 { UInt64(layerNumber) << 32 | UInt64(kvHead) << 16 }
}

extension PolicySettings {
  public var denseLayers: [Int] { [] }

  public var movesRows: Bool { false }

  public var readsPromptsExactly: Bool { true }

  public func validate() throws(AttentionError) { try validateParameters() }

  /// Throws for the first parameter that is out of its range.
  public func validateParameters() throws(AttentionError) {
    for parameter in Self.parameters where !parameter.isValid(self) {
      throw .invalidSetting(
        name: parameter.name, value: parameter.text(self), requirement: "in \(parameter.range)")
    }
  }

  /// The settings as `NAME:key=value,...`, all of them: defaults may change.
  var completeSpecification: String {
    guard !Self.parameters.isEmpty else { return Self.name }
    return Self.name + ":" + Self.parameters.map { "\($0.name)=\($0.text(self))" }.joined(separator: ",")
  }

  /// The settings as `NAME` or `NAME:key=value,...`, defaults left out.
  var specification: String {
    let defaults = Self()
    let changed = Self.parameters.filter { $0.text(self) != $0.text(defaults) }
    guard !changed.isEmpty else { return Self.name }
    return Self.name + ":" + changed.map { "\($0.name)=\($0.text(self))" }.joined(separator: ",")
  }

  /// Settings from `key=value,...`, what is not mentioned being as by default.
  init(parsing text: Substring) throws(AttentionPolicyError) {
    self.init()
    var seen: Set<String> = []
    for assignment in text.split(separator: ",", omittingEmptySubsequences: false) {
      guard let equals = assignment.firstIndex(of: "=") else {
        throw .malformedParameter(policy: Self.name, text: String(assignment))
      }
      let key = String(assignment[..<equals])
      let value = String(assignment[assignment.index(after: equals)...])
      guard let parameter = Self.parameters.first(where: { $0.name == key }) else {
        throw .unknownParameter(policy: Self.name, name: key, known: Self.parameters.map(\.name))
      }
      guard seen.insert(key).inserted else { throw .repeatedParameter(policy: Self.name, name: key) }
      guard parameter.set(&self, value) else {
        throw .valueNotAllowed(policy: Self.name, parameter: key, value: value, allowed: parameter.range)
      }
    }
  }

  static var description: PolicyDescription {
    let defaults = Self()
    return PolicyDescription(
      name: name, summary: summary, paper: paper, tradeOff: tradeOff,
      parameters: parameters.map {
        PolicyDescription.Parameter(
          name: $0.name, symbol: $0.symbol, summary: $0.summary, default: $0.text(defaults), allowed: $0.range
        )
      })
  }
}
