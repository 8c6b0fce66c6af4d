// Why a task cannot be run.

/// What can go wrong before a task is run.
public enum TaskError: Error, Equatable, Sendable {
  /// A name that is neither a task nor a group.
  case unknownTask(String, known: [String])
  /// Not even the shortest sample fits.
  case lengthTooShort(task: String, length: Int, needed: Int)
  /// A filler text with too few words.
  case fillerTooShort(words: Int, required: Int)
  /// A line of a task file that is not what it should be.
  case badTaskFile(path: String, line: Int, reason: String)
  /// A document whose text the model's template has changed, so that evidence in it cannot be found again.
  case evidenceNotFound(document: String)
}

extension TaskError: CustomStringConvertible {
  /// A clause without a full stop.
  public var description: String {
    switch self {
    case .unknownTask(let name, let known):
      "there is no task '\(name)'; tasks are \(known.joined(separator: ", "))"
    case .lengthTooShort(let task, let length, let needed):
      "\(task) needs at least \(needed) tokens, but the length is \(length)"
    case .fillerTooShort(let words, let required):
      "the filler text has \(words) words, but \(required) are needed"
    case .badTaskFile(let path, let line, let reason):
      "line \(line) of \(path): \(reason)"
    case .evidenceNotFound(let document):
      "the model's chat template changes the text of \(document), so that the evidence in it cannot be found again"
    }
  }
}
