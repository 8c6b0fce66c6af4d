// Contexts made of copies, on a model of two small layers without weights.

import AttentionKernels
import RetrievalAttention
import Testing

extension PackedRows {
  /// The bytes of some rows.
  func bytes(_ range: Range<Int>) -> [UInt8] {
    Array(UnsafeRawBufferPointer(start: from(range.lowerBound).base, count: range.count * stride))
  }

  /// The elements of the first f16 rows.
  func halves(_ count: Int) -> [UInt16] {
    Array(UnsafeBufferPointer(start: base.assumingMemoryBound(to: UInt16.self), count: count))
  }
}

@Suite struct ReplicationTests {
  static let dimension = 32
  static let heads = 4
  static let kvHeads = 2

  /// An engine that has read `count` tokens with keys and values of small numbers.
  private func engine(
    _ policy: AttentionPolicy, tokens count: Int, capacity: Int, slidingWindow: Int? = nil,
    rotary: RotaryEmbedding? = nil, format: KeyValueFormat = KeyValueFormat()
  ) throws -> AttentionEngine {
    let layer = try LayerShape(
      headCount: Self.heads, kvHeadCount: Self.kvHeads, headDimension: Self.dimension, scale: 0.25,
      rotary: rotary)
    var second = layer
    second.slidingWindow = slidingWindow
    let engine = try AttentionEngine(
      shape: ModelShape(layers: [layer, second], format: format), policy: policy, capacity: capacity)
    _ = try attend(engine, count: count)
    return engine
  }

  /// Attends with tokens whose contents depend on position and layer; the outputs `[layer][token, head, dimension]`.
  private func attend(_ engine: AttentionEngine, count: Int) throws -> [[Float]] {
    let first = engine.tokenCount
    let d = Self.dimension
    return try (0..<2).map { layer in
      func numbers(_ width: Int, _ salt: Int) -> [Float] {
        (0..<count * width).map { index in
          let number = index &+ (first &+ salt &* 31 &+ layer &* 7) &* width
          let mixed = (number &* 2_654_435_761) >> 7
          return Float(mixed % 17 - 8) / 8
        }
      }
      func halves(_ values: [Float]) -> [UInt16] { values.map { Self.bits($0) } }
      let queries = numbers(Self.heads * d, 1)
      let keys = halves(numbers(Self.kvHeads * d, 2))
      let values = halves(numbers(Self.kvHeads * d, 3))
      var output = [Float](repeating: 0, count: count * Self.heads * d)
      try queries.withUnsafeBufferPointer { queries in
        try keys.withUnsafeBufferPointer { keys in
          try values.withUnsafeBufferPointer { values in
            try output.withUnsafeMutableBufferPointer { output in
              guard let queries = queries.baseAddress, let keys = keys.baseAddress,
                let values = values.baseAddress, let output = output.baseAddress
              else { return }
              let call = AttentionCall(
                layer: layer, shape: engine.shape.layers[layer]!, tokens: first..<first + count,
                rows: TokenRows(
                  queries: StridedRows(reading: queries, tokenStride: Self.heads * d, headStride: d),
                  keys: StridedRows(reading: keys, tokenStride: Self.kvHeads * d, headStride: d),
                  values: StridedRows(reading: values, tokenStride: Self.kvHeads * d, headStride: d),
                  output: StridedRows(output, tokenStride: Self.heads * d, headStride: d)))
              try engine.attend(call, parallel: .serial)
            }
          }
        }
      }
      return output
    }
  }

  /// The bits of a multiple of 1/8 up to 1 in magnitude, exact in half precision.
  private static func bits(_ value: Float) -> UInt16 {
    guard value != 0 else { return 0 }
    let single = value.bitPattern
    let exponent = UInt16((single >> 23) & 0xFF) - 112
    return UInt16(single >> 31) << 15 | exponent << 10 | UInt16((single >> 13) & 0x3FF)
  }

  private func largestDifference(_ a: [[Float]], _ b: [[Float]]) -> Float {
    zip(a.joined(), b.joined()).reduce(0) { max($0, abs($1.0 - $1.1)) }
  }

