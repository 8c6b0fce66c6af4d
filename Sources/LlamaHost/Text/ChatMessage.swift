// One turn of a conversation.

/// A message and who wrote it.
public struct ChatMessage: Sendable, Hashable, Codable {
  /// A closed set, because templates copy the role verbatim between control tokens.
  public enum Role: String, Sendable, Codable, CaseIterable {
    /// As chat templates name them.
    case system, user, assistant, tool
  }

  /// Who speaks.
  public var role: Role
  /// What is said, as text.
  public var content: String

  /// A turn.
  public init(role: Role, content: String) {
    self.role = role
    self.content = content
  }
}
