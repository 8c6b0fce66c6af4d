public struct EvaluationReport {
  public let summary: EvaluationSummary
  public init(_ results: EvaluationResults) { summary = EvaluationSummary(results) }
  public var html: String { "" }
}
