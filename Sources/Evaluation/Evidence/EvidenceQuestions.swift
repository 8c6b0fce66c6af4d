// Questions about texts of which it is known where their answers are, from a file.

import Foundation
import Generation

/// A question with the places that its answer follows from.
package struct EvidenceQuestion: Sendable, Hashable {
  package var question: String
  /// An answer that has one of them in it is right.
  package var values: [String]
  /// What it follows from: texts as they stand in the documents; none for what the documents do not tell.
  package var sentences: [String] = []
  /// The same by numbers of documents, where no more than that is known.
  package var documents: [Int] = []

  package var kind: EvidenceBenchmark.Kind {
    switch sentences.count + documents.count {
    case 0: .absent
    case 1: .single
    default: .double
    }
  }
}

extension EvidenceQuestion {
  init(_ fact: HiddenFact) {
    self.init(question: fact.question, values: [fact.value], sentences: fact.sentences)
  }
}

/// Documents with questions about them.
package struct EvidenceTexts: Sendable, Hashable {
  package struct Document: Sendable, Hashable {
    package var name: String
    package var text: String
  }

  package var documents: [Document]
  package var questions: [EvidenceQuestion]

  /// A line of a file. Others are there for other programs.
  private struct Line: Decodable {
    var documents: [Document]
    var question: EvidenceQuestion

    /// Templates leave spaces at the ends out, and what they have changed is not found again.
    private static func trimmed(_ text: String) -> String {
      text.trimmingCharacters(in: .whitespacesAndNewlines)
    }

    enum CodingKeys: String, CodingKey { case context, docs, question, query, answer, answers, evidence }

    init(from decoder: any Decoder) throws {
      let fields = try decoder.container(keyedBy: CodingKeys.self)
      if let context = try fields.decodeIfPresent(String.self, forKey: .context) {
        documents = [Document(name: "text", text: Self.trimmed(context))]
      } else {
        documents = try fields.decode([String].self, forKey: .docs).enumerated().map {
          Document(name: "document \($0.offset + 1)", text: Self.trimmed($0.element))
        }
      }
      question = EvidenceQuestion(
        question: try fields.decodeIfPresent(String.self, forKey: .question)
          ?? fields.decode(String.self, forKey: .query), values: [])
      if let answer = try? fields.decode(String.self, forKey: .answer) {
        question.values = [answer]
      } else {
        question.values =
          try fields.decodeIfPresent([String].self, forKey: .answers)
          ?? fields.decodeIfPresent([String].self, forKey: .answer) ?? []
      }
      if let numbers = try? fields.decode([Int].self, forKey: .evidence) {
        question.documents = numbers.map { $0 &- 1 }
      } else {
        question.sentences = try fields.decode([String].self, forKey: .evidence)
      }
    }
  }

  /// Reads a file of lines with JSON objects: `context`, a text, or `docs`, a list of texts; `question` or `query`;
  /// `answer` or `answers`; and `evidence`, a list of texts as they stand in the documents, or of numbers of documents
  /// from 1 on, empty where the documents do not tell, which needs no answer. Names are those of LongBench-Cite (arXiv
  /// 2409.02897) and L-CiteEval (arXiv 2410.02115). Documents that are the same in lines that follow each other are
  /// read once.
  ///
  /// Throws ``TaskError/badTaskFile(path:line:reason:)``, and ``Generation/GenerationError`` for a file that cannot be
  /// read or is no text.
  package static func read(_ path: String) throws -> [EvidenceTexts] {
    var result: [EvidenceTexts] = []
    for (number, line) in try TextFile.lines(TextFile.read(path)) {
      func bad(_ reason: String) -> TaskError { .badTaskFile(path: path, line: number, reason: reason) }
      let decoded: Line
      do {
        decoded = try JSONDecoder().decode(Line.self, from: Data(line.utf8))
      } catch {
        throw bad(
          "no JSON object with \"context\" or \"docs\", \"question\", \"answer\" and a list \"evidence\" of texts or numbers"
        )
      }
      if let reason = decoded.question.failure(in: decoded.documents) { throw bad(reason) }
      if result.last?.documents == decoded.documents {
        result[result.count - 1].questions.append(decoded.question)
      } else {
        result.append(EvidenceTexts(documents: decoded.documents, questions: [decoded.question]))
      }
    }
    guard !result.isEmpty else {
      throw TaskError.badTaskFile(path: path, line: 1, reason: "the file has no questions")
    }
    return result
  }
}

extension EvidenceQuestion {
  /// Why it cannot be asked about documents; nil where it can.
  fileprivate func failure(in texts: [EvidenceTexts.Document]) -> String? {
    if question.allSatisfy(\.isWhitespace) { return "the question is empty" }
    if texts.allSatisfy({ $0.text.allSatisfy(\.isWhitespace) }) { return "there is no text to ask about" }
    // What the documents do not tell has no right answer.
    if kind != .absent, values.allSatisfy({ $0.allSatisfy(\.isWhitespace) }) {
      return "the answer is empty or missing, so that no answer is right"
    }
    if let sentence = sentences.first(where: { text in
      text.isEmpty || !texts.contains { $0.text.contains(text) }
    }) {
      return "the evidence '\(sentence.prefix(80))' does not stand in the text"
    }
    if let number = documents.first(where: { !texts.indices.contains($0) }) {
      return "the evidence names document \(number &+ 1) of \(texts.count)"
    }
    if let number = documents.first(where: { texts[$0].text.isEmpty }) {
      return "the evidence names document \(number + 1), which is empty"
    }
    return nil
  }
}
