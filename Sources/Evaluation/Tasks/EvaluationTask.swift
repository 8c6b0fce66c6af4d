// What a task is: a long context, questions about it, and how answers are scored.

/// A kind of question about a long context, generated at any length from a seed.
///
/// Sources: RULER (Hsieh et al., arXiv 2404.06654), InfiniteBench (Zhang et al., arXiv 2402.13718).
public protocol EvaluationTask: Sendable {
  /// The name on the command line and in results, as its source has it: `niah_multikey_1`.
  var name: String { get }
  /// One line about what is asked.
  var summary: String { get }
  /// Most tokens of an answer.
  var answerTokens: Int { get }
  /// How answers are compared with what is expected.
  var scoring: AnswerScoring { get }
  /// Whether the context is made of a text that the user names.
  var usesFiller: Bool { get }

  /// Samples that are what they are, whatever the length; nil for a task that makes them.
  var fixedSamples: [TaskSample]? { get }

  /// Makes one sample.
  ///
  /// Must depend on nothing but the request. A larger `size` must give a longer context.
  func sample(_ request: TaskRequest) -> TaskSample
}

extension EvaluationTask {
  /// None: the task makes its samples.
  public var fixedSamples: [TaskSample]? { nil }
}

/// What a sample is to be made of.
public struct TaskRequest: Sendable {
  /// Units of haystack in the context: words of filler, noise sentences, needles, pairs. 0 is the shortest sample.
  public var size: Int
  /// Tokens that the prompt with its answer shall have, for tasks whose make-up depends on it.
  public var length: Int
  /// Most questions to ask; a task with only one question asks that one.
  public var questions: Int
  /// What a haystack is made of.
  public var filler: FillerText
  /// Everything that is random comes from here.
  public var random: TaskRandom

  /// A request for one sample.
  public init(size: Int, length: Int, questions: Int, filler: FillerText, random: TaskRandom) {
    self.size = size
    self.length = length
    self.questions = questions
    self.filler = filler
    self.random = random
  }
}

/// A context and what is asked about it.
public struct TaskSample: Sendable, Hashable {
  /// Everything before the question, instructions included.
  public var context: String
  /// What stands between context and question.
  public var separator: String
  /// At least one.
  public var questions: [TaskQuestion]

  /// A context with its questions.
  public init(context: String, separator: String = "\n\n", questions: [TaskQuestion]) {
    self.context = context
    self.separator = separator
    self.questions = questions
  }
}

/// One question and what a right answer holds.
public struct TaskQuestion: Sendable, Hashable {
  /// As the user of a chat would ask it.
  public var text: String
  /// The words with which the answer is made to begin, put behind the chat template; may be empty.
  public var answerPrefix: String
  /// What a right answer holds.
  public var expected: [String]
  /// Where in the context the answer stands, 0...1; nil when it stands in several places.
  public var depth: Double?

  /// A question with what is expected.
  public init(text: String, answerPrefix: String, expected: [String], depth: Double? = nil) {
    self.text = text
    self.answerPrefix = answerPrefix
    self.expected = expected
    self.depth = depth
  }
}
