// What an evaluation is asked to do.

/// What to evaluate.
public struct EvaluationSettings: Sendable {
  /// May be empty when fidelity alone is wanted.
  public var tasks: [any EvaluationTask] = []
  /// Tokens of prompt and answer.
  public var lengths = [4096]
  /// What is compared, each name once.
  public var attentions: [EvaluatedAttention] = []
  /// Contexts of each task and length.
  public var samples = 5
  /// Most questions about one context.
  public var questions = 4
  /// Of everything that is random.
  public var seed: UInt64 = 42
  /// Questions are read in decode steps instead of as a batch.
  public var readsQuestionsByToken = false
  /// Every attention reads contexts and questions by itself, in its own way, instead of all of them exactly together.
  public var readsApart = false
  /// Passages of the context that answers came from are noted; decode steps then take somewhat longer.
  public var notesPassages = false
  /// No chat template.
  public var raw = false
  /// Tokens of filler decoded for the fidelity of each attention at each length; 0 for none.
  public var fidelityTokens = 64
  /// Where the filler was read from, for the report.
  public var fillerName = ""

  /// No tasks, lengths or attentions yet.
  public init() {}
}
