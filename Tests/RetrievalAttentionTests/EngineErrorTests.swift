// Bad input is answered with an error that carries the value, and leaves the engine as it was.

import RetrievalAttention
import Testing
import VectorIndex

@Suite struct EngineErrorTests {
  private func engine(
    _ layers: [LayerShape], policy: AttentionPolicy = .exact, capacity: Int = 100
  ) throws -> AttentionEngine {
    try AttentionEngine(shape: ModelShape(layers: layers), policy: policy, capacity: capacity)
  }

  @Test func refusesBatchesThatDoNotFit() throws {
    let layer = try layerShape(heads: 4, kvHeads: 2)
    let input = LayerInput(layer, tokens: 120, seed: 1)
    let engine = try engine([layer])
    _ = try engine.attend(input, 0..<60)
    let bytes = engine.storeByteCount
    func expect(
      _ error: AttentionError, _ range: Range<Int> = 60..<70,
      _ change: (inout AttentionCall) -> Void = { _ in }
    ) {
      #expect(throws: error) { _ = try engine.attend(input, range, change: change) }
      #expect(engine.tokenCount == 60)
      #expect(engine.storeByteCount == bytes)
    }
    expect(.unknownLayer(1, layerCount: 1)) { $0.layer = 1 }
    expect(.unknownLayer(-1, layerCount: 1)) { $0.layer = -1 }
    expect(.unexpectedPosition(layer: 0, expected: 60, actual: 61)) { $0.firstPosition = 61 }
    expect(.unexpectedPosition(layer: 0, expected: 60, actual: 0)) { $0.firstPosition = 0 }
    expect(.shapeMismatch(layer: 0, name: "headCount", expected: 4, actual: 2)) { $0.shape.headCount = 2 }
    expect(.shapeMismatch(layer: 0, name: "kvHeadCount", expected: 2, actual: 4)) { $0.shape.kvHeadCount = 4 }
    expect(.shapeMismatch(layer: 0, name: "headDimension", expected: 32, actual: 64)) {
      $0.shape.headDimension = 64
    }
    expect(.capacityExceeded(tokens: 101, capacity: 100), 60..<101)
    let allowed = "in 1...\(AttentionEngine.maximumBatch)"
    expect(.invalidSetting(name: "tokenCount", value: "0", requirement: allowed)) { $0.tokenCount = 0 }
    expect(.invalidSetting(name: "tokenCount", value: "4097", requirement: allowed)) { $0.tokenCount = 4097 }
    let output = try engine.attend(input, 60..<100)
    #expect(input.largestError(output, firstToken: 60, tokens: 60..<100) < Tolerance.exact)
    #expect(throws: AttentionError.capacityExceeded(tokens: 101, capacity: 100)) {
      _ = try engine.attend(input, 100..<101)
    }
  }

  @Test func truncatingForgetsTokens() throws {
    let layers = [try layerShape(), try layerShape(window: 20)]
    let inputs = [LayerInput(layers[0], tokens: 100, seed: 2), LayerInput(layers[1], tokens: 100, seed: 3)]
    let engine = try engine(layers)
    for layer in 0..<2 { _ = try engine.attend(inputs[layer], 0..<90, layer: layer) }
    try engine.truncate(to: 200)
    try engine.truncate(to: 90)
    #expect(engine.tokenCount == 90)
    try engine.truncate(to: 40)
    #expect(engine.tokenCount == 40)
    for layer in 0..<2 {
      let output = try engine.attend(inputs[layer], 40..<100, layer: layer)
      #expect(inputs[layer].largestError(output, firstToken: 40, tokens: 40..<100) < Tolerance.exact)
    }
    #expect(
      throws: AttentionError.invalidSetting(name: "count", value: "-1", requirement: "zero or positive")
    ) {
      try engine.truncate(to: -1)
    }
    try engine.truncate(to: 0)
    #expect(engine.tokenCount == 0)
    #expect(engine.storeByteCount == 0)
  }

  /// A host that stops in the middle of a batch leaves some layers ahead; truncating takes them back.
  @Test func truncatingTakesBackLayersThatAreAhead() throws {
    let layers = [try layerShape(), try layerShape(), try layerShape()]
    let input = LayerInput(layers[0], tokens: 60, seed: 4)
    let engine = try engine(layers)
    for layer in 0..<3 { _ = try engine.attend(input, 0..<30, layer: layer) }
    _ = try engine.attend(input, 30..<50, layer: 0)
    _ = try engine.attend(input, 30..<50, layer: 1)
    #expect(engine.tokenCount == 30)
    try engine.truncate(to: 30)
    for layer in 0..<3 {
      let output = try engine.attend(input, 30..<60, layer: layer)
      #expect(input.largestError(output, firstToken: 30, tokens: 30..<60) < Tolerance.exact)
    }
    // Also to a position that one layer has not reached.
    _ = try? engine.truncate(to: 40)
    #expect(engine.tokenCount == 40)
  }

  @Test func indexedTokensCannotBeTruncated() throws {
    let layer = try layerShape()
    let input = LayerInput(layer, tokens: 500, seed: 5)
    let engine = try engine([layer], policy: .retrieval(smallRetrieval()), capacity: 500)
    _ = try engine.attend(input, 0..<400)
    engine.updateIndex(finishing: true, askPosition: 464, parallel: .serial)
    let indexed = 400 - 64
    #expect(throws: AttentionError.cannotTruncate(to: indexed - 1, indexed: indexed)) {
      try engine.truncate(to: indexed - 1)
    }
    #expect(throws: AttentionError.self) { try engine.truncate(to: 0) }
    #expect(engine.tokenCount == 400)
    try engine.truncate(to: indexed)
    var output: [Float] = []
    for token in indexed..<410 { output += try engine.attend(input, token..<token + 1) }
    #expect(input.largestError(output, firstToken: indexed, tokens: indexed..<410) < Tolerance.exact)
  }

  @Test func tokensOutsideASlidingWindowCannotComeBack() throws {
    let layer = try layerShape(heads: 1, dimension: 8, window: 50)
    let input = LayerInput(layer, tokens: 20_000, seed: 6)
    let engine = try engine([layer], capacity: 1 << 20)
    for first in stride(from: 0, to: 20_000, by: 4000) { _ = try engine.attend(input, first..<first + 4000) }
    #expect(throws: AttentionError.self) { try engine.truncate(to: 100) }
    #expect(engine.tokenCount == 20_000)
    // What was read last can be taken back.
    try engine.truncate(to: 19_900)
    let output = try engine.attend(input, 19_900..<20_000)
    #expect(input.largestError(output, firstToken: 19_900, tokens: [19_900, 19_999]) < Tolerance.exact)
  }

  @Test func refusesSettingsThatMakeNoSense() throws {
    let layer = try layerShape()
    func expect(_ name: String, _ change: (inout RetrievalSettings) -> Void) {
      var settings = RetrievalSettings()
      change(&settings)
      let error = #expect(throws: AttentionError.self) {
        _ = try engine([layer], policy: .retrieval(settings))
      }
      if case .invalidSetting(let found, _, _)? = error {
        #expect(found == name)
      } else {
        Issue.record("\(name)")
      }
    }
    expect("sinkCount") { $0.sinkCount = -1 }
    expect("sinkCount") { $0.sinkCount = .max }
    expect("windowCount") { $0.windowCount = 0 }
    expect("windowCount") { $0.windowCount = .max }
    expect("segmentCount") { $0.segmentCount = 0 }
    expect("insertionCount") { $0.insertionCount = -5 }
    expect("minimumIndexedCount") { $0.minimumIndexedCount = -1 }
    expect("clusterSize") { $0.build.clusterSize = 0 }
    expect("maximumRetrieved") { $0.search.maximumRetrieved = 0 }
    expect("tolerance") { $0.search.tolerance = -1 }
    expect("tolerance") { $0.search.tolerance = .nan }
    expect("tolerance") { $0.search.tolerance = .infinity }
    expect("refinement") { $0.search.refinement = -1 }
    expect("spreadFactor") { $0.search.spreadFactor = .nan }
    try RetrievalSettings().validate()
  }

  @Test func refusesShapesAndCapacities() throws {
    let layer = try layerShape()
    for capacity in [0, -1, Int(UInt32.max) + 1] {
      #expect(throws: AttentionError.self) { _ = try engine([layer], capacity: capacity) }
    }
    for (heads, kvHeads, dimension, window) in [
      (0, 1, 8, 1), (3, 2, 8, 1), (2, 0, 8, 1), (2, 2, 0, 1), (2, 2, 8, 0),
    ] {
      #expect(throws: LayerShapeError.self) {
        _ = try LayerShape(
          headCount: heads, kvHeadCount: kvHeads, headDimension: dimension, scale: 1, slidingWindow: window)
      }
    }
    var changed = layer
    changed.valueDimension = 64
    #expect(
      throws: AttentionError.invalidSetting(
        name: "valueDimension", value: "64", requirement: "at most 32, as wide as keys")
    ) {
      _ = try engine([changed])
    }
    changed = layer
    changed.headCount = 0
    #expect(throws: AttentionError.invalidSetting(name: "headCount", value: "0", requirement: "positive")) {
      _ = try engine([changed])
    }
  }

  /// Layers keep the model's numbers, also where some have no attention.
  @Test func layersWithoutAttentionAreLeftOut() throws {
    let layer = try layerShape()
    let input = LayerInput(layer, tokens: 40, seed: 9)
    let engine = try AttentionEngine(
      shape: ModelShape(layers: [nil, layer, nil, layer, nil]), policy: .exact, capacity: 64)
    #expect(engine.tokenCount == 0)
    _ = try engine.attend(input, 0..<40, layer: 1)
    #expect(engine.tokenCount == 0)
    let output = try engine.attend(input, 0..<40, layer: 3)
    #expect(input.largestError(output, firstToken: 0, tokens: 0..<40) < Tolerance.exact)
    #expect(engine.tokenCount == 40)
    for number in [0, 2, 4, 5] {
      #expect(throws: AttentionError.unknownLayer(number, layerCount: 5)) {
        _ = try engine.attend(input, 40..<40, layer: number)
      }
    }
    #expect(throws: AttentionError.unknownLayer(2, layerCount: 5)) {
      try engine.withHalfPrecisionRows(layer: 2, kvHead: 0, count: 1, skipping: 0) { _ in }
    }
    try engine.truncate(to: 8)
    #expect(engine.tokenCount == 8)
    let again = try engine.attend(input, 8..<40, layer: 1)
    #expect(input.largestError(again, firstToken: 8, tokens: 8..<40) < Tolerance.exact)
  }

  @Test func refusesMoreAddressSpaceThanThereIs() throws {
    // 2^32 rows of 2^16 dimensions: 2^50 bytes, more than any address space of today has for a program.
    let layer = try layerShape(heads: 1, dimension: 1 << 16)
    let error = #expect(throws: AttentionError.self) { _ = try engine([layer], capacity: Int(UInt32.max)) }
    guard case .reservationFailed(let bytes, let code)? = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(bytes >= 1 << 50)
    #expect(code != 0)
    #expect(error?.description.contains(formatBytes(bytes)) == true)
  }

  @Test func formatsBytes() {
    #expect(formatBytes(0) == "0 B")
    #expect(formatBytes(512) == "512 B")
    #expect(formatBytes(1023) == "1023 B")
    #expect(formatBytes(1536) == "1.5 KB")
    #expect(formatBytes(3 << 20) == "3.0 MB")
    #expect(formatBytes(23 << 30) == "23.0 GB")
    #expect(formatBytes(.max) == "8192.0 PB")
    #expect(formatBytes(-2048) == "-2.0 KB")
  }

  @Test func knowsTheSystemsMemory() throws {
    #expect(try #require(SystemMemory.availableBytes) > 1 << 20)
    let resident = try #require(SystemMemory.residentBytes)
    #expect(resident > 1 << 20)
    #expect(try #require(SystemMemory.peakResidentBytes) >= resident / 2)
    let status = "VmPeak:\t85822132 kB\nVmHWM:\t  735176 kB\nMemAvailable:   23123456 kB\n"
    #expect(SystemMemory.kilobytes("VmHWM:", in: status) == 735_176 * 1024)
    #expect(SystemMemory.kilobytes("VmPeak:", in: status) == 85_822_132 * 1024)
    #expect(SystemMemory.kilobytes("MemAvailable:", in: status) == 23_123_456 * 1024)
    #expect(SystemMemory.kilobytes("VmSwap:", in: status) == nil)
  }

  @Test func describesErrorsWithTheirValues() {
    let errors: [(AttentionError, [String])] = [
      (.unexpectedPosition(layer: 3, expected: 17, actual: 19), ["3", "17", "19"]),
      (.unknownLayer(40, layerCount: 30), ["40", "30"]),
      (.shapeMismatch(layer: 1, name: "headCount", expected: 9, actual: 8), ["1", "headCount", "9", "8"]),
      (.capacityExceeded(tokens: 300, capacity: 200), ["300", "200"]),
      (
        .insufficientMemory(tokens: 7000, required: 2048, available: 1024, inEightBits: nil),
        ["7000", "2.0 KB", "1.0 KB"]
      ),
      (.reservationFailed(bytes: 1 << 30, code: 12), ["1.0 GB", "12"]),
      (.cannotTruncate(to: 5, indexed: 77), ["5", "77"]),
      (
        .invalidSetting(name: "sinkCount", value: "-1", requirement: "positive"),
        ["sinkCount", "-1", "positive"]
      ),
    ]
    for (error, parts) in errors {
      for part in parts { #expect(error.description.contains(part), "\(error)") }
    }
  }
}
