// 8-bit rows: what rounding to them loses, and that every kernel takes them for what they stand for.

import AttentionKernels
import Testing

@Suite struct RowFormatTests {
  /// Rows as they are stored, and their exact elements as the format defines them.
  private struct Stored {
    var bytes: [UInt8]
    var stride: Int
    var format: RowFormat
    var values: [[Double]]

    init(_ format: RowFormat, rows n: Int, dimension d: Int, gap: Int, seed: Int, kernels: Kernels) {
      var generator = SeededGenerator(seed: seed)
      let halves = generator.halves(n * d)
      self.format = format
      stride = format.bytesPerRow(dimension: d) + gap
      bytes = [UInt8](repeating: 0xff, count: n * stride + 2)
      bytes.withUnsafeMutableBytes { bytes in
        switch format {
        case .float16:
          for i in 0..<n {
            for k in 0..<d {
              bytes.storeBytes(
                of: halves[i * d + k], toByteOffset: i * (2 * d + gap) + 2 * k, as: UInt16.self)
            }
          }
        case .int8:
          halves.withUnsafeBufferPointer {
            // Without rows there is no address, and nothing is read.
            guard let source = $0.baseAddress else { return }
            kernels.unsafeQuantize(
              PackedRows(source, stride: d), rowCount: n, dimension: d, offsets: nil,
              target: bytes.baseAddress!, targetStride: format.bytesPerRow(dimension: d) + gap)
          }
        }
      }
      values = []
      for i in 0..<n { values.append((0..<d).map { element(i, $0, d) }) }
    }

    private func half(_ byte: Int) -> Double { halfValue(UInt16(bytes[byte]) | UInt16(bytes[byte + 1]) << 8) }

    /// From the description of the format.
    func element(_ i: Int, _ k: Int, _ d: Int) -> Double {
      switch format {
      case .float16: half(i * stride + 2 * k)
      case .int8:
        Double(Int8(bitPattern: bytes[i * stride + k])) * half(i * stride + (d + 1) / 2 * 2 + k / 32 * 2)
      }
    }

    func with<Result>(_ body: (PackedRows) -> Result) -> Result {
      bytes.withUnsafeBytes { body(PackedRows(base: $0.baseAddress!, stride: stride, format: format)) }
    }
  }

  @Test(arguments: SIMDLevel.supported, [1, 16, 31, 32, 33, 64, 80, 128, 129])
  func elementsAreWithinHalfAStep(_ level: SIMDLevel, _ d: Int) throws {
    let kernels = try Kernels(level: level)
    let n = 9
    var generator = SeededGenerator(seed: d)
    var source = generator.halves(n * (d + 3), in: -3...3)
    // Rows of zeros, of one large element, and of the least and the largest numbers.
    for k in 0..<d { source[k] = 0 }
    source[d + 3] = halfBits(60000)
    for k in 0..<d { source[2 * (d + 3) + k] = UInt16(k % 2) }
    for k in 0..<d { source[3 * (d + 3) + k] = k % 2 == 0 ? 0x7bff : 0xfbff }
    let offsets = generator.floats(d, in: -2...2)
    for used in [nil, offsets] {
      let stride = RowFormat.int8.bytesPerRow(dimension: d) + 4
      var bytes = [UInt8](repeating: 0xaa, count: n * stride)
      bytes.withUnsafeMutableBytes { target in
        source.withUnsafeBufferPointer { source in
          let rows = PackedRows(source.baseAddress!, stride: d + 3)
          if let used {
            kernels.unsafeQuantize(
              rows, rowCount: n, dimension: d, offsets: used, target: target.baseAddress!,
              targetStride: stride)
          } else {
            kernels.unsafeQuantize(
              rows, rowCount: n, dimension: d, offsets: nil, target: target.baseAddress!,
              targetStride: stride)
          }
        }
      }
      var unpacked = [Float](repeating: .nan, count: n * d)
      bytes.withUnsafeBytes {
        kernels.unsafeUnpack(
          PackedRows(base: $0.baseAddress!, stride: stride, format: .int8), rowCount: n, dimension: d,
          target: &unpacked, targetStride: d)
      }
      for i in 0..<n {
        for first in Swift.stride(from: 0, to: d, by: 32) {
          let block = first..<min(first + 32, d)
          let exact = block.map { halfValue(source[i * (d + 3) + $0]) - Double(used?[$0] ?? 0) }
          let largest = exact.map(abs).max()!
          // Below the normal f16 steps, half of the least one for each of up to 127.
          let bound = max(Tolerance.q8 * largest, 127 * 0x1p-25)
          for (k, value) in zip(block, exact) {
            #expect(abs(Double(unpacked[i * d + k]) - value) <= bound, "row \(i) element \(k)")
          }
        }
        #expect(bytes[i * stride + stride - 4..<(i + 1) * stride].allSatisfy { $0 == 0xaa })
      }
    }
  }

