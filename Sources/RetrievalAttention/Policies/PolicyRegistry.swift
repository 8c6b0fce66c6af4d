// Policies as text: `NAME` or `NAME:key=value,...`, and the list of those that are known.

/// Methods of attention by name.
///
///     var registry = PolicyRegistry.standard
///     try registry.register(MySettings.self)
///     let policy = try registry.parse("mine:budget=1024")
///
/// A value: what is registered in a copy is known there.
public struct PolicyRegistry: Sendable {
  /// How one policy is made from text and described.
  private struct Entry: Sendable {
    let description: PolicyDescription
    let parse: @Sendable (Substring) throws(AttentionPolicyError) -> AttentionPolicy
    let standard: AttentionPolicy

    init<Settings: PolicySettings>(_ type: Settings.Type) {
      description = Settings.description
      standard = AttentionPolicy(Settings())
      parse = { text throws(AttentionPolicyError) in AttentionPolicy(try Settings(parsing: text)) }
    }
  }

  private var entries: [Entry] = []

  /// A registry that knows no method.
  public init() {}

  /// Exact attention and retrieval from clusters.
  public static let standard: PolicyRegistry = {
    var registry = PolicyRegistry()
    registry.entries = [Entry(ExactSettings.self), Entry(RetrievalSettings.self)]
    return registry
  }()

  /// Makes a method known by its name.
  ///
  /// - Throws: ``AttentionPolicyError/nameTaken(_:)``, ``AttentionPolicyError/nameNotAllowed(_:)`` for a name that
  ///   could not be told from settings in text.
  public mutating func register(_ settings: (some PolicySettings).Type) throws(AttentionPolicyError) {
    let entry = Entry(settings)
    let name = entry.description.name
    guard !name.isEmpty, !name.contains(where: { ":,=".contains($0) || $0.isWhitespace }) else {
      throw .nameNotAllowed(name)
    }
    guard !names.contains(name) else { throw .nameTaken(name) }
    entries.append(entry)
  }

  /// All policies with their settings, in the order in which reports list them.
  public var catalog: [PolicyDescription] { entries.map(\.description) }

  /// The names of all policies.
  public var names: [String] { entries.map(\.description.name) }

  /// Every policy with its default settings.
  public var policies: [AttentionPolicy] { entries.map(\.standard) }

  /// A policy from `NAME` or `NAME:key=value,...`.
  ///
  ///     let policy = try registry.parse("retrieval:tolerance=0.01,window=1024")
  ///
  /// What is not mentioned is as by default; ``catalog`` lists keys, defaults and what is allowed. Throws
  /// ``AttentionPolicyError``.
  public func parse(_ text: some StringProtocol) throws(AttentionPolicyError) -> AttentionPolicy {
    let text = Substring(text)
    let colon = text.firstIndex(of: ":")
    let name = text[..<(colon ?? text.endIndex)]
    guard let entry = entries.first(where: { $0.description.name == name }) else {
      throw .unknownPolicy(String(name), known: names)
    }
    guard let colon else { return entry.standard }
    let policy = try entry.parse(text[text.index(after: colon)...])
    do {
      try policy.settings.validate()
    } catch {
      throw .invalidSetting(policy: entry.description.name, error)
    }
    return policy
  }

  /// Splits a list of policies at the commas that separate policies, not at those between settings.
  ///
  /// A comma is followed by a setting when what follows has a `=` and no `:` before it: names have neither.
  ///
  ///     PolicyRegistry.splitList("exact,quest:page=16,budget=1024,flat")
  ///     // ["exact", "quest:page=16,budget=1024", "flat"]
  public static func splitList(_ text: some StringProtocol) -> [String] {
    var result: [String] = []
    for part in text.split(separator: ",", omittingEmptySubsequences: false) {
      let isSetting = part.firstIndex { $0 == "=" || $0 == ":" }.map { part[$0] == "=" } ?? false
      if isSetting, !result.isEmpty {
        result[result.count - 1] += "," + part
      } else {
        result.append(String(part))
      }
    }
    return result
  }
}