  @Test func countsAdvanceAndRowsAreThere() throws {
    let engine = try engine(.exact, tokens: 100, capacity: 1000)
    let bytes = engine.storeByteCount
    try engine.replicate(to: 950)
    #expect(engine.tokenCount == 950)
    #expect(engine.storeByteCount == bytes / 100 * 950)
    // Fewer than there are: nothing to do.
    try engine.replicate(to: 10)
    #expect(engine.tokenCount == 950)
    engine.statistics = ReadStatistics()
    _ = try attend(engine, count: 1)
    #expect(engine.statistics.visibleKeys == 951 * 2 * Self.kvHeads)
    #expect(engine.statistics.keysRead == 1)
  }

  /// Copies of rounded rows are rounded once more, to nearly the same.
  @Test func eightBitRowsAreCopied() throws {
    let rotary = RotaryEmbedding(layout: .rotateHalf, inverseFrequencies: [1, 0.1])
    let outputs = try [RowFormat.float16, .int8].map { format in
      let engine = try engine(
        .exact, tokens: 100, capacity: 1000, rotary: rotary,
        format: KeyValueFormat(keys: format, values: format))
      try engine.replicate(to: 300, period: 90, first: 10)
      #expect(engine.tokenCount == 300)
      return try attend(engine, count: 1).joined()
    }
    let difference = zip(outputs[0], outputs[1]).map { abs($0 - $1) }.max() ?? .infinity
    let largest = outputs[0].map { abs($0) }.max() ?? 0
    #expect(difference > 0 && difference < 0.01 * largest, "\(difference) of \(largest)")
  }

