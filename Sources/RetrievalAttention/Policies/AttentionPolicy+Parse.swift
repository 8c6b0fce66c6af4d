// Policies as text: `NAME` or `NAME:key=value,...`, and the list of all of them.

extension AttentionPolicy {
  /// How one policy is made from text and described.
  private struct Entry {
    let name: String
    let description: PolicyDescription
    let parse: @Sendable (Substring) throws(AttentionPolicyError) -> AttentionPolicy
    let standard: AttentionPolicy

    init<Settings: PolicySettings>(_ policy: @escaping @Sendable (Settings) -> AttentionPolicy) {
      name = Settings.name
      description = Settings.description
      standard = policy(Settings())
      parse = { text throws(AttentionPolicyError) in policy(try Settings(parsing: text)) }
    }
  }

  private static let entries: [Entry] = [
    Entry { (_: ExactSettings) in .exact },
    Entry { .retrieval($0) },
    Entry { .graph($0) },
    Entry { .flat($0) },
    Entry { .ivf($0) },
    Entry { .streaming($0) },
    Entry { .snapKV($0) },
    Entry { .corm($0) },
    Entry { .cascade($0) },
    Entry { .infLLM($0) },
    Entry { .quest($0) },
    Entry { .magicPIG($0) },
    Entry { .hip($0) },
    Entry { .pqCache($0) },
    Entry { .retroInfer($0) },
  ]

  /// All policies with their settings, in the order in which reports list them.
  public static var catalog: [PolicyDescription] { entries.map(\.description) }

  /// The names of all policies.
  public static var names: [String] { entries.map(\.name) }

  /// Every policy with its default settings.
  public static var standard: [AttentionPolicy] { entries.map(\.standard) }

  /// A policy from `NAME` or `NAME:key=value,...`.
  ///
  ///     let policy = try AttentionPolicy.parse("quest:page=16,budget=1024")
  ///
  /// What is not mentioned is as by default; ``catalog`` lists keys, defaults and what is allowed. Throws
  /// ``AttentionPolicyError``.
  public static func parse(_ text: some StringProtocol) throws(AttentionPolicyError) -> AttentionPolicy {
    let text = Substring(text)
    let colon = text.firstIndex(of: ":")
    let name = text[..<(colon ?? text.endIndex)]
    guard let entry = entries.first(where: { $0.name == name }) else {
      throw .unknownPolicy(String(name), known: names)
    }
    guard let colon else { return entry.standard }
    let policy = try entry.parse(text[text.index(after: colon)...])
    do {
      try policy.settings.validate()
    } catch {
      throw .invalidSetting(policy: entry.name, error)
    }
    return policy
  }

  /// Splits a list of policies at the commas that separate policies, not at those between settings.
  ///
  /// A comma is followed by a setting when what follows has a `=` and no `:` before it: names have neither.
  ///
  ///     AttentionPolicy.splitList("exact,quest:page=16,budget=1024,flat")
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

extension AttentionPolicy: CustomStringConvertible {
  /// The text that ``parse(_:)`` makes this policy from, defaults left out.
  public var description: String { settings.specification }
}
