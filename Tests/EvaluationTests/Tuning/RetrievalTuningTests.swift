// Tuning end to end, on a context as short as has an index.

import Evaluation
import Foundation
import Generation
import LlamaHost
import RetrievalAttention
import TestSupport
import Testing
import VectorIndex

@Suite(.serialized) struct RetrievalTuningTests {
  @Test func profilesMeetTheTargetOrComeCloser() throws {
    let model = try TestModel.load()
    let pool = try ThreadPool(threadCount: 1)
    var settings = RetrievalTuning.Settings()
    settings.contextTokens = 500
    settings.decodeTokens = 6
    settings.groupSize = 15
    settings.retrieval.sinkCount = 16
    settings.retrieval.windowCount = 64
    settings.retrieval.minimumIndexedCount = 128
    settings.staticFactors = [1, 2]
    var phases: [String] = []
    let tuning = try RetrievalTuning(model: model, pool: pool, settings: settings) { phase in
      if case .measuring(let done, let total) = phase { phases.append("\(done)/\(total)") }
    }
    let texts = try ["alice.txt", "persuasion.txt"].map {
      RetrievalTuning.Text(name: $0, tokens: try TestText.tokens($0, 520, model: model))
    }
    let profile = try tuning.tune(on: texts[0], validatingOn: texts[1])
    #expect(profile.layerTolerances.count == 30)
    #expect([[16, 64], [32, 128]].contains([profile.sinkCount, profile.windowCount]))
    let found = profile.calibration
    #expect(found.text == "alice.txt" && found.context == 500 && found.tokens == 6)
    #expect(found.profileKL >= 0 && found.profileBytes > 0)
    // The settings that tuning begins with meet the target, so it ends with nothing that reads more.
    #expect(profile.targetKL == found.uniformKL)
    if found.profileKL <= profile.targetKL {
      #expect(found.profileBytes <= found.uniformBytes)
    }
    let other = try #require(profile.validation)
    #expect(other.text == "persuasion.txt" && other.profileBytes > 0)
    #expect(phases.last == "\(phases.count)/\(phases.count)", "\(phases.last ?? "")")
  }

  @Test func textsThatAreTooShortAreRefused() throws {
    let model = try TestModel.load()
    let tuning = try RetrievalTuning(model: model, pool: ThreadPool(threadCount: 1), settings: .init())
    let text = RetrievalTuning.Text(name: "a", tokens: Array(repeating: 1, count: 100))
    #expect(throws: GenerationError.self) { try tuning.tune(on: text, validatingOn: nil) }
  }
}
