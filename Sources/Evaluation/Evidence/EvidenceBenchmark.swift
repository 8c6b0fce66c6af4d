// How well the passages of answers are found, on texts of which it is known.

import Foundation
package import Evidence
package import Generation
import LlamaHost
package import RetrievalAttention

/// Asks a model for hidden facts, and compares the passages that its answers are said to come from with those that they
/// do come from.
package struct EvidenceBenchmark {
  /// How much is asked.
  package struct Settings: Sendable {
    package var texts = 3
    /// What is asked instead of what is generated.
    package var given: [EvidenceTexts]?
    /// Questions about each text.
    package var single = 12
    package var double = 6
    package var absent = 6
    /// Words of filler in each text.
    package var words = 2500
    package var maximumTokens = 48
    /// Ask each question once more, for an answer with the sentences that it comes from.
    package var asksForQuotes = true
    /// Keep only passages that the answer needs and that answer the question.
    package var verifies = false
    package var seed: UInt64 = 101
    package var policy = AttentionPolicy.retrieval(RetrievalSettings())
    package var evidence = EvidenceSettings()

    package init() {}
  }

  /// A kind of question.
  package enum Kind: String, Sendable, Codable, CaseIterable { case single, double, absent }

  /// One question with what was said to it.
  package struct Answer: Sendable, Codable {
    package var kind: Kind
    package var question: String
    package var answer: String
    /// Whether it has the value in it.
    package var isRight: Bool
    /// The passages that were cited, beside those that it comes from.
    package var score: EvidenceScore
    /// The same of the passages that share most words with the answer.
    package var byWords: EvidenceScore
    /// The same of the passages that the model quotes when it is asked for them; nil where it was not.
    package var asked: EvidenceScore?
    package var quotes: [String]
  }

  /// Means over some answers, with intervals.
  package struct Summary: Sendable, Codable {
    package var answers: Int
    package var precision: BootstrapMean
    package var recall: BootstrapMean
    /// Of the passages that share most words with the answer.
    package var wordPrecision: BootstrapMean
    package var wordRecall: BootstrapMean
    /// Of the passages that the model quotes when it is asked for them; nil where it was not.
    package var askedPrecision: BootstrapMean?
    package var askedRecall: BootstrapMean?
    /// Share of the answers without a citation.
    package var abstained: Double

    /// Nil for no answers.
    package init?(_ answers: [Answer]) {
      guard let precision = BootstrapMean(answers.map(\.score.precision)),
        let recall = BootstrapMean(answers.map(\.score.recall)),
        let wordPrecision = BootstrapMean(answers.map(\.byWords.precision)),
        let wordRecall = BootstrapMean(answers.map(\.byWords.recall))
      else { return nil }
      self.answers = answers.count
      (self.precision, self.recall) = (precision, recall)
      (self.wordPrecision, self.wordRecall) = (wordPrecision, wordRecall)
      askedPrecision = BootstrapMean(answers.compactMap(\.asked?.precision))
      askedRecall = BootstrapMean(answers.compactMap(\.asked?.recall))
      abstained = Double(answers.count { $0.score.cited == 0 }) / Double(answers.count)
    }
  }

  let host: GuestHost
  let filler: FillerText
  let settings: Settings
  let heads: EvidenceHeads
  let judge: PassageJudge?

  /// - Parameter judge: says whether passages answer the question when they are verified; nil for a model that cannot.
  package init(
    host: GuestHost, heads: EvidenceHeads, judge: PassageJudge? = nil, filler: FillerText,
    settings: Settings = Settings()
  ) {
    self.host = host
    self.heads = heads
    self.judge = judge
    self.filler = filler
    self.settings = settings
  }

  /// - Parameter onProgress: told answers given, of how many.
  /// - Throws: what runners throw.
  package func run(onProgress: (_ done: Int, _ total: Int) -> Void) throws -> [Answer] {
    let texts = settings.given ?? generatedTexts()
    let total = texts.reduce(0) { $0 + $1.questions.count }
    var answers: [Answer] = []
    for text in texts {
      var conversation = try Conversation(model: host.model)
      let (tokens, _) = try conversation.read(text.documents.map { (name: $0.name, text: $0.text) })
      let reader = try GuestRunner(
        host: host, policy: settings.policy, plannedTokens: tokens.count + 512 + settings.maximumTokens)
      _ = try reader.prefill(tokens, progress: nil)
      for question in text.questions {
        onProgress(answers.count, total)
        answers.append(try answer(question, about: text, conversation: conversation, reader: reader))
      }
    }
    onProgress(answers.count, answers.count)
    return answers
  }

  /// Texts with facts in them, the same for a seed.
  private func generatedTexts() -> [EvidenceTexts] {
    var random = TaskRandom(seed: settings.seed, task: "evidence", length: settings.words, sample: 0)
    return (0..<settings.texts).map { _ in
      let sample = HiddenFacts(
        .init(
          words: settings.words, single: settings.single, double: settings.double, absent: settings.absent),
        filler: filler, random: &random)
      return EvidenceTexts(
        documents: [.init(name: "text", text: sample.text)],
        questions: sample.facts.map(EvidenceQuestion.init))
    }
  }

  private func answer(
    _ asked: EvidenceQuestion, about text: EvidenceTexts, conversation: Conversation, reader: GuestRunner
  ) throws -> Answer {
    let tokenizer = host.model.tokenizer
    let trace = heads.makeTrace()
    let runner = try reader.fork()
    let result = try generate(asked.question, conversation, runner, trace: trace)
    let found = AnswerSources(
      text.documents.map { (name: $0.name, text: $0.text) }, in: runner.tokens, tokenizer: tokenizer)
    let sources = try EvidenceSources(found.documents, settings: settings.evidence)
    let question = ContextText.question(
      asked.question, in: runner.tokens[..<result.answerStart], tokenizer: tokenizer)
    let answer = result.evidenceTrace(trace, heads: heads, question: question, tokenizer: tokenizer)
    var evidence = try AnswerEvidence(sources, of: answer)
    if settings.verifies {
      let check = try EvidenceCheck(
        runner, answer: result.tokens, start: result.answerStart, question: question)
      evidence = try verified(evidence, of: asked, by: check, sources, answer)
    }
    let known = try KnownPlaces(of: asked, in: found, of: text)
    let byWords = SegmentSearch(sources).best(for: result.text, limit: max(1, known.count)).map {
      sources.segments[$0.segment]
    }
    let quoted = try settings.asksForQuotes ? quotes(asked.question, conversation, reader.fork()) : nil
    return Answer(
      kind: asked.kind, question: asked.question, answer: result.text,
      isRight: asked.values.contains {
        !$0.allSatisfy(\.isWhitespace) && result.text.localizedCaseInsensitiveContains($0)
      },
      score: known.score(evidence.citations.map(\.source), in: sources),
      byWords: known.score(byWords, in: sources),
      asked: quoted.map { known.score(QuotedSegments(sources).quoted(in: $0), in: sources) },
      quotes: evidence.citations.map(\.quote))
  }

  /// The citations that are left when they are verified.
  private func verified(
    _ evidence: AnswerEvidence, of asked: EvidenceQuestion, by check: EvidenceCheck,
    _ sources: EvidenceSources, _ answer: AnswerTrace
  ) throws -> AnswerEvidence {
    let needed = try evidence.checked(check, sources: sources, trace: answer) { _, _ in }.evidence
    guard let judge else { return needed }
    return try needed.judged(by: judge, question: asked.question, in: sources)
  }

  /// What the model says when it is asked for its sources.
  private func quotes(
    _ question: String, _ conversation: Conversation, _ runner: GuestRunner
  ) throws -> String {
    try generate(
      question + " Answer only with the sentences of the text that say so, word for word.", conversation,
      runner
    ).text
  }

  private func generate(
    _ question: String, _ conversation: Conversation, _ runner: GuestRunner, trace: AttentionTrace? = nil
  ) throws -> TextGenerator.Result {
    var conversation = conversation
    let prompt = try conversation.ask(question)
    return try TextGenerator(runner: runner, trace: trace).generate(
      prompt: prompt, maximumTokens: settings.maximumTokens,
      sampler: Sampler(settings: .greedy, model: host.model, format: conversation.answerFormat)
    ) { _ in }
  }
}

