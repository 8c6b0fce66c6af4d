// The evaluation: every task at every length with every attention, one result after another.

import Foundation
import Generation
public import LlamaHost
import RetrievalAttention

/// Evaluates attentions on tasks and keeps each result in a file as it comes.
///
/// A context is read once for all of its questions and all policies; llama.cpp reads it by itself. Run again with the
/// same folder, an evaluation goes on where the last one was stopped.
public final class TaskEvaluation {
  /// How far an evaluation is.
  public struct Progress: Sendable {
    /// What is being done: `niah_single_1, 4096 tokens, retrieval`.
    public var activity: String
    /// Work done, in tokens to read or so, of ``total``; what is begun counts in part.
    public var done: Double
    /// What all of it comes to.
    public var total: Double
    /// Work that this run found done.
    public var skipped: Double
  }

  /// As they were given.
  public let settings: EvaluationSettings
  /// All results so far, those of earlier runs included.
  public var results: EvaluationResults { file.results }

  let model: LlamaModel
  let pool: ThreadPool
  private let filler: FillerText
  let fillerTokens: [Int32]
  let file: ResultFile
  private let onProgress: (Progress) -> Void
  /// Made when a policy is first needed, and used for all contexts.
  var guestHost: GuestHost?
  /// Heads that tell where answers come from, made when they are first needed.
  var evidenceHeads: EvidenceHeads?
  /// Attentions that contexts are read for when nothing is done yet; others read along.
  private var leaders: Set<String> = []
  private var progress = Progress(activity: "", done: 0, total: 0, skipped: 0)

  /// Prepares an evaluation; nothing is measured yet.
  ///
  /// - Parameters:
  ///   - filler: the text that hides needles and that fidelity is measured on.
  ///   - resultPath: the file of results, made or continued.
  /// - Throws: ``TaskError``, ``ResultFileError``, ``AttentionNameError/duplicate(_:)``,
  ///   ``Generation/GenerationError`` for counts out of range and for a filler too short for fidelity.
  public init(
    model: LlamaModel, pool: ThreadPool, settings: EvaluationSettings, filler: String,
    resultPath: String, onProgress: @escaping (Progress) -> Void = { _ in }
  ) throws {
    self.settings = settings
    self.model = model
    self.pool = pool
    self.onProgress = onProgress
    for (name, value) in [
      ("samples", settings.samples), ("questions", settings.questions),
      ("tasks and fidelity tokens", settings.tasks.count + settings.fidelityTokens),
      ("attentions", settings.attentions.count), ("lengths", settings.lengths.count),
    ] where value <= 0 {
      throw GenerationError.invalidCount(name: name, value: value, requirement: "positive")
    }
    for (name, value) in settings.lengths.map({ ("length", $0) }) + [
      ("fidelity tokens", settings.fidelityTokens)
    ]
    where !(0...TokenCounts.maximum).contains(value) {
      throw GenerationError.invalidCount(
        name: name, value: value, requirement: "in 0...\(TokenCounts.maximum)")
    }
    for length in settings.lengths where length <= settings.fidelityTokens {
      throw GenerationError.invalidCount(
        name: "length", value: length, requirement: "more than the \(settings.fidelityTokens) fidelity tokens"
      )
    }
    var names: Set<String> = []
    for attention in settings.attentions where !names.insert(attention.name).inserted {
      throw AttentionNameError.duplicate(attention.name)
    }
    self.filler = try FillerText(filler)
    if settings.fidelityTokens > 0 {
      fillerTokens = try model.tokenizer.tokenize(filler, addSpecial: true, parseSpecial: false)
      let required = (settings.lengths.max() ?? 0) + 1
      guard fillerTokens.count >= required else {
        throw GenerationError.textTooShort(tokens: fillerTokens.count, required: required)
      }
    } else {
      fillerTokens = []
    }
    file = try ResultFile(
      path: resultPath,
      header: EvaluationHeader(
        model: model, threads: pool.threadCount, settings: settings, filler: self.filler))
  }

  /// Does what is not done yet.
  ///
  /// Cancelling the task stops it within a layer with `CancellationError`; ``results`` and the file then have all
  /// that was finished.
  public func run() throws {
    let families = families(settings.attentions)
    leaders = Set(
      settings.readsApart
        ? families.map(\.leader.name)
        : [families.first { $0.leader.policy != nil }, families.first { $0.leader.policy == nil }].compactMap
        {
          $0?.leader.name
        })
    plan()
    for length in settings.lengths.sorted() {
      if settings.fidelityTokens > 0 { try measureFidelity(length: length) }
      for task in settings.tasks {
        for sample in 0..<sampleCount(task) { try evaluate(task, length: length, sample: sample) }
      }
    }
  }

  // MARK: Progress

  /// Of the work of the attention that reads: answers take the rest.
  static let readingShare = 0.9

  /// Reading dominates: the work of an attention that reads a context is its length, that of one which shares it a
  /// small part of that.
  private func work(_ attention: EvaluatedAttention, length: Int) -> Double {
    Double(length) * (leaders.contains(attention.name) ? 1 : 0.25)
  }

