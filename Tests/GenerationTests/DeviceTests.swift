// Layers on a GPU, or on another machine: the same distributions as on the CPU. `make test-gpu` says where they are.

import Foundation
import Generation
import LlamaHost
import RetrievalAttention
import Testing

/// Where a test puts layers.
enum Placement: String, CaseIterable, CustomTestStringConvertible {
  /// All of them on the device that RA_TEST_DEVICE names.
  case device
  /// The last half on the server at RA_TEST_RPC.
  case server

  private static let environment = ProcessInfo.processInfo.environment

  static var given: [Placement] {
    allCases.filter { environment[$0 == .device ? "RA_TEST_DEVICE" : "RA_TEST_RPC"] != nil }
  }

  var testDescription: String { rawValue }

  /// How to load a model there.
  func options() throws -> LlamaModel.Options {
    for failure in BackendModules.load() { Issue.record("\(failure)") }
    var options = LlamaModel.Options()
    switch self {
    case .device:
      options.devices = try ComputeDevice.named([try #require(Self.environment["RA_TEST_DEVICE"])])
      options.gpuLayers = .max
    case .server:
      let names = try RemoteServers.connect(to: [try #require(Self.environment["RA_TEST_RPC"])])
      options.devices = try ComputeDevice.named(names)
      options.gpuLayers = try TestModel.load().description.layerCount / 2
    }
    return options
  }

  func load(limit: Int? = nil) throws -> LlamaModel {
    var options = try options()
    options.deviceMemoryLimit = limit
    return try LlamaModel.load(path: TestModel.load().file.path, options: options)
  }

  /// Attention layers that are not on the CPU: the output is the last one that is counted.
  func layerCount(_ model: LlamaModel) -> Int {
    let count = model.description.layerCount
    return self == .device ? count : count / 2 - 1
  }
}

extension GenerationTests {
  /// Few tokens: a GPU that is played by the CPU takes seconds for each.
  @Suite(.enabled(if: !Placement.given.isEmpty, "run make test-gpu")) struct DeviceTests {
    let pool: ThreadPool
    let tokens: [Int32]
    /// Read on the CPU, with an index over all but the first and last tokens.
    let runner: GuestRunner
    private let contextLength = 400
    private let decoded = 6

    init() throws {
      let model = try TestModel.load()
      // Two threads that wait for each other at every node crawl where the device is the CPU, too.
      pool = try ThreadPool(threadCount: 1, poll: 0)
      tokens = try TestText.tokens("alice.txt", 420, model: model)
      var settings = RetrievalSettings()
      settings.sinkCount = 16
      settings.windowCount = 64
      settings.minimumIndexedCount = 128
      runner = try GuestRunner(model: model, pool: pool, policy: .retrieval(settings), plannedTokens: 1024)
      _ = try runner.prefill(Array(tokens[..<contextLength]), progress: nil)
      runner.indexesDecodedTokens = false
    }

    private func decode(_ runner: GuestRunner, exact: Bool) throws -> [[Float]] {
      runner.options.isExact = exact
      return try tokens[contextLength..<contextLength + decoded].map { Array(try runner.decode($0).last) }
    }

    /// The device's own rounding: how far llama.cpp is from itself.
    private func floor(_ model: LlamaModel) throws -> Double {
      func logits(_ model: LlamaModel) throws -> [[Float]] {
        try HostRunner(model: model, pool: pool, contextLength: 64, batchCapacity: 16, flashAttention: true)
          .logits(context: Array(tokens[..<16]), following: tokens[16..<16 + decoded])
      }
      return meanDivergence(try logits(TestModel.load()), try logits(model))
    }

    @Test(arguments: Placement.given)
    func distributionsAreThoseOfTheCPU(placement: Placement) throws {
      let model = try placement.load()
      #expect(model.devices.count == 1)
      let floor = try floor(model)
      let tolerance = max(Tolerance.sameAttention, 3 * floor)
      let host = try GuestHost(model: model, pool: pool, batchCapacity: 16)

      // Prompt and answer, all of it there.
      func short(_ runner: GuestRunner) throws -> [[Float]] {
        try runner.logits(context: Array(tokens[..<16]), following: tokens[16..<16 + decoded])
      }
      let shortOnCPU = try short(
        GuestRunner(host: runner.host, policy: .exact, plannedTokens: 64))
      let shortThere = try short(GuestRunner(host: host, policy: .exact, plannedTokens: 64))
      let prompt = meanDivergence(shortOnCPU, shortThere)
      #expect(prompt < tolerance)

      // A longer context that the CPU has read.
      let before = host.deviceTraffic
      let exact = meanDivergence(
        try decode(runner.fork(), exact: true), try decode(runner.fork(on: host), exact: true))
      let after = host.deviceTraffic
      let there = try runner.fork(on: host)
      let retrieval = meanDivergence(try decode(runner.fork(), exact: false), try decode(there, exact: false))
      #expect(exact < tolerance)
      #expect(retrieval < tolerance)
      #expect(there.engine.statistics.keysReadWithStatic < 1, "an index is used")
      print(
        "\(placement.rawValue): KL host \(floor), prompt and answer \(prompt), exact \(exact), retrieval \(retrieval)"
      )

      // Queries and outputs in single precision, keys and values in half of it.
      let layers = placement.layerCount(model)
      let queries = 9 * 64 * 4
      #expect(after.readBytes - before.readBytes == decoded * layers * (queries + 2 * 3 * 64 * 2))
      #expect(after.writtenBytes - before.writtenBytes == decoded * layers * queries)
    }

    /// A prompt of more than a batch is attended to there, and only kept here; or here, when told so.
    @Test(arguments: Placement.given)
    func promptsAreAttendedToThere(placement: Placement) throws {
      let (prompt, following) = (Array(tokens[..<40]), tokens[40..<42])
      func logits(_ model: LlamaModel) throws -> (rows: [[Float]], host: GuestHost) {
        let host = try GuestHost(model: model, pool: pool, batchCapacity: 16)
        let runner = try GuestRunner(host: host, policy: .exact, plannedTokens: 64)
        return (try runner.logits(context: prompt, following: following), host)
      }
      let expected = try logits(TestModel.load()).rows
      let model = try placement.load()
      let there = try logits(model)
      let reading = there.host.promptReading
      #expect(reading.refusal == nil)
      #expect(reading.memory.map(\.device) == model.devices.map(\.name))
      let layers = placement.layerCount(model)
      #expect(try #require(reading.memory.first).cache >= layers * prompt.count * 2 * 3 * 64 * 2)
      // Keys, values and queries come here, no output goes back.
      #expect(there.host.deviceTraffic.writtenBytes == following.count * layers * 9 * 64 * 4)
      var options = try placement.options()
      options.readsPromptsOnDevices = false
      let here = try logits(LlamaModel.load(path: model.file.path, options: options))
      #expect(here.host.promptReading.memory.isEmpty && here.host.promptReading.refusal == nil)
      #expect(here.host.deviceTraffic.writtenBytes == (prompt.count + following.count) * layers * 9 * 64 * 4)
      let tolerance = max(Tolerance.sameAttention, 3 * (try floor(model)))
      let divergences = [there, here].map { meanDivergence(expected, $0.rows) }
      #expect(divergences.allSatisfy { $0 < tolerance }, "\(divergences)")
      print("\(placement.rawValue): prompt there, here: KL \(divergences)")
    }

    /// Shared mode: the first and last tokens there, the index here.
    @Test(arguments: Placement.given)
    func firstAndLastTokensAreAttendedToThere(placement: Placement) throws {
      var options = try placement.options()
      options.attendsToWindowsOnDevices = true
      let model = try LlamaModel.load(path: TestModel.load().file.path, options: options)
      let host = try GuestHost(model: model, pool: pool, batchCapacity: 16)
      let expected = try decode(runner.fork(), exact: false)
      let there = try runner.fork(on: host)
      let found = try decode(there, exact: false)
      let tolerance = max(Tolerance.sameAttention, 3 * (try floor(model)))
      let divergence = meanDivergence(expected, found)
      #expect(divergence < tolerance)
      #expect(there.engine.statistics.keysReadWithStatic < 1)
      let reading = host.windowReading
      #expect(reading.refusal == nil)
      #expect(Array(reading.byteCounts.keys) == model.devices.map(\.name))
      #expect(reading.activity.layers == decoded * placement.layerCount(model))
      print("\(placement.rawValue): first and last tokens there: KL \(divergence), \(reading.activity)")
    }

    @Test(arguments: Placement.given)
    func everyLayerSeesWhatTheHostSees(placement: Placement) throws {
      let report = try ParityReport(checking: placement.load(), pool: pool, tokens: Array(tokens[..<12]))
      #expect(report.layerErrors.count == report.takeover.layers.count)
      #expect(report.passed, "\(report)")
      print("\(placement.rawValue): \(report)")
    }

    @Test(arguments: Placement.given)
    func memoryIsMeasuredAndLimited(placement: Placement) throws {
      let model = try placement.load()
      let host = try GuestHost(model: model, pool: pool, batchCapacity: 16)
      let use = try #require(host.deviceMemory.first)
      #expect(host.deviceMemory.count == 1)
      #expect(use.device == model.devices[0].name)
      let options = try placement.options()
      let weights = LlamaModel.weightBytes(of: model.file, layers: options.gpuLayers)
      // Buffers are padded.
      #expect(abs(use.weights - weights) < weights / 50, "\(use.weights) for \(weights) of the file")
      #expect(use.compute > 0)
      // Cells of a batch, at least 256 of them for the host's sake.
      let cells = use.cache / (placement.layerCount(model) * 2 * 3 * 64 * 2)
      #expect((16...512).contains(cells), "\(use.cache) bytes")
      print("\(placement.rawValue): \(use)")

      let tooFew = #expect(throws: LlamaError.self) { try placement.load(limit: weights / 2) }
      #expect(tooFew?.description.contains("\(weights)") == true)
      let limited = try placement.load(limit: use.total - 1)
      let refused = #expect(throws: LlamaError.self) {
        try GuestHost(model: limited, pool: pool, batchCapacity: 16)
      }
      #expect(refused?.description.contains("\(use.total)") == true)
      _ = try GuestHost(model: placement.load(limit: use.total), pool: pool, batchCapacity: 16)
    }
  }
}
