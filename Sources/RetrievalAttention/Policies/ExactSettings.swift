// Exact attention as one policy among others.

/// Exact attention has no settings.
struct ExactSettings: PolicySettings {
  static let name = "exact"
  static let summary = "Every key, for every token."
  static let paper: String? = nil
  static let tradeOff = "Gives up nothing; reads everything."
  static let parameters: [PolicyParameter<ExactSettings>] = []

  func makeHead(rows: HeadRows, place: HeadPlace) throws(AttentionError) -> any HeadPolicy {
    ExactHead(rows: rows)
  }
}