/// Where the evidence of a question is.
private struct KnownPlaces {
  private let segments: [EvidenceSources.Segment]
  /// Where no more is known than documents.
  private let documents: Set<Int>

  var count: Int { segments.count + documents.count }

  /// - Throws: ``TaskError/evidenceNotFound(document:)`` for evidence in a document that a template has changed.
  init(of asked: EvidenceQuestion, in found: AnswerSources, of text: EvidenceTexts) throws {
    if let lost = found.missing.first(where: { number in
      asked.documents.contains(number)
        || asked.sentences.contains { text.documents[number].text.contains($0) }
    }) {
      throw TaskError.evidenceNotFound(document: text.documents[lost].name)
    }
    let numbers = text.documents.indices.filter { !found.missing.contains($0) }
    segments = asked.sentences.flatMap { sentence in
      numbers.enumerated().compactMap { place, number in
        let whole = text.documents[number].text
        guard let range = whole.range(of: sentence) else { return nil }
        let start = whole.utf8.distance(from: whole.startIndex, to: range.lowerBound)
        return EvidenceSources.Segment(document: place, bytes: start..<start + sentence.utf8.count)
      }
    }
    documents = Set(asked.documents.compactMap(numbers.firstIndex))
  }

  func score(_ cited: [EvidenceSources.Segment], in sources: EvidenceSources) -> EvidenceScore {
    documents.isEmpty
      ? EvidenceScore(cited: cited, known: segments, in: sources)
      : EvidenceScore(citedDocuments: Set(cited.map(\.document)), knownDocuments: documents)
  }
}
