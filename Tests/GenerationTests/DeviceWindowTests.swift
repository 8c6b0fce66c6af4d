// First and last tokens attended to by devices while others are generated.

import AttentionKernels
import Foundation
import AttentionPolicies
import Generation
import LlamaHost
import RetrievalAttention
import Testing

extension GenerationTests {
  /// The CPU stands in for a device; `make test-gpu` does the same with one.
  @Suite struct DeviceWindowTests {
    let model: LlamaModel
    let pool: ThreadPool
    let tokens: [Int32]
    private let contextLength = 260
    private static let layers = 30
    private static let rowBytes = 3 * 128 * 2

    init() throws {
      model = try TestModel.load()
      pool = try ThreadPool(threadCount: 1)
      tokens = try TestText.tokens("alice.txt", 330, model: model)
    }

    /// Has read the context.
    private func runner(
      _ options: String, format: KeyValueFormat = KeyValueFormat()
    ) throws -> GuestRunner {
      let host = try GuestHost(model: model, pool: pool, format: format)
      let policy = try PolicyRegistry.published.parse("retrieval:sink=16,window=64,minimum=64" + options)
      let runner = try GuestRunner(host: host, policy: policy, plannedTokens: 1024)
      _ = try runner.prefill(Array(tokens[..<contextLength]), progress: nil)
      #expect(runner.engine.indexedTokenCount > 100)
      return runner
    }

    private func decode(_ runner: GuestRunner, _ range: Range<Int>, byDevices: Bool) throws -> [[Float]] {
      runner.host.placement = byDevices ? .anywhere(limit: nil) : .devices
      return try tokens[range].map { Array(try runner.decode($0).last) }
    }

    /// With a tolerance of next to nothing all keys are read, whatever they are expected to weigh: exact attention, of
    /// which a part comes from elsewhere.
    @Test(arguments: [KeyValueFormat(), KeyValueFormat(keys: .int8, values: .int8)])
    func statesOfBothAddUp(format: KeyValueFormat) throws {
      let runner = try runner(",tolerance=0.0000001", format: format)
      let range = contextLength..<contextLength + 12
      runner.indexesDecodedTokens = false
      let fork = try runner.fork()
      fork.indexesDecodedTokens = false
      let expected = try decode(runner, range, byDevices: false)
      #expect(runner.host.windowReading.activity == WindowActivity())
      let found = try decode(fork, range, byDevices: true)
      #expect(meanDivergence(expected, found) < Tolerance.sameAttention / 2)
      #expect(expected[0] != found[0])
      let activity = fork.host.windowReading.activity
      #expect(activity.layers == 12 * Self.layers)
      #expect(activity.measuredLayers == activity.layers / 61)
      #expect(activity.cpuSeconds > 0 && activity.measuredSeconds > 0)
      // Sent once; what comes then is there.
      let window = contextLength - fork.engine.indexedTokenCount
      #expect(activity.sentBytes == Self.layers * window * Self.rowBytes)
    }

    @Test func retrievalIsAsFarFromExactAsOnTheCPU() throws {
      let runner = try runner("")
      runner.indexesDecodedTokens = false
      let range = contextLength..<contextLength + 40
      func divergence(byDevices: Bool) throws -> (mean: Double, read: Double) {
        let (fork, exact) = (try runner.fork(), try runner.fork())
        for fork in [fork, exact] { fork.indexesDecodedTokens = false }
        exact.options.isExact = true
        let found = try decode(fork, range, byDevices: byDevices)
        let expected = try decode(exact, range, byDevices: false)
        return (meanDivergence(expected, found), fork.engine.statistics.keysReadWithStatic)
      }
      let here = try divergence(byDevices: false)
      let there = try divergence(byDevices: true)
      #expect(there.mean < max(Tolerance.sameAttention, 1.5 * here.mean), "\(there) \(here)")
      // The part that is only expected does not make it read everything.
      #expect(there.read < 1.25 * here.read, "\(there) \(here)")
    }

    /// Rows come into the index, are taken back, and another prompt follows: the device is told.
    @Test func devicesFollowWhatBecomesOfTheContext() throws {
      let runner = try runner(",insertion=16,tolerance=0.0000001")
      let host = runner.host
      let expected = try self.runner(",insertion=16,tolerance=0.0000001")
      func compare(_ range: Range<Int>) throws {
        let divergence = meanDivergence(
          try decode(expected, range, byDevices: false), try decode(runner, range, byDevices: true))
        #expect(divergence < Tolerance.sameAttention / 2, "\(range)")
        #expect(runner.tokens == expected.tokens)
      }
      try compare(contextLength..<contextLength + 20)
      #expect(runner.engine.indexedTokenCount == expected.engine.indexedTokenCount)
      let sent = host.windowReading.activity.sentBytes
      #expect(
        sent > Self.layers * 100 * Self.rowBytes, "after the index took rows all of them are sent again")
      for runner in [runner, expected] {
        let count = try runner.keepPrefix(of: Array(tokens[..<(contextLength + 15)]) + [0, 0])
        #expect(count == contextLength + 15)
      }
      try compare(contextLength + 15..<contextLength + 22)
      for runner in [runner, expected] {
        _ = try runner.prefill(Array(tokens[(contextLength + 22)..<(contextLength + 40)]), progress: nil)
      }
      try compare(contextLength + 40..<contextLength + 44)
    }
  }
}
