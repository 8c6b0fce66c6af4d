// Options for the passages that answers come from.

import ArgumentParser
import Documents
import Evidence
import Foundation
import Generation
import LlamaHost
import RetrievalAttention

/// Whether and how passages are shown.
struct EvidenceOptions: ParsableArguments {
  @Flag(help: "Show which passages of the documents each sentence of the answer came from.")
  var evidence = false

  @Flag(
    help: """
      Show only passages that the answer needs, read again without each of them and without others as long, and \
      that answer the question, by the model's own word. Implies --evidence.
      """)
  var verifyEvidence = false

  @Option(
    help: ArgumentHelp(
      "Write a page that shows the documents, darker where the answer read more.", valueName: "file"),
    completion: .file())
  var heat: String?

  @Option(
    help: ArgumentHelp(
      "A profile that ra tune --evidence wrote. (default: the program's own for the model, or all heads of its middle layers)",
      valueName: "file"), completion: .file())
  var evidenceHeads: String?

  /// Whether anything is to be found.
  var isWanted: Bool { evidence || verifyEvidence || heat != nil }
  /// Whether marks stand in the answer, which then comes as a whole.
  var showsMarks: Bool { evidence || verifyEvidence }

  /// What takes note; nil where nothing is wanted, or where the host attends.
  ///
  /// - Parameter judges: whether the model may be asked about the question, which tells all that is asked: not for one
  ///   behind others, nor for a text that is continued.
  func recorder(
    for runner: any SequenceRunner, judges: Bool, _ console: Console
  ) throws -> EvidenceRecorder? {
    isWanted ? try makeRecorder(for: runner, judges: judges, console) : nil
  }

  /// The same, wanted or not.
  func makeRecorder(
    for runner: any SequenceRunner, judges: Bool, _ console: Console
  ) throws -> EvidenceRecorder? {
    guard let guest = runner as? GuestRunner else {
      console.note("no passages: the host attends, and does not tell what it read")
      return nil
    }
    let heads = try EvidenceHeads(of: guest.model, shape: guest.host.shape, profile: evidenceHeads)
    if heads.isDefault {
      console.inform(
        "evidence by the default heads: 'ra tune --evidence' finds those of this model, which tell more")
    }
    var judge: PassageJudge?
    if verifyEvidence, judges {
      if let odds = try EvidenceProfile(of: guest.model, path: evidenceHeads)?.leastOdds {
        judge = try PassageJudge(host: guest.host, leastOdds: odds)
      } else {
        console.inform(
          "the model is not asked whether passages answer the question: 'ra tune --evidence' has not found that it can tell"
        )
      }
    }
    return EvidenceRecorder(options: self, runner: guest, heads: heads, judge: judge)
  }
}

/// Finds an answer's passages.
struct EvidenceRecorder {
  let options: EvidenceOptions
  let runner: GuestRunner
  let heads: EvidenceHeads
  /// Nil where nothing is verified, and for models that cannot tell.
  let judge: PassageJudge?
  private(set) var trace: AttentionTrace

  init(options: EvidenceOptions, runner: GuestRunner, heads: EvidenceHeads, judge: PassageJudge?) {
    self.judge = judge
    self.options = options
    self.runner = runner
    self.heads = heads
    trace = heads.makeTrace()
  }

  /// The passages of an answer from documents in the context.
  func find(
    _ result: TextGenerator.Result, documents: [SessionDocument], question: String, _ console: Console
  ) throws -> FoundEvidence {
    let sources = AnswerSources(documents, in: runner.tokens, tokenizer: runner.model.tokenizer)
    return try find(result, sources, question: question, console)
  }

