// Prompts that devices attend to: what we keep of them must serve as if we had read them.

import AttentionPolicies
import AttentionKernels
import Foundation
import Generation
import LlamaHost
import RetrievalAttention
import Testing

extension GenerationTests {
  /// The CPU stands in for a device; `make test-gpu` does the same with one.
  @Suite struct PromptReadingTests {
    let host: GuestHost
    let tokens: [Int32]
    private let contextLength = 300

    /// Bytes of a mask of 96 tokens and 512 cells, and of keys and values of a layer with as many.
    static let maskBytes = 96 * 512 * 2
    static let layerBytes = 512 * 3 * 128 * 2

    init() throws {
      let model = try TestModel.load()
      host = try GuestHost(
        model: model, pool: ThreadPool(threadCount: 1), batchCapacity: 96, outputCapacity: 3,
        sequenceCapacity: 3)
      tokens = try TestText.tokens("alice.txt", 308, model: model)
    }

    private func runner(_ policy: String, format: KeyValueFormat = KeyValueFormat()) throws -> GuestRunner {
      let host =
        format == KeyValueFormat()
        ? host
        : try GuestHost(
          model: host.model, pool: host.pool, batchCapacity: 96, format: format)
      let runner = try GuestRunner(
        host: host, policy: PolicyRegistry.published.parse(policy), plannedTokens: 2048)
      runner.indexesDecodedTokens = false
      return runner
    }

    /// Reads as the engine does, or with devices, which have `limit` bytes.
    private func read(
      _ tokens: ArraySlice<Int32>, _ runner: GuestRunner, byDevices: Bool, limit: Int? = nil
    ) throws -> [Float] {
      runner.host.placement = byDevices ? .anywhere(limit: limit) : .devices
      defer { runner.host.placement = .devices }
      return Array(try runner.prefill(Array(tokens), progress: nil).last)
    }

    @Test(arguments: ["exact", "retrieval:sink=16,window=64,minimum=128"])
    func answersAreThoseOfOurOwnReading(_ policy: String) throws {
      let following = tokens[contextLength...]
      func logits(_ runner: GuestRunner, byDevices: Bool) throws -> [[Float]] {
        [try read(tokens[..<contextLength], runner, byDevices: byDevices)]
          + (try following.map { Array(try runner.decode($0).last) })
      }
      let ours = try runner(policy)
      let expected = try logits(ours, byDevices: false)
      #expect(host.promptReading.activity == PromptActivity())
      let theirs = try runner(policy)
      let found = try logits(theirs, byDevices: true)
      #expect(theirs.tokens == Array(tokens))
      #expect(theirs.engine.indexedTokenCount == ours.engine.indexedTokenCount)
      #expect(policy == "exact" || theirs.engine.indexedTokenCount > 0)
      #expect(theirs.engine.statistics.keysReadWithStatic <= 1)
      #expect(meanDivergence(expected, found) < Tolerance.sameAttention)
      #expect(host.promptReading.refusal == nil)
      let activity = host.promptReading.activity
      #expect(activity.residentLayers == 30 && activity.streamedLayers == 0 && activity.sentBytes == 0)
      // The very attention is another's: another rounding, so not the same to the bit.
      #expect(expected[0] != found[0])
    }

    /// With room for one layer, or ten: the others come from main memory for each batch.
    @Test(arguments: [0, 10], [KeyValueFormat(), KeyValueFormat(keys: .int8, values: .int8)])
    func layersWithoutRoomAreSent(resident: Int, format: KeyValueFormat) throws {
      let runner = try runner("retrieval:sink=16,window=64,minimum=128", format: format)
      let limit = Self.maskBytes + (1 + resident) * Self.layerBytes
      let found = try read(tokens[..<contextLength], runner, byDevices: true, limit: limit)
      let reading = runner.host.promptReading
      #expect(reading.refusal == nil)
      #expect(reading.activity.residentLayers == resident)
      #expect(reading.activity.streamedLayers == 30 - resident)
      // 96, 192 and 288 tokens before the second, third and fourth batch.
      #expect(reading.activity.sentBytes == (30 - resident) * (96 + 192 + 288) * 3 * 128 * 2)
      let ours = try self.runner("exact", format: format)
      let expected = try read(tokens[..<contextLength], ours, byDevices: false)
      #expect(LogitComparison.divergence(expected, found) < Tolerance.sameAttention)
    }

    /// Devices get what was read before, also when an index has put it into another order.
    @Test(arguments: [nil, Self.maskBytes + Self.layerBytes])
    func contextsThatAreThereGoOn(limit: Int?) throws {
      let policy = "retrieval:sink=16,window=64,minimum=64"
      let (theirs, ours) = (try runner(policy), try runner(policy))
      for runner in [theirs, ours] { _ = try read(tokens[..<180], runner, byDevices: false) }
      #expect(theirs.engine.indexedTokenCount > 0)
      let found = try read(tokens[180..<contextLength], theirs, byDevices: true, limit: limit)
      let expected = try read(tokens[180..<contextLength], ours, byDevices: false)
      #expect(theirs.tokens == Array(tokens[..<contextLength]))
      #expect(LogitComparison.divergence(expected, found) < Tolerance.sameAttention)
      let sent = limit == nil ? 180 : 180 + 276
      #expect(host.promptReading.activity.sentBytes == 30 * sent * 3 * 128 * 2)
      // Without what was there the answer would be another one.
      let without = try read(tokens[180..<contextLength], runner(policy), byDevices: false)
      #expect(LogitComparison.divergence(expected, without) > 2 * Tolerance.sameAttention)
    }

