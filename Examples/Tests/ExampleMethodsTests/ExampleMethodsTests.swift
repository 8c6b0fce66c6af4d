// The examples in the harness of `ra evaluate`, on a small model.

import AttentionPolicies
import Evaluation
import ExampleMethods
import Foundation
import LlamaHost
import RetrievalAttention
import Testing

@Suite struct ExampleMethodsTests {
  private static func registry() throws -> PolicyRegistry {
    var registry = PolicyRegistry.published
    try registry.register(BlockMeansSettings.self)
    try registry.register(LandmarkSettings.self)
    return registry
  }

  @Test func methodsAreKnownByTheirNames() throws {
    let registry = try Self.registry()
    #expect(registry.names.suffix(2) == ["blockmeans", "landmarks"])
    let policy = try registry.parse("landmarks:probes=3")
    #expect((policy.settings as? LandmarkSettings)?.probes == 3)
    #expect("\(policy)" == "landmarks:probes=3")
    #expect(throws: AttentionPolicyError.self) { try PolicyRegistry.published.parse("blockmeans") }
    var again = registry
    #expect(throws: AttentionPolicyError.nameTaken("landmarks")) { try again.register(LandmarkSettings.self) }
  }

  /// Reading everything is exact attention; reading little is near it, and found to be little.
  @Test func theyRunInTheHarness() throws {
    let registry = try Self.registry()
    let path = try #require(
      ProcessInfo.processInfo.environment["RA_TEST_MODEL"],
      "set RA_TEST_MODEL to a small model in GGUF format")
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("example-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let everything = [
      "blockmeans:budget=100000",
      "landmarks:sink=16,window=64,insertion=16,spacing=16,probes=1000",
    ]
    let little = [
      "blockmeans:block=16,budget=96,sink=16",
      "landmarks:sink=16,window=64,insertion=16,spacing=16,probes=4",
    ]
    var settings = EvaluationSettings()
    settings.tasks = try TaskCatalog.tasks(named: ["passkey"])
    settings.lengths = [450]
    settings.samples = 1
    settings.questions = 1
    settings.fidelityTokens = 8
    settings.attentions = try (["exact"] + everything + little).map {
      try EvaluatedAttention(parsing: $0, registry: registry)
    }
    let evaluation = try TaskEvaluation(
      model: LlamaModel.load(path: path), pool: ThreadPool(threadCount: 1), settings: settings,
      filler: Self.filler, resultPath: folder.appendingPathComponent("results.jsonl").path)
    try evaluation.run()
    let results = evaluation.results
    #expect(results.answers.count == 5)
    for name in everything {
      let fidelity = try #require(results.fidelity.first { $0.attention == name })
      #expect(fidelity.meanKL < 1e-3, "\(name)")
    }
    for name in little {
      let fidelity = try #require(results.fidelity.first { $0.attention == name })
      #expect(fidelity.meanKL < 0.5, "\(name)")
      #expect(try #require(fidelity.keysReadWithStatic) < 0.8, "\(name)")
    }
  }

  /// Sentences enough for a short context.
  private static let filler = (1...200).map {
    "Chapter \($0) tells of a traveller who crossed the river, rested under the old bridge and went on to the town."
  }.joined(separator: "\n")
}
