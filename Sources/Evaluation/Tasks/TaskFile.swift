// Samples that were made elsewhere: RULER's own files.

import Foundation
import Generation

/// A task whose samples are the lines of a file in RULER's form (Hsieh et al., arXiv 2404.06654): JSON objects with
/// `input` (the whole prompt), `outputs` (what the answer should hold) and perhaps `answer_prefix` (words with which
/// the answer begins).
///
/// RULER names the folder and not the file after the task: `niah_single_1/validation.jsonl`. How long answers may be
/// and how they are scored follows from that name, as in RULER.
public struct TaskFile: EvaluationTask {
  /// Of the folder or the file.
  public let name: String
  /// The file it is from.
  public let summary: String
  /// Most tokens of an answer.
  public let answerTokens: Int
  /// As RULER scores the task of this name.
  public let scoring: AnswerScoring
  /// One for each line.
  public let fixedSamples: [TaskSample]?
  /// Contexts are in the file.
  public var usesFiller: Bool { false }

  /// A line of a file. RULER has more fields, such as its own count of tokens.
  private struct Line: Decodable {
    var input: String
    var outputs: [String]
    var answerPrefix: String?

    enum CodingKeys: String, CodingKey {
      case input, outputs
      case answerPrefix = "answer_prefix"
    }
  }

  /// Most tokens of an answer, by the beginning of the task's name (RULER, `synthetic/constants.py`).
  private static let answerLengths = [("niah", 128), ("vt", 30), ("cwe", 120), ("fwe", 50), ("qa", 32)]

  /// Reads a file.
  ///
  /// Throws ``TaskError/badTaskFile(path:line:reason:)``, and ``Generation/GenerationError`` for a file that cannot be
  /// read or is no text.
  public init(contentsOf path: String) throws {
    let text = try TextFile.read(path)
    let url = URL(fileURLWithPath: path)
    let file = url.deletingPathExtension().lastPathComponent
    let folder = url.deletingLastPathComponent().lastPathComponent
    let task = ["validation", "test", "train"].contains(file) && !folder.isEmpty ? folder : file
    var samples: [TaskSample] = []
    for (number, line) in TextFile.lines(text) {
      func bad(_ reason: String) -> TaskError { .badTaskFile(path: path, line: number, reason: reason) }
      let decoded: Line
      do {
        decoded = try JSONDecoder().decode(Line.self, from: Data(line.utf8))
      } catch {
        throw bad("no JSON object with a text \"input\" and a list of texts \"outputs\"")
      }
      guard !decoded.outputs.isEmpty else { throw bad("\"outputs\" is empty, so no answer is right") }
      guard let sample = Self.sample(decoded) else {
        throw bad("\"input\" has less than two words, so there is no context to ask about")
      }
      samples.append(sample)
    }
    guard !samples.isEmpty else {
      throw TaskError.badTaskFile(path: path, line: 1, reason: "the file has no samples")
    }
    // Results of a file that was changed must not stand beside those of the old one.
    var hash = StableHash()
    hash.add(text)
    name = "\(task):\(hash.description.prefix(8))"
    summary = "\(samples.count) samples of \(path)"
    answerTokens = Self.answerLengths.first { task.hasPrefix($0.0) }?.1 ?? 128
    scoring = task.hasPrefix("qa") ? .any : .all
    fixedSamples = samples
  }

  /// The prompt, cut before its last line, or its last word when it is all one line: what comes before is the context.
  private static func sample(_ line: Line) -> TaskSample? {
    let end = line.input.lastIndex { !$0.isWhitespace } ?? line.input.startIndex
    let body = line.input[..<end]
    guard let cut = body.lastIndex(where: \.isNewline) ?? body.lastIndex(where: \.isWhitespace),
      body[..<cut].contains(where: { !$0.isWhitespace })
    else { return nil }
    return TaskSample(
      context: String(line.input[..<cut]), separator: "",
      questions: [
        TaskQuestion(
          text: String(line.input[cut...]), answerPrefix: line.answerPrefix ?? "", expected: line.outputs)
      ])
  }

  /// The first sample; those of a file are taken by their number, see ``fixedSamples``.
  public func sample(_ request: TaskRequest) -> TaskSample {
    fixedSamples?.first ?? TaskSample(context: "", questions: [])
  }
}
