// Tasks with a real tokenizer and a real model: exact lengths, shared prefixes, putting back, going on.

import Evaluation
import Foundation
import Generation
import LlamaHost
import RetrievalAttention
import TestSupport
import Testing

@Suite(.serialized) struct TaskEvaluationTests {
  private func sample(
    _ task: any EvaluationTask, length: Int, model: LlamaModel, raw: Bool = false
  ) throws -> (sample: TaskSample, prompts: QuestionPrompts) {
    let request = TaskRequest(
      size: 0, length: length, questions: 3, filler: try FillerText(TestText.read("alice.txt")),
      random: TaskRandom(seed: 3, task: task.name, length: length, sample: 0))
    return try SampleFitting.sample(task, length: length, request: request, model: model, raw: raw)
  }

  /// At most the length, and short of it by less than one unit of haystack.
  @Test(arguments: TaskCatalog.all.map(\.name), [1500, 4096])
  func lengthsAreExact(name: String, length: Int) throws {
    let model = try TestModel.load()
    let task = try TaskSupport.task(name)
    let (sample, prompts) = try sample(task, length: length, model: model)
    let missing = length - task.answerTokens - prompts.longestPrompt
    // Two UUIDs are the largest unit; frequent words round their counts down.
    let unit = ["niah_multikey_3": 75, "niah_multikey_2": 32, "kv_retrieval": 75, "fwe": 60][name] ?? 8
    #expect((0..<unit).contains(missing), "\(missing) tokens are missing")
    #expect(prompts.questions.count == sample.questions.count)
  }

  /// Context and rest together are the prompt that one question alone would have, and the context holds the answer.
  @Test(arguments: ["niah_multikey_1", "kv_retrieval", "passkey", "vt"], [false, true])
  func contextIsASharedPrefix(name: String, raw: Bool) throws {
    let model = try TestModel.load()
    let (sample, prompts) = try sample(try TaskSupport.task(name), length: 1500, model: model, raw: raw)
    for (question, rest) in zip(sample.questions, prompts.questions) {
      var alone: [Int32]
      let text = sample.context + "\n\n" + question.text
      if raw {
        alone = try model.tokenizer.tokenize(
          text + "\n" + question.answerPrefix, addSpecial: true, parseSpecial: false)
      } else {
        alone = try #require(model.chatTemplate).tokenize([ChatMessage(role: .user, content: text)])
        alone += try model.tokenizer.tokenize(question.answerPrefix, addSpecial: false, parseSpecial: false)
      }
      #expect(prompts.context + rest == alone)
      #expect(!rest.isEmpty)
    }
    let shared = model.tokenizer.detokenize(prompts.context)
    for expected in sample.questions.flatMap(\.expected) { #expect(shared.contains(expected)) }
    // Everything before the question is shared, a merge at the border aside.
    let whole = try model.tokenizer.tokenize(sample.context, addSpecial: false, parseSpecial: false).count
    #expect(prompts.context.count >= whole - 2)
    // Nothing of the question is.
    #expect(
      !shared.contains("Find all variables that are assigned the value \(sample.questions[0].expected[0])"))
    #expect(prompts.questions.allSatisfy { $0.count >= 8 })
  }

  private func settings(attentions: [EvaluatedAttention]) throws -> EvaluationSettings {
    var settings = EvaluationSettings()
    settings.tasks = [try TaskSupport.task("passkey"), try TaskSupport.task("kv_retrieval")]
    settings.lengths = [450]
    settings.samples = 1
    settings.questions = 2
    settings.fidelityTokens = 4
    settings.attentions = attentions
    return settings
  }

  private func evaluation(_ settings: EvaluationSettings, path: String) throws -> TaskEvaluation {
    try TaskEvaluation(
      model: try TestModel.load(), pool: try ThreadPool(threadCount: 1), settings: settings,
      filler: try TestText.read("alice.txt"), resultPath: path)
  }

  /// A small index: sink 32, window 128, so that there is one at 450 tokens.
  private static var small: RetrievalSettings {
    var settings = RetrievalSettings()
    (settings.sinkCount, settings.windowCount, settings.minimumIndexedCount) = (32, 128, 128)
    return settings
  }