  /// What is left of the work of some attentions when their context has been read.
  private func answeringWork(_ attentions: [EvaluatedAttention], length: Int) -> Double {
    max(0, attentions.reduce(0) { $0 + work($1, length: length) } - Self.readingShare * Double(length))
  }

  private func plan() {
    let contexts = settings.tasks.reduce(0) { $0 + sampleCount($1) }
    let items = Double(contexts + (settings.fidelityTokens > 0 ? 1 : 0))
    progress.total = settings.lengths.reduce(0) { total, length in
      total + items * settings.attentions.reduce(0) { $0 + work($1, length: length) }
    }
  }

  /// - Parameter begun: work on the next attention that is done already.
  func tell(_ activity: String, begun: Double = 0) {
    var told = progress
    told.activity = activity
    told.done += begun
    onProgress(told)
  }

  func finish(_ attention: EvaluatedAttention, length: Int, wasSkipped: Bool) {
    progress.done += work(attention, length: length)
    if wasSkipped { progress.skipped += work(attention, length: length) }
  }

  // MARK: Tasks

  private func evaluate(_ task: any EvaluationTask, length: Int, sample number: Int) throws {
    func key(_ attention: EvaluatedAttention, _ question: Int) -> EvaluationKey {
      .answer(task: task.name, length: length, attention: attention.name, sample: number, question: question)
    }
    let activity = "\(task.name), \(length) tokens, context \(number + 1) of \(sampleCount(task))"
    tell(activity)
    let request = TaskRequest(
      size: 0, length: length, questions: settings.questions, filler: filler,
      random: TaskRandom(seed: settings.seed, task: task.name, length: length, sample: number))
    if settings.attentions.allSatisfy({ attention in
      (0..<knownQuestions(task, length: length, sample: number)).allSatisfy { file.has(key(attention, $0)) }
    }) {
      for attention in settings.attentions { finish(attention, length: length, wasSkipped: true) }
      return
    }
    guard let (sample, prompts) = try prepare(task, length: length, sample: number, request: request) else {
      for attention in settings.attentions { finish(attention, length: length, wasSkipped: true) }
      return
    }
    let missing = settings.attentions.filter { attention in
      let isMissing = sample.questions.indices.contains { !file.has(key(attention, $0)) }
      if !isMissing { finish(attention, length: length, wasSkipped: true) }
      return isMissing
    }
    let room = (prompts.questions.map(\.count).max() ?? 0) + task.answerTokens
    for group in try groups(families(missing), tokens: prompts.context.count + room) {
      try Task.checkCancellation()
      let members = group.flatMap(\.members)
      let context = try context(prompts.context, for: group, room: room, activity: activity)
      for question in sample.questions.indices {
        let asked = members.filter { !file.has(key($0, question)) }
        guard !asked.isEmpty else { continue }
        let place = "question \(question + 1) of \(sample.questions.count)"
        let share = Double(question) / Double(sample.questions.count)
        let begun = Self.readingShare * Double(length) + share * answeringWork(members, length: length)
        if !settings.readsQuestionsByToken {
          tell("\(activity), \(place)", begun: begun)
          try context.read(prompts.questions[question])
        }
        for attention in asked {
          tell("\(activity), \(place), \(attention.name)", begun: begun)
          try file.append(
            ask(
              question,
              of: AskedSample(task: task, length: length, number: number, sample: sample, prompts: prompts),
              attention: attention, on: context))
        }
      }
      for attention in members { finish(attention, length: length, wasSkipped: false) }
    }
  }

  private func sampleCount(_ task: any EvaluationTask) -> Int {
    min(settings.samples, task.fixedSamples?.count ?? .max)
  }

  /// A sample of at most `length` tokens with its prompts; nil for a fixed one that belongs to another length: the
  /// smallest that it fits in.
  private func prepare(
    _ task: any EvaluationTask, length: Int, sample number: Int, request: TaskRequest
  ) throws -> (sample: TaskSample, prompts: QuestionPrompts)? {
    guard let sample = task.fixedSamples?[number] else {
      return try SampleFitting.sample(task, length: length, request: request, model: model, raw: settings.raw)
    }
    let prompts = try QuestionPrompts(sample, model: model, raw: settings.raw)
    let needed = prompts.longestPrompt + task.answerTokens
    guard let fitting = settings.lengths.filter({ $0 >= needed }).min() else {
      throw TaskError.lengthTooShort(task: task.name, length: settings.lengths.max() ?? 0, needed: needed)
    }
    return fitting == length ? (sample, prompts) : nil
  }

  /// How many questions a sample has, as an earlier result of it tells; one when there is none.
  private func knownQuestions(_ task: any EvaluationTask, length: Int, sample: Int) -> Int {
    file.results.answers.first {
      $0.task == task.name && $0.length == length && $0.sample == sample
    }?.questionCount ?? 1
  }
}