  /// Every level rounds alike.
  @Test(arguments: SIMDLevel.supported) func levelsStoreTheSameBytes(_ level: SIMDLevel) throws {
    for d in [7, 64, 100] {
      let here = Stored(.int8, rows: 50, dimension: d, gap: 0, seed: d, kernels: try Kernels(level: level))
      let scalar = Stored(
        .int8, rows: 50, dimension: d, gap: 0, seed: d, kernels: try Kernels(level: .scalar))
      #expect(here.bytes == scalar.bytes)
    }
  }

  private static let formats: [(keys: RowFormat, values: RowFormat)] = [
    (.int8, .int8), (.int8, .float16), (.float16, .int8), (.float16, .float16),
  ]
  private static let shapes = [
    (1, 300, 128), (3, 129, 64), (6, 200, 128), (2, 40, 80), (4, 17, 33), (5, 140, 96), (13, 150, 64),
    (3, 1, 5), (6, 0, 64),
  ]

  @Test(arguments: SIMDLevel.supported, shapes)
  func decodeTakesEveryFormat(_ level: SIMDLevel, _ shape: (Int, Int, Int)) throws {
    let kernels = try Kernels(level: level)
    let (m, n, d) = shape
    let queries = try Matrix<Float>.random(m, d, seed: 71)
    for formats in Self.formats {
      let keys = Stored(formats.keys, rows: n, dimension: d, gap: 2 * (m % 3), seed: 72, kernels: kernels)
      let values = Stored(formats.values, rows: n, dimension: d, gap: 2 * (d % 2), seed: 73, kernels: kernels)
      for indices in [nil, (0..<n).reversed().filter { $0 % 3 != 1 }.map { UInt32($0) }] {
        let chosen = indices.map { $0.map(Int.init) } ?? Array(0..<n)
        var states = try SoftmaxStates(count: m, dimension: d)
        var scratch = [Float](repeating: .nan, count: Kernels.attendScratchCount(queryCount: m))
        keys.with { keys in
          values.with { values in
            queries.rows { queries in
              states.withPointers { states in
                selected(indices, of: n) {
                  kernels.unsafeAttend(
                    queries, to: KeyValueRows(keys: keys, values: values), $0, states: states,
                    scratch: &scratch)
                }
              }
            }
          }
        }
        let references = (0..<m).map { h in
          attention(
            chosen.map { (dotProduct(queries.values(h), keys.values[$0]), values.values[$0]) }, dimension: d)
        }
        let error = difference(states, references)
        #expect(error.output < Tolerance.attention)
        #expect(error.lse < Tolerance.logSumExp)
      }
    }
  }