  @Test func firstTokensAreNotCopied() throws {
    let engine = try engine(.exact, tokens: 100, capacity: 1000)
    try engine.replicate(to: 300, period: 90, first: 10)
    let rows = engine.rows(layer: 0, kvHead: 0)
    for row in 100..<300 {
      let source = 10 + (row - 10) % 80
      #expect(rows.values.bytes(row..<row + 1) == rows.values.bytes(source..<source + 1))
    }
    for first in [-1, 90] {
      #expect(
        throws: AttentionError.invalidSetting(
          name: "first", value: "\(first)", requirement: "in 0..<90, the period")
      ) { try engine.replicate(to: 400, period: 90, first: first) }
    }
    #expect(engine.tokenCount == 300)
  }

  @Test func copiesAttendLikeTheCopied() throws {
    // With each key as often as any other, softmax gives the output of one copy, in whatever order they stand.
    let short = try engine(.exact, tokens: 128, capacity: 2000)
    let expected = try outputOfQuery(short)
    for steps in [[1280], [300, 1280], [129, 130, 131, 1280]] {
      let long = try engine(.exact, tokens: 128, capacity: 2000)
      for count in steps { try long.replicate(to: count, period: 128) }
      let found = try outputOfQuery(long)
      #expect(largestDifference(expected, found) < 2e-5, "\(steps)")
    }
  }

  /// The attention of a query over all rows but its own, whose key is as far away as half precision allows.
  private func outputOfQuery(_ engine: AttentionEngine, options: CallOptions = CallOptions()) throws
    -> [[Float]]
  {
    let d = Self.dimension
    let queries = (0..<Self.heads * d).map { Float(($0 * 37) % 11 + 1) / 8 }
    // All queries are positive, so this key's scores are the lowest by far and its weight is zero.
    let keys = [UInt16](repeating: 0xD800, count: Self.kvHeads * d)  // -128
    let values = [UInt16](repeating: 0x3C00, count: Self.kvHeads * d)  // 1
    return try (0..<2).map { layer in
      var output = [Float](repeating: 0, count: Self.heads * d)
      try queries.withUnsafeBufferPointer { queries in
        try keys.withUnsafeBufferPointer { keys in
          try values.withUnsafeBufferPointer { values in
            try output.withUnsafeMutableBufferPointer { output in
              guard let queries = queries.baseAddress, let keys = keys.baseAddress,
                let values = values.baseAddress, let output = output.baseAddress
              else { return }
              let call = AttentionCall(
                layer: layer, shape: engine.shape.layers[layer]!,
                tokens: engine.tokenCount..<engine.tokenCount + 1,
                rows: TokenRows(
                  queries: StridedRows(reading: queries, tokenStride: Self.heads * d, headStride: d),
                  keys: StridedRows(reading: keys, tokenStride: Self.kvHeads * d, headStride: d),
                  values: StridedRows(reading: values, tokenStride: Self.kvHeads * d, headStride: d),
                  output: StridedRows(output, tokenStride: Self.heads * d, headStride: d)))
              try engine.attend(call, options: options, parallel: .serial)
            }
          }
        }
      }
      return output
    }
  }

  @Test func copiesOfAnIndexedContextAttendLikeTheCopied() throws {
    var settings = RetrievalSettings()
    settings.sinkCount = 8
    settings.windowCount = 32
    settings.insertionCount = 32
    settings.segmentCount = 128
    settings.minimumIndexedCount = 64
    let expected = try outputOfQuery(try engine(.exact, tokens: 256, capacity: 2000))
    let engine = try engine(.retrieval(settings), tokens: 256, capacity: 2000)
    // The index reorders rows, and copies are found all the same.
    engine.updateIndex(finishing: true, askPosition: 256, parallel: .serial)
    #expect(engine.indexedTokenCount == 216)
    try engine.replicate(to: 1024, period: 256)
    engine.updateIndex(finishing: true, askPosition: 1024, parallel: .serial)
    #expect(engine.indexedTokenCount == 1024 - 8 - 32)
    #expect(
      largestDifference(expected, try outputOfQuery(engine, options: CallOptions(isExact: true))) < 2e-5)
  }

  @Test func keysTurnToTheirNewPositions() throws {
    // A rotation by a whole turn in as many positions as are repeated changes nothing; half of one flips the sign.
    let turn = 2 * Float.pi / 64
    let layout = RotaryEmbedding(
      layout: .rotateHalf, inverseFrequencies: Array(repeating: turn, count: Self.dimension / 2))
    let plain = try engine(.exact, tokens: 64, capacity: 1000)
    try plain.replicate(to: 640)
    let turned = try engine(.exact, tokens: 64, capacity: 1000, rotary: layout)
    try turned.replicate(to: 640)
    let expected = try outputOfQuery(plain)
    #expect(largestDifference(expected, try outputOfQuery(turned)) < 2e-3)
    let half = try engine(
      .exact, tokens: 64, capacity: 1000,
      rotary: RotaryEmbedding(
        layout: .rotateHalf, inverseFrequencies: Array(repeating: turn / 2, count: Self.dimension / 2)))
    try half.replicate(to: 640)
    #expect(largestDifference(expected, try outputOfQuery(half)) > 0.01)
  }

  @Test func slidingWindowsStaySmallAndFull() throws {
    let window = 64
    let engine = try engine(.exact, tokens: 200, capacity: 40_000, slidingWindow: window)
    try engine.replicate(to: 30_000)
    #expect(engine.tokenCount == 30_000)
    // The first layer has all rows, the second no more than window, slack and batch.
    let row = 4 * Self.dimension + 4
    #expect(engine.storeByteCount < (30_000 + 10_000) * Self.kvHeads * row)
    _ = try attend(engine, count: 1)
    try engine.truncate(to: 30_000)
  }

  @Test func whatDoesNotFitIsRefusedAndChangesNothing() throws {
    let engine = try engine(.exact, tokens: 50, capacity: 100)
    #expect(throws: AttentionError.capacityExceeded(tokens: 101, capacity: 100)) {
      try engine.replicate(to: 101)
    }
    for period in [0, -1, 51] {
      #expect(
        throws: AttentionError.invalidSetting(
          name: "period", value: "\(period)", requirement: "in 1...50, the tokens read")
      ) { try engine.replicate(to: 80, period: period) }
    }
    #expect(engine.tokenCount == 50)
    try engine.replicate(to: 100)
    #expect(engine.tokenCount == 100)
  }
}
