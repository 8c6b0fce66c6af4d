import LlamaHost
import Platform
import Testing

extension HostTests {
  @Suite struct TakeoverReportTests {
    @Test func smallLlama() throws {
      let model = try TestModel.load()
      let report = try model.takeover(pool: ThreadPool(threadCount: 1))
      #expect(report.isSupported)
      #expect(report.warnings.isEmpty)
      #expect(report.layers.map(\.number) == Array(0..<30))
      for layer in report.layers {
        #expect(layer.shape.headCount == 9)
        #expect(layer.shape.kvHeadCount == 3)
        #expect(layer.shape.headDimension == 64)
        #expect(layer.shape.valueDimension == 64)
        #expect(layer.shape.scale == 0.125)
        #expect(layer.shape.slidingWindow == nil)
        #expect(layer.shape.rotary?.layout == .adjacentPairs)
      }
      let frequencies = try #require(report.layers[0].shape.rotary?.inverseFrequencies)
      for (pair, frequency) in frequencies.enumerated() {
        let expected = Float(pow(100_000, -Double(pair) / 32))
        #expect(abs(frequency - expected) <= expected * 1e-6)
      }
    }

    @Test func description() throws {
      let description = try TestModel.load().description
      #expect(description.architecture == "llama")
      #expect(description.layerCount == 30)
      #expect(description.headCounts == Array(repeating: 9, count: 30))
      #expect(description.kvHeadCounts == Array(repeating: 3, count: 30))
      #expect(description.keyHeadDimension == 64)
      #expect(description.valueHeadDimension == 64)
      #expect(description.embeddingWidth == 576)
      #expect(description.trainedContextLength == 8192)
      #expect(description.vocabularySize == 49_152)
      #expect(description.ropeLayout == .adjacentPairs)
      #expect(description.slidingWindow == nil)
      #expect(description.parameterCount > 130_000_000)
    }

    @Test func reasonsAreSentences() {
      let reasons: [TakeoverReason] = [
        .noFlashAttention(layers: [0, 1, 2, 5]), .widerValues(key: 64, value: 96, layers: [3]),
        .unknownWindow(size: 8192, layers: [1, 3]),
      ]
      let error = LlamaError.takeoverUnsupported(reasons)
      #expect(error.description.contains("there is no flash-attention node in layers 0-2, 5"))
      #expect(error.description.contains("keys are 64 wide and values 96 in layer 3"))
      #expect(error.localizedDescription == error.description)
    }

    @Test func parity() throws {
      let report = try ParityReport(checking: TestModel.load(), pool: ThreadPool(threadCount: 1))
      #expect(report.passed, "\(report)")
      #expect(report.layerErrors.count == 30)
      #expect(report.tokenCount > 90)
    }

    @Test func loadingCanBeCancelled() throws {
      let path = try TestModel.path()
      #expect(throws: CancellationError.self) { try LlamaModel.load(path: path) { $0 < 0.3 } }
      var fractions: [Float] = []
      var options = LlamaModel.Options()
      options.useMemoryMap = false
      _ = try LlamaModel.load(path: path, options: options) {
        fractions.append($0)
        return true
      }
      #expect(fractions.last == 1)
      #expect(fractions == fractions.sorted())
    }

    /// Prompts longer than the window: the guest must know which layers have it.
    @Test(.enabled(if: TestModel.slidingPath != nil))
    func slidingWindow() throws {
      let model = try LlamaModel.load(path: #require(TestModel.slidingPath))
      let pool = try ThreadPool(threadCount: 1)
      let report = try model.takeover(pool: pool)
      #expect(report.isSupported)
      let full = report.layers.filter { $0.shape.slidingWindow == nil }.map(\.number)
      #expect(full == [5, 11, 17])
      #expect(report.layers.compactMap(\.shape.slidingWindow).allSatisfy { $0 == 512 })
      let text = String(repeating: sampleText, count: 8)
      let tokens = try Array(
        model.tokenizer.tokenize(text, addSpecial: true, parseSpecial: false).prefix(700))
      try #require(tokens.count == 700)
      func last(_ context: LlamaContext) throws -> [[Float]] {
        try context.evaluate(tokens[..<450], startPosition: 0, outputs: .none)
        try context.evaluate(tokens[450..<650], startPosition: 450, outputs: .none)
        return try rows(context.evaluate(tokens[650...], startPosition: 650, outputs: .all))
      }
      let expected = try last(HostContext(model: model, pool: pool, contextLength: 1024))
      let flash = try last(HostContext(model: model, pool: pool, contextLength: 1024, flashAttention: true))
      let found = try last(
        GuestContext(model: model, pool: pool, batchCapacity: 450, guest: ExactAttention()))
      let floor = compare(expected, flash)
      let result = compare(expected, found)
      #expect(result.divergence <= max(3 * floor.divergence, 0.01), "\(result), floor \(floor)")
    }
  }
}