  @Test func evaluatesAndGoesOn() throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("ra-evaluation-\(UUID())")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let path = folder.appendingPathComponent("results.jsonl").path
    let exact = EvaluatedAttention(name: "exact", policy: .exact)
    let retrieval = EvaluatedAttention(name: "retrieval", policy: .retrieval(Self.small))
    var everything = Self.small
    everything.search.tolerance = 0
    let all = EvaluatedAttention(name: "all", policy: .retrieval(everything))
    let host = EvaluatedAttention(name: "host", policy: nil)
    let settings = try settings(attentions: [exact, retrieval, all, host])
    let whole = try evaluation(settings, path: path)
    try whole.run()
    try check(whole.results)

    // Killed after any line, and within one, it comes to the same results.
    let data = try Data(contentsOf: URL(fileURLWithPath: path))
    let lines = data.split(separator: UInt8(ascii: "\n"))
    let kept = lines[..<9].joined(separator: [UInt8(ascii: "\n")]) + Data("\n".utf8) + lines[9].prefix(40)
    try Data(kept).write(to: URL(fileURLWithPath: path))
    let second = try evaluation(settings, path: path)
    #expect(second.results.answers.count + second.results.fidelity.count == 8)
    try second.run()
    func outcome(_ results: EvaluationResults) -> Set<String> {
      Set(
        results.answers.map {
          "\($0.task) \($0.attention) \($0.question) \($0.answer) \($0.score) \($0.promptTokens)"
        })
    }
    #expect(outcome(second.results) == outcome(whole.results))
    #expect(Set(second.results.fidelity.map(\.attention)).count == 4)

    // Nothing is left to do: a third run adds nothing.
    let before = try Data(contentsOf: URL(fileURLWithPath: path))
    try evaluation(settings, path: path).run()
    #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == before)