  func find(
    _ result: TextGenerator.Result, _ found: AnswerSources, question: String, _ console: Console
  ) throws -> FoundEvidence {
    let sources = try EvidenceSources(found.documents)
    let place = self.place(of: question, before: result)
    let answer = result.evidenceTrace(
      trace, heads: heads, question: place, tokenizer: runner.model.tokenizer)
    var evidence = try AnswerEvidence(sources, of: answer)
    var isJudgedAway = false
    if options.verifyEvidence, !evidence.citations.isEmpty, result.stopReason != .cancelled {
      do {
        let check = try EvidenceCheck(
          runner, answer: result.tokens, start: result.answerStart, question: place)
        evidence = try checked(evidence, by: check, sources, answer, console)
        let left = try judged(evidence, sources, question: question, console)
        isJudgedAway = left.citations.count < evidence.citations.count
        evidence = left
      } catch {
        // The answer is there, and is worth more than the check.
        let reason = error is CancellationError ? "interrupted" : "\(error)"
        console.note("passages were not verified to the end: \(reason)")
      }
    }
    return FoundEvidence(
      evidence: evidence, sources: sources, places: SourcePlaces(sources), question: question,
      isJudgedAway: isJudgedAway)
  }

  /// The same of an answer that nobody took note of: its tokens are read again, exactly.
  mutating func findAgain(
    _ result: TextGenerator.Result, documents: [SessionDocument], question: String, _ console: Console
  ) throws -> FoundEvidence {
    trace = try EvidenceCheck(
      runner, answer: result.tokens, start: result.answerStart, question: place(of: question, before: result)
    ).trace(heads)
    return try find(result, documents: documents, question: question, console)
  }

  private func checked(
    _ evidence: AnswerEvidence, by check: EvidenceCheck, _ sources: EvidenceSources, _ answer: AnswerTrace,
    _ console: Console
  ) throws -> AnswerEvidence {
    defer { console.clear() }
    return try evidence.checked(check, sources: sources, trace: answer) {
      console.progress("checking", done: $0, total: $1, unit: "passages")
    }.evidence
  }
}

extension EvidenceRecorder {
  /// Positions of the question's tokens.
  private func place(of question: String, before result: TextGenerator.Result) -> Range<Int>? {
    ContextText.question(
      question, in: runner.tokens[..<result.answerStart], tokenizer: runner.model.tokenizer)
  }

  /// The same without citations where the model says that they do not answer the question, which is told.
  private func judged(
    _ evidence: AnswerEvidence, _ sources: EvidenceSources, question: String, _ console: Console
  ) throws -> AnswerEvidence {
    guard let judge else { return evidence }
    let left = try evidence.judged(by: judge, question: question, in: sources)
    if left.citations.isEmpty, !evidence.citations.isEmpty {
      let passages = evidence.passages(in: sources).split(whereSeparator: \.isNewline).map { "    \($0)" }
      console.note(
        "no passage answers the question, as far as the model can tell. The answer was made of this:\n"
          + passages.joined(separator: "\n"))
    }
    return left
  }
}

/// An answer with its passages.
struct FoundEvidence {
  let evidence: AnswerEvidence
  let sources: EvidenceSources
  let places: SourcePlaces
  let question: String
  /// Whether the model said that none of the passages answers the question, which was told.
  let isJudgedAway: Bool

  /// Writes the map of reading, if one is wanted: after the answer, which a full disk must not cost.
  func writeMap(_ options: EvidenceOptions, _ console: Console) throws {
    guard let path = options.heat else { return }
    let map = ReadingMap(
      evidence, sources: sources, title: sources.documents.first?.name ?? "Documents", question: question,
      places: places)
    do {
      try Data(map.html.utf8).write(to: URL(fileURLWithPath: path), options: .atomic)
    } catch {
      throw CommandError.unwritable(path: path, reason: "\(error.localizedDescription)")
    }
    console.inform("map        \(path)")
  }

  /// The answer with marks, and the passages below it.
  var text: String {
    let cited = CitedAnswer(evidence, sources: sources, places: places)
    return cited.list.isEmpty ? "\(cited.text)\n" : "\(cited.text)\n\n\(cited.list)\n"
  }

  var record: EvidenceRecord { EvidenceRecord(evidence, sources: sources, places: places) }
}

/// Lines, pages and headings of documents, by the kinds of their files.
struct SourcePlaces: Evidence.DocumentPlaces {
  private let places: [Documents.DocumentPlaces]

  init(_ sources: EvidenceSources) {
    places = sources.documents.map {
      Documents.DocumentPlaces(of: $0.text, format: DocumentFormat(fileName: $0.name))
    }
  }

  func place(ofByte offset: Int, document: Int) -> String? {
    places.indices.contains(document) ? places[document].place(at: offset).description : nil
  }
}
