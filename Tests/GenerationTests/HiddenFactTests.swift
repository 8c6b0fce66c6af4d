// Ten facts hidden in a novel, at ten depths: retrieval must answer what exact attention answers.
// Minutes of prefill, so `make test-long` runs it and `make test` does not.

import Foundation
import Generation
import LlamaHost
import RetrievalAttention
import Testing

@Suite(.serialized, .enabled(if: ProcessInfo.processInfo.environment["RA_TEST_LONG"] != nil))
struct HiddenFactTests {
  struct Fact: CustomStringConvertible {
    var city: String
    var number: String
    var depth: Double
    var description: String { "\(city) at \(Int(depth * 100)) %" }
  }

  static let facts: [Fact] = [
    ("Lisbon", "5279348"), ("Oslo", "8153207"), ("Nairobi", "3946182"), ("Quito", "7028415"),
    ("Hanoi", "1690537"),
    ("Porto", "4812960"), ("Tunis", "9375016"), ("Bergen", "2604893"), ("Kyoto", "6431758"),
    ("Lima", "5087621"),
  ].enumerated().map { Fact(city: $1.0, number: $1.1, depth: 0.05 + 0.1 * Double($0)) }

  @Test func retrievalAnswersWhatExactAttentionAnswers() throws {
    let path = try #require(
      ProcessInfo.processInfo.environment["RA_TEST_MODEL"], "RA_TEST_MODEL must name a GGUF file")
    let model = try LlamaModel.load(path: path)
    let threads = ProcessInfo.processInfo.environment["RA_TEST_THREADS"].flatMap { Int($0) }
    let pool = try ThreadPool(threadCount: threads ?? ThreadPool.defaultThreadCount)
    var exactCount = 0
    var retrievalCount = 0
    for fact in Self.facts {
      let (exact, retrieval) = try answers(to: fact, model: model, pool: pool)
      print(
        "\(fact): \(fact.number), exact: \(exact.debugDescription), retrieval: \(retrieval.debugDescription)")
      if exact.contains(fact.number) {
        exactCount += 1
        #expect(retrieval.contains(fact.number), "\(fact)")
      }
      if retrieval.contains(fact.number) { retrievalCount += 1 }
    }
    print("exact attention answered \(exactCount) of \(Self.facts.count), retrieval \(retrievalCount)")
    // A model that finds nothing would make the comparison empty.
    #expect(exactCount >= 5)
  }

  /// Reads one document and answers twice: with all keys, then with the index.
  private func answers(
    to fact: Fact, model: LlamaModel, pool: ThreadPool
  ) throws -> (exact: String, retrieval: String) {
    let prompt = try Prompt(
      documents: [try document(with: fact)],
      question: "What is the special magic number for \(fact.city) mentioned in the text above?",
      model: model,
      raw: false
    ).tokens
    #expect((6500...7600).contains(prompt.count))
    let runner = try GuestRunner(
      model: model, pool: pool, policy: .retrieval(RetrievalSettings()), plannedTokens: prompt.count + 64)
    let logits = try runner.prefill(prompt, progress: nil)
    let sampler = try Sampler(settings: .greedy, model: model)
    let first = try sampler.sample(logits: logits.last)
    func answer() throws -> String {
      var tokens = [first]
      while tokens.count < 32, !model.tokenizer.isEndOfGeneration(tokens[tokens.count - 1]) {
        tokens.append(try sampler.sample(logits: try runner.decode(tokens[tokens.count - 1]).last))
      }
      return model.tokenizer.detokenize(tokens)
    }
    runner.options.isExact = true
    let exact = try answer()
    try runner.truncate(to: prompt.count)
    runner.options.isExact = false
    return (exact, try answer())
  }

  /// The head of a novel, with the fact between two paragraphs at its depth.
  private func document(with fact: Fact) throws -> String {
    let text = try TestText.read("persuasion.txt", characters: 29_000)
    var paragraphs = text.components(separatedBy: "\n\n")
    let index = min(paragraphs.count - 1, Int(fact.depth * Double(paragraphs.count)))
    paragraphs.insert("The special magic number for \(fact.city) is: \(fact.number).", at: index)
    return paragraphs.joined(separator: "\n\n")
  }
}
