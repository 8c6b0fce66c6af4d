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
    /// Passages that were cited, those among them that are right, and how many would have been.
    package var cited: Int
    package var rightlyCited: Int
    package var wanted: Int
    /// The same of the passages that share most words with the answer.
    package var foundByWords: Int
    package var rightlyFoundByWords: Int
    package var quotes: [String]
  }

  /// Precision and recall over some answers.
  package struct Score: Sendable, Codable {
    package var answers = 0
    package var precision = 0.0
    package var recall = 0.0
    package var wordPrecision = 0.0
    package var wordRecall = 0.0
    /// Share of the answers without a citation.
    package var abstained = 0.0

    package init(_ answers: [Answer]) {
      self.answers = answers.count
      guard !answers.isEmpty else { return }
      func share(_ part: KeyPath<Answer, Int>, of whole: KeyPath<Answer, Int>) -> Double {
        let total = answers.reduce(0) { $0 + $1[keyPath: whole] }
        return total > 0 ? Double(answers.reduce(0) { $0 + $1[keyPath: part] }) / Double(total) : 0
      }
      precision = share(\.rightlyCited, of: \.cited)
      recall = share(\.rightlyCited, of: \.wanted)
      wordPrecision = share(\.rightlyFoundByWords, of: \.foundByWords)
      wordRecall = share(\.rightlyFoundByWords, of: \.wanted)
      abstained = Double(answers.count { $0.cited == 0 }) / Double(answers.count)
    }
  }

  let host: GuestHost
  let filler: FillerText
  let settings: Settings
  let heads: EvidenceHeads

  package init(host: GuestHost, heads: EvidenceHeads, filler: FillerText, settings: Settings = Settings()) {
    self.host = host
    self.heads = heads
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
          try answer(fact, kind, text: sample.text, conversation: conversation, runner: reader.fork()))
      }
    }
    onProgress(answers.count, answers.count)
    return answers
  }

  private func answer(
    _ fact: HiddenFact, _ kind: Kind, text: String, conversation: Conversation, runner: GuestRunner
  ) throws -> Answer {
    var conversation = conversation
    let tokenizer = host.model.tokenizer
    let trace = heads.makeTrace()
    let result = try TextGenerator(runner: runner, trace: trace).generate(
      prompt: conversation.ask(fact.question), maximumTokens: settings.maximumTokens,
      sampler: Sampler(settings: .greedy, model: host.model, format: conversation.answerFormat)
    ) { _ in }
    let found = AnswerSources([(name: "text", text: text)], in: runner.tokens, tokenizer: tokenizer)
    let sources = try EvidenceSources(found.documents, settings: settings.evidence)
    let evidence = try AnswerEvidence(
      sources, of: result.evidenceTrace(trace, heads: heads, tokenizer: tokenizer))
    let wanted = Set(fact.sentences.flatMap { segments(of: $0, in: text, sources) })
    let cited = Set(
      evidence.citations.flatMap { citation in
        sources.segments.indices.filter { sources.segments[$0].bytes.overlaps(citation.documentBytes) }
      })
    let byWords = Set(
      SegmentSearch(sources).best(for: result.text, limit: max(1, wanted.count)).map(\.segment))
    return Answer(
      kind: kind, question: fact.question, answer: result.text,
      isRight: result.text.localizedCaseInsensitiveContains(fact.value), cited: cited.count,
      rightlyCited: cited.intersection(wanted).count, wanted: wanted.count, foundByWords: byWords.count,
      rightlyFoundByWords: byWords.intersection(wanted).count, quotes: evidence.citations.map(\.quote))
  }

  private func segments(of sentence: String, in text: String, _ sources: EvidenceSources) -> [Int] {
    guard let range = text.range(of: sentence) else { return [] }
    let start = text.utf8.distance(from: text.startIndex, to: range.lowerBound)
    let bytes = start..<start + sentence.utf8.count
    return sources.segments.indices.filter { sources.segments[$0].bytes.overlaps(bytes) }
  }
}