    @Test func devicesWithoutRoomForALayerLeaveItToTheCPU() throws {
      let limit = Self.maskBytes + Self.layerBytes - 1
      let theirs = try runner("exact")
      let found = try read(tokens[..<contextLength], theirs, byDevices: true, limit: limit)
      let reading = host.promptReading
      #expect(reading.refusal?.contains("\(limit)") == true)
      #expect(reading.refusal?.contains("\(limit + 1)") == true)
      #expect(reading.memory.isEmpty)
      #expect(found == (try read(tokens[..<contextLength], runner("exact"), byDevices: false)))
    }

    /// Whole batches are kept when reading stops, and the rest can be read.
    @Test func readingThatStopsCanGoOn() async throws {
      let runner = try runner("exact")
      let context = Array(tokens[..<contextLength])
      nonisolated(unsafe) let reader = runner
      host.placement = .anywhere(limit: nil)
      let task = Task.detached { [context] in
        _ = try reader.prefill(context) { done in
          if done == 192 { withUnsafeCurrentTask { $0?.cancel() } }
        }
      }
      await #expect(throws: CancellationError.self) { try await task.value }
      #expect(runner.tokens == Array(tokens[..<192]))
      let found = try read(tokens[192..<contextLength], runner, byDevices: true)
      let expected = try read(context[...], self.runner("exact"), byDevices: false)
      #expect(LogitComparison.divergence(expected, found) < Tolerance.sameAttention)
    }

    /// Policies that have to see every token of a prompt read for themselves.
    @Test func otherPoliciesReadForThemselves() throws {
      func logits(_ byDevices: Bool) throws -> [Float] {
        try read(tokens[..<150], runner("snapkv:budget=60,window=16"), byDevices: byDevices)
      }
      #expect(try logits(true) == logits(false))
    }

    /// Two prompts, one of them short, and a generated token in the same batches; one batch is given up half-way and
    /// comes again.
    @Test func promptsOfABatchHaveTheirOwnDevices() throws {
      let runner = BatchRunner(host: host)
      host.placement = .anywhere(limit: nil)
      let spans = [0..<120, 140..<210, 220..<250]
      let contexts = try spans.map { _ in try runner.makeContext(policy: .exact, capacity: 512) }
      _ = try runner.evaluate([.init(context: contexts[2], tokens: Array(tokens[220..<249]), outputs: .none)])
      let prompts = try (0..<2).map {
        try #require(
          try runner.devicePrompt(of: spans[$0].count, endingAt: spans[$0].count, for: contexts[$0]))
      }
      func item(_ index: Int, _ range: Range<Int>) -> BatchRunner.Item {
        let first = spans[index].lowerBound
        return .init(
          context: contexts[index],
          tokens: Array(tokens[first + range.lowerBound..<first + range.upperBound]),
          outputs: range.upperBound == spans[index].count ? .last : .none,
          prompt: index < 2 ? prompts[index] : nil)
      }
      _ = try runner.evaluate([item(0, 0..<50), item(1, 0..<20)])
      var looks = 0
      runner.isCancelled = {
        looks += 1
        return looks == 15
      }
      #expect(throws: CancellationError.self) {
        try runner.evaluate([item(2, 29..<30), item(0, 50..<90), item(1, 20..<40)])
      }
      runner.isCancelled = nil
      #expect(contexts.map(\.tokenCount) == [50, 20, 29])
      let first = try runner.evaluate([item(2, 29..<30), item(0, 50..<90), item(1, 20..<40)])
      var found = [Array(first[0])]
      let second = try runner.evaluate([item(1, 40..<70), item(0, 90..<120)])
      found += [Array(second[0]), Array(second[1])]
      for prompt in prompts { #expect(prompt.activity.sharedSeconds > 0) }
      host.placement = .devices
      for (row, span) in zip(found, [spans[2], spans[1], spans[0]]) {
        let expected = try read(tokens[span], self.runner("exact"), byDevices: false)
        #expect(LogitComparison.divergence(expected, row) < Tolerance.sameAttention)
      }
    }

    /// Needs RA_TEST_SLIDING_MODEL: a model with sliding-window layers of 512 tokens, such as Gemma 3.
    @Test(.enabled(if: TestModel.slidingPath != nil))
    func slidingWindowsAreSent() throws {
      let model = try LlamaModel.load(path: try #require(TestModel.slidingPath))
      let host = try GuestHost(model: model, pool: self.host.pool, batchCapacity: 200)
      let tokens = try TestText.tokens("alice.txt", 1100, model: model)
      func logits(byDevices: Bool) throws -> [Float] {
        let runner = try GuestRunner(host: host, policy: .exact, plannedTokens: 1216)
        return try read(tokens[...], runner, byDevices: byDevices)
      }
      let sliding = host.shape.layers.count { $0?.slidingWindow == 512 }
      try #require(sliding > 0)
      let found = try logits(byDevices: true)
      #expect(host.promptReading.activity.streamedLayers == sliding)
      #expect(LogitComparison.divergence(try logits(byDevices: false), found) < Tolerance.sameAttention)
    }
  }
}
