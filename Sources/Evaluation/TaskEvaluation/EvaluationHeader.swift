// What a result file says about itself: which results may stand beside each other in it.

import Foundation
import LlamaHost

/// The first line of a result file.
public struct EvaluationHeader: Sendable, Hashable, Codable {
  /// The form of the lines; another number is not read.
  public static let currentVersion = 1

  public var version = currentVersion
  /// Results of one file agree in this; it covers all that a single result depends on: the file's form, the model,
  /// the filler text, the seed, how questions are put.
  public var fingerprint: String
  /// The model in words.
  public var model: String
  public var modelFile: String
  public var filler: String
  public var seed: UInt64
  public var questionsPerContext: Int
  /// How a question is read: `batch` (exact attention, as in a prompt) or `token` (decode steps).
  public var questionReading: String
  public var raw: Bool
  public var fidelityTokens: Int
  /// The machine that began the file.
  public var machine: String
  public var threads: Int
  /// UTC, ISO 8601.
  public var started: String

  init(model: ModelDescription, threads: Int, settings: EvaluationSettings, filler: FillerText) {
    var hash = StableHash()
    for part in [
      "\(Self.currentVersion)", model.summary, "\(model.byteCount)", Self.digest(ofStart: model.path),
      filler.digest, "\(settings.seed)", "\(settings.questions)", "\(settings.readsQuestionsByToken)",
      "\(settings.raw)", "\(settings.fidelityTokens)",
    ] { hash.add(part) }
    fingerprint = hash.description
    self.model = "\(model)"
    modelFile = URL(fileURLWithPath: model.path).lastPathComponent
    self.filler = settings.fillerName
    seed = settings.seed
    questionsPerContext = settings.questions
    questionReading = settings.readsQuestionsByToken ? "token" : "batch"
    raw = settings.raw
    fidelityTokens = settings.fidelityTokens
    machine = MachineDescription.current
    self.threads = threads
    started = Date.now.ISO8601Format()
  }

  /// Tells files of one size apart by their first megabyte, which has all settings of a GGUF file.
  private static func digest(ofStart path: String) -> String {
    var hash = StableHash()
    if let file = FileHandle(forReadingAtPath: path), let start = try? file.read(upToCount: 1 << 20) {
      hash.add(start)
    }
    return hash.description
  }
}

/// What to evaluate.
public struct EvaluationSettings: Sendable {
  public var tasks: [any EvaluationTask] = []
  /// Tokens of prompt and answer.
  public var lengths = [4096]
  public var attentions: [EvaluatedAttention] = []
  /// Contexts of each task and length.
  public var samples = 5
  /// Most questions about one context.
  public var questions = 4
  public var seed: UInt64 = 42
  /// Questions are read in decode steps instead of as a batch.
  public var readsQuestionsByToken = false
  /// No chat template.
  public var raw = false
  /// Tokens of filler decoded for the fidelity of each attention at each length; 0 for none.
  public var fidelityTokens = 64
  /// Where the filler was read from, for the report.
  public var fillerName = ""

  public init() {}
}
