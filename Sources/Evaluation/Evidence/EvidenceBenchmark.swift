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
    var answers: [Answer] = []
    let each = settings.single + settings.double + settings.absent
    var random = TaskRandom(seed: settings.seed, task: "evidence", length: settings.words, sample: 0)
    for _ in 0..<settings.texts {
      let sample = HiddenFacts(
        .init(
          words: settings.words, single: settings.single, double: settings.double, absent: settings.absent),
        filler: filler, random: &random)
      var conversation = try Conversation(model: host.model)
      let (tokens, _) = try conversation.read([(name: "text", text: sample.text)])
      let reader = try GuestRunner(
        host: host, policy: settings.policy, plannedTokens: tokens.count + 512 + settings.maximumTokens)
      _ = try reader.prefill(tokens, progress: nil)
      for (number, fact) in sample.facts.enumerated() {
        onProgress(answers.count, settings.texts * each)
        let kind: Kind =
          number < settings.single ? .single : number < settings.single + settings.double ? .double : .absent
        answers.append(
          try answer(fact, kind, text: sample.text, conversation: conversation, reader: reader))
      }
    }
    onProgress(answers.count, answers.count)
    return answers
  }

  private func answer(
    _ fact: HiddenFact, _ kind: Kind, text: String, conversation: Conversation, reader: GuestRunner
  ) throws -> Answer {
    let tokenizer = host.model.tokenizer
    let trace = heads.makeTrace()
    let runner = try reader.fork()
    let result = try generate(fact.question, conversation, runner, trace: trace)
    let found = AnswerSources([(name: "text", text: text)], in: runner.tokens, tokenizer: tokenizer)
    let sources = try EvidenceSources(found.documents, settings: settings.evidence)
    let answer = result.evidenceTrace(trace, heads: heads, tokenizer: tokenizer)
    var evidence = try AnswerEvidence(sources, of: answer)
    if settings.verifies { evidence = try verified(evidence, of: fact, result, sources, answer, runner) }
    let known = fact.sentences.compactMap { place(of: $0, in: text) }
    let byWords = SegmentSearch(sources).best(for: result.text, limit: max(1, known.count)).map {
      sources.segments[$0.segment]
    }
    let quoted = try settings.asksForQuotes ? quotes(fact, conversation, reader.fork()) : nil
    return Answer(
      kind: kind, question: fact.question, answer: result.text,
      isRight: result.text.localizedCaseInsensitiveContains(fact.value),
      score: EvidenceScore(cited: evidence.citations.map(\.source), known: known, in: sources),
      byWords: EvidenceScore(cited: byWords, known: known, in: sources),
      asked: quoted.map {
        EvidenceScore(cited: QuotedSegments(sources).quoted(in: $0), known: known, in: sources)
      },
      quotes: evidence.citations.map(\.quote))
  }

  /// The citations that are left when they are verified.
  private func verified(
    _ evidence: AnswerEvidence, of fact: HiddenFact, _ result: TextGenerator.Result,
    _ sources: EvidenceSources,
    _ answer: AnswerTrace, _ runner: GuestRunner
  ) throws -> AnswerEvidence {
    let check = try EvidenceCheck(runner, answer: result.tokens, start: result.answerStart)
    let needed = try evidence.checked(check, sources: sources, trace: answer) { _, _ in }.evidence
    guard let judge, !needed.citations.isEmpty else { return needed }
    let answers = try judge.says(that: needed.passages(in: sources), answers: fact.question)
    return answers ? needed : needed.withoutCitations
  }

  /// What the model says when it is asked for its sources.
  private func quotes(
    _ fact: HiddenFact, _ conversation: Conversation, _ runner: GuestRunner
  ) throws -> String {
    try generate(
      fact.question + " Answer only with the sentences of the text that say so, word for word.", conversation,
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

  private func place(of sentence: String, in text: String) -> EvidenceSources.Segment? {
    guard let range = text.range(of: sentence) else { return nil }
    let start = text.utf8.distance(from: text.startIndex, to: range.lowerBound)
    return EvidenceSources.Segment(document: 0, bytes: start..<start + sentence.utf8.count)
  }
}