    var other = settings
    other.seed += 1
    #expect(throws: ResultFileError.otherSettings(path: path)) { try evaluation(other, path: path) }
  }

  private func check(_ results: EvaluationResults) throws {
    #expect(results.answers.count == 4 * (1 + 2))
    // All keys, whoever attends: the pass key. Other answers may differ where two words are equally likely.
    for answer in results.answers where answer.attention == "all" {
      if answer.task == "passkey" { #expect(answer.score == 1, "\(answer.answer)") }
      #expect(answer.keysReadWithStatic ?? 0 > 0.99)
    }
    let pass = try #require(results.answers.first { $0.task == "passkey" && $0.attention == "exact" })
    #expect(pass.score == 1, "\(pass.answer)")
    for record in results.fidelity {
      switch record.attention {
      case "exact":
        #expect(record.meanKL == 0 && record.top1 == 1 && record.perplexity == record.referencePerplexity)
        #expect(record.heads.flatMap { HeadErrors.mean($0.outputError) } ?? 1 < 1e-5)
        #expect(record.heads.flatMap { HeadErrors.mean($0.recoveredMass) } ?? 0 > 0.999)
      case "all":
        // The same keys in another order: as far apart as the host and exact attention.
        #expect(record.meanKL < 0.02)
        #expect(record.heads.flatMap { HeadErrors.mean($0.recoveredMass) } ?? 0 > 0.999)
      case "retrieval":
        let mass = try #require(record.heads.flatMap { HeadErrors.mean($0.recoveredMass) })
        let error = try #require(record.heads.flatMap { HeadErrors.mean($0.outputError) })
        #expect(mass > 0.5 && mass < 0.9999)
        #expect(error > 1e-4 && error < 0.3)
        #expect(record.meanKL > 0 && record.meanKL < 0.1)
        #expect(record.heads?.outputError.count == 30 && record.heads?.outputError[0].count == 9)
      default:
        #expect(record.heads == nil && record.bytesPerToken == nil)
        #expect(record.meanKL < 0.05)
      }
    }
  }

  /// Policies that share a reading of their contexts find what each finds with a reading of its own.
  @Test func evaluatingTogetherIsLikeEvaluatingAlone() throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("ra-together-\(UUID())")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    func results(_ names: [String]) throws -> EvaluationResults {
      var settings = try settings(attentions: names.map { try EvaluatedAttention(parsing: $0) })
      settings.tasks = [try TaskSupport.task("kv_retrieval")]
      settings.lengths = [320]
      let run = try evaluation(settings, path: folder.appendingPathComponent("\(UUID()).jsonl").path)
      try run.run()
      return run.results
    }
    func outcome(_ results: EvaluationResults, _ name: String) -> [String] {
      results.answers.filter { $0.attention == name }.map {
        "\($0.question) \($0.answer) \($0.bytesPerToken ?? 0)"
      }
        + results.fidelity.filter { $0.attention == name }.map {
          "\($0.meanKL) \($0.perplexity) \($0.bytesPerToken ?? 0)"
        }
    }
    let names = ["snapkv:budget=60", "cascade:budget=64,sink=4"]
    let together = try results(names)
    for name in names {
      #expect(outcome(together, name).count == 3)
      #expect(try outcome(results([name]), name) == outcome(together, name), "\(name)")
    }
  }

  /// A sample of a file is evaluated once, at the smallest length that it fits in.
  @Test func samplesOfFilesHaveTheirOwnLength() throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("ra-file-\(UUID())")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let hay = String(repeating: "The grass is green. ", count: 30)
    let lines = [1, 2].map { count in
      let text =
        String(repeating: hay, count: count) + "The pass key is 71432. Remember it.\\nWhat is the pass key?"
      return #"{"input": "\#(text)", "outputs": ["71432"], "answer_prefix": "The pass key is"}"#
    }
    var settings = try settings(attentions: [EvaluatedAttention(name: "exact", policy: .exact)])
    settings.tasks = [try TaskFileTests.task("niah_single_1", lines.joined(separator: "\n"))]
    settings.samples = 5
    settings.lengths = [600, 400]
    settings.fidelityTokens = 0
    let run = try evaluation(settings, path: folder.appendingPathComponent("results.jsonl").path)
    try run.run()
    #expect(run.results.answers.map(\.length) == [400, 600])
    #expect(run.results.answers.map(\.sample) == [0, 1])
    #expect(run.results.answers.allSatisfy { $0.score == 1 && $0.promptTokens + 128 <= $0.length })
    settings.lengths = [400]
    let short = try evaluation(settings, path: folder.appendingPathComponent("short.jsonl").path)
    #expect(throws: TaskError.self) { try short.run() }
  }

  /// Memory decides how many contexts are read together, and one always may try.
  @Test func contextsAreReadTogetherAsMemoryAllows() {
    func readers(available: Int?) -> Int {
      TaskEvaluation.readersThatFit(bytesPerToken: 1000, tokens: 10_000, available: available)
    }
    #expect(readers(available: 100_000_000) == 4)
    #expect(readers(available: 24_000_000) == 1)
    #expect(readers(available: 0) == 1)
    #expect(readers(available: nil) > 1000)
  }

  @Test func refusesSettingsThatMakeNoSense() throws {
    let folder = FileManager.default.temporaryDirectory.path
    let exact = EvaluatedAttention(name: "exact", policy: .exact)
    let path = folder + "/ra-refused-\(UUID()).jsonl"
    #expect(throws: AttentionNameError.duplicate("exact")) {
      try evaluation(try settings(attentions: [exact, exact]), path: path)
    }
    #expect(throws: GenerationError.self) { try evaluation(try settings(attentions: []), path: path) }
    var long = try settings(attentions: [exact])
    long.lengths = [1_000_000]
    #expect(throws: GenerationError.self) { try evaluation(long, path: path) }
    #expect(!FileManager.default.fileExists(atPath: path))
  }

  @Test func namesOfAttentions() throws {
    #expect(try EvaluatedAttention(parsing: "host").policy == nil)
    #expect(try EvaluatedAttention(parsing: "exact").policy == .exact)
    var settings = RetrievalSettings()
    settings.search.tolerance = 0.02
    settings.sinkCount = 64
    let parsed = try EvaluatedAttention(parsing: "retrieval:tolerance=0.02,sink=64")
    #expect(parsed.policy == .retrieval(settings))
    #expect(parsed.name == "retrieval:tolerance=0.02,sink=64")
    #expect(throws: AttentionPolicyError.self) { try EvaluatedAttention(parsing: "magic") }
    #expect(throws: AttentionNameError.noProfile("quest:profile=a.json")) {
      try EvaluatedAttention(parsing: "quest:profile=a.json")
    }
    #expect(throws: AttentionPolicyError.self) { try EvaluatedAttention(parsing: "retrieval:tolerance") }
    #expect(throws: AttentionPolicyError.self) { try EvaluatedAttention(parsing: "retrieval:x=1") }
    #expect(throws: AttentionPolicyError.self) { try EvaluatedAttention(parsing: "retrieval:tolerance=-1") }
    #expect(throws: GenerationError.self) {
      try EvaluatedAttention(parsing: "retrieval:profile=/nowhere.json")
    }
  }
}
