// One turn of a conversation.

/// A message and who wrote it.
public struct ChatMessage: Sendable, Hashable, Codable {
  /// A closed set, because templates copy the role verbatim between control tokens.
  public enum Role: String, Sendable, Codable, CaseIterable {
    case system, user, assistant, tool
  }

  public var role: Role
  public var content: String

  public init(role: Role, content: String) {
    self.role = role
    self.content = content
  }
}