  /// Sums continue, and weights have both signs.
  @Test(arguments: SIMDLevel.supported, shapes)
  func weightedRowsAreAdded(_ level: SIMDLevel, _ shape: (Int, Int, Int)) throws {
    let kernels = try Kernels(level: level)
    let (m, n, d) = shape
    for format in [RowFormat.float16, .int8] {
      let rows = Stored(format, rows: n, dimension: d, gap: 2 * (m % 3), seed: 81, kernels: kernels)
      for indices in [nil, (0..<n).reversed().filter { $0 % 3 != 1 }.map { UInt32($0) }] {
        let chosen = indices.map { $0.map(Int.init) } ?? Array(0..<n)
        var generator = SeededGenerator(seed: 82)
        let stride = chosen.count + m % 2
        let weights = generator.floats(m * stride, in: -2...3)
        let (firstSums, first) = (generator.floats(m), generator.floats(m * (d + 1)))
        var (sums, accumulators) = (firstSums, first)
        var maxima = firstSums
        rows.with { rows in
          selected(indices, of: n) { selection in
            maxima.withUnsafeMutableBufferPointer { maxima in
              sums.withUnsafeMutableBufferPointer { sums in
                accumulators.withUnsafeMutableBufferPointer { accumulators in
                  kernels.unsafeAddRows(
                    rows, selection, weights: weights, weightStride: stride,
                    to: StatePointers(
                      maxima: maxima.baseAddress!, sums: sums.baseAddress!,
                      accumulators: accumulators.baseAddress!, count: m, dimension: d, stride: d + 1))
                }
              }
            }
          }
        }
        #expect(maxima == firstSums)
        for h in 0..<m {
          let own = weights[h * stride..<h * stride + chosen.count].map(Double.init)
          let magnitude = own.reduce(1) { $0 + abs($1) }
          #expect(
            abs(Double(sums[h]) - own.reduce(Double(firstSums[h]), +)) < Tolerance.dot * magnitude)
          for k in 0..<d {
            let exact = zip(own, chosen).reduce(Double(first[h * (d + 1) + k])) {
              $0 + $1.0 * rows.values[$1.1][k]
            }
            #expect(abs(Double(accumulators[h * (d + 1) + k]) - exact) < 4 * Tolerance.dot * magnitude)
          }
          #expect(accumulators[h * (d + 1) + d] == first[h * (d + 1) + d])
        }
      }
    }
  }

  @Test(arguments: SIMDLevel.supported, [(50, 200, 64), (13, 97, 80), (96, 100, 128)])
  func prefillTakesEveryFormat(_ level: SIMDLevel, _ shape: (Int, Int, Int)) throws {
    let kernels = try Kernels(level: level)
    let (m, n, d) = shape
    let queries = try Matrix<Float>.random(m, d, seed: 74)
    let begins = [UInt32](repeating: 0, count: m)
    let ends = (0..<m).map { UInt32(max(1, n - m + $0)) }
    for formats in Self.formats {
      let keys = Stored(formats.keys, rows: n, dimension: d, gap: 0, seed: 75, kernels: kernels)
      let values = Stored(formats.values, rows: n, dimension: d, gap: 2, seed: 76, kernels: kernels)
      var states = try SoftmaxStates(count: m, dimension: d)
      keys.with { keys in
        values.with { values in
          kernels.prefill(
            queries, scale: 0.5, KeyValueRows(keys: keys, values: values), count: n,
            visible: (begins, ends), states: &states)
        }
      }
      let references = (0..<m).map { r in
        attention(
          (0..<min(n, Int(ends[r]))).map {
            (dotProduct(queries.values(r), keys.values[$0]) * 0.5, values.values[$0])
          },
          dimension: d)
      }
      let error = difference(states, references)
      #expect(error.output < Tolerance.attention)
      #expect(error.lse < Tolerance.logSumExp)
    }
  }

  /// An offset of all keys changes no output.
  @Test func offsetsOfKeysChangeNothing() throws {
    let (m, n, d) = (3, 400, 64)
    var generator = SeededGenerator(seed: 77)
    // Two elements of every key are a hundred times as large as the others, as biases make them.
    let offsets = (0..<d).map { Float([5, 40].contains($0) ? 100 : 0) }
    let keys = (0..<n * d).map { halfBits(Float.random(in: -1...1, using: &generator) + offsets[$0 % d]) }
    let queries = try Matrix<Float>.random(m, d, seed: 78)
    let values = Stored(.float16, rows: n, dimension: d, gap: 0, seed: 79, kernels: .active)
    let references = (0..<m).map { h in
      attention(
        (0..<n).map { i in
          let key = (0..<d).map { halfValue(keys[i * d + $0]) - Double(offsets[$0]) }
          return (dotProduct(queries.values(h), key), values.values[i])
        }, dimension: d)
    }
    func error(subtracting: Bool) throws -> Double {
      let stride = RowFormat.int8.bytesPerRow(dimension: d)
      var bytes = [UInt8](repeating: 0, count: n * stride)
      var states = try SoftmaxStates(count: m, dimension: d)
      var scratch = [Float](repeating: 0, count: Kernels.attendScratchCount(queryCount: m))
      bytes.withUnsafeMutableBytes { bytes in
        offsets.withUnsafeBufferPointer { offsets in
          keys.withUnsafeBufferPointer {
            Kernels.active.unsafeQuantize(
              PackedRows($0.baseAddress!, stride: d), rowCount: n, dimension: d,
              offsets: subtracting ? offsets.baseAddress : nil, target: bytes.baseAddress!,
              targetStride: stride)
          }
        }
        values.with { values in
          queries.rows { queries in
            states.withPointers { states in
              Kernels.active.unsafeAttend(
                queries,
                to: KeyValueRows(
                  keys: PackedRows(base: bytes.baseAddress!, stride: stride, format: .int8), values: values),
                .first(n), states: states, scratch: &scratch)
            }
          }
        }
      }
      return difference(states, references).output
    }
    // f16 keeps 1/16 of the elements beside 100; the rest is rounding to 8 bits.
    #expect(try error(subtracting: true) < 0.005)
    #expect(try error(subtracting: false) > 0.01)
  }
}
