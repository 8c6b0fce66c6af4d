// What keys of lists weigh by their codes, sums over lists, and samples.

import AttentionKernels
import Foundation
import Testing

@Suite struct ListTests {
  /// Lists of 0 to 99 rows, and some of them: neighbors and single ones, empty ones too.
  private struct Lists {
    var starts: [UInt32]
    var selected: [UInt32]

    init(count: Int, share: Double, seed: Int) {
      var generator = SeededGenerator(seed: seed)
      starts = [UInt32(seed % 50)]
      for _ in 0..<count { starts.append(starts.last! + UInt32.random(in: 0..<100, using: &generator)) }
      selected = (0..<count).filter { _ in Double.random(in: 0..<1, using: &generator) < share }.map(
        UInt32.init)
    }

    var lists: [Range<Int>] {
      selected.map { Int(starts[Int($0)])..<Int(starts[Int($0) + 1]) }
    }
    var rowCount: Int { lists.reduce(0) { $0 + $1.count } }

    func with<Result>(_ body: (RowLists) -> Result) -> Result {
      starts.withUnsafeBufferPointer { starts in
        // An empty array has no address.
        (selected + [0]).withUnsafeBufferPointer {
          body(RowLists(starts: starts.baseAddress!, selected: $0.baseAddress!, count: selected.count))
        }
      }
    }
  }

  @Test(
    arguments: SIMDLevel.supported,
    [(1, 8, 3), (2, 64, 40), (3, 32, 60), (6, 20, 30), (7, 64, 5), (13, 4, 9)])
  func weightsAreExponentialsOfScores(_ level: SIMDLevel, _ shape: (Int, Int, Int)) throws {
    let kernels = try Kernels(level: level)
    let (m, subquantizers, listCount) = shape
    for share in [0.1, 0.7, 1] {
      var generator = SeededGenerator(seed: m + listCount)
      let lists = Lists(count: listCount, share: share, seed: m + listCount)
      let rows = Int(lists.starts.last!)
      let blocks = (0..<(rows + 31) / 32 * Kernels.pq4BlockByteCount(subquantizers: subquantizers)).map { _ in
        UInt8.random(in: 0...255, using: &generator)
      }
      let tables = (0..<m * subquantizers * 16).map { _ in UInt8.random(in: 0...63, using: &generator) }
      let scales = (0..<m).map { Float(1 + $0) / 512 }
      let tableBases = generator.floats(m)
      let bases = generator.floats(m * listCount, in: -12...3)
      let factors = generator.floats(listCount, in: 0...2)
      let n = lists.rowCount
      let stride = n + Kernels.rowPadding
      var weights = [Float](repeating: .nan, count: m * stride)
      var worths = [Float](repeating: .nan, count: stride)
      lists.with {
        kernels.unsafeWeighPQ4(
          tables: tables, tableStride: 16 * subquantizers, queryCount: m, scales: scales,
          tableBases: tableBases,
          blocks: blocks, subquantizers: subquantizers, lists: $0, bases: bases, baseStride: listCount,
          factors: factors, weights: &weights, weightStride: stride, worths: &worths)
      }
      // The scores are those of the scan, which has tests of its own.
      var scores = [Float](repeating: .nan, count: m * max(rows, 1))
      kernels.unsafeDotPQ4(
        tables: tables, tableStride: 16 * subquantizers, queryCount: m, scales: scales, bases: tableBases,
        blocks: blocks, subquantizers: subquantizers, firstRow: 0, rowCount: rows, scores: &scores,
        scoreStride: rows)
      var i = 0
      var worst = 0.0
      for (c, list) in zip(lists.selected, lists.lists) {
        for row in list {
          var sum = 0.0
          for h in 0..<m {
            let (base, coded) = (Double(bases[h * listCount + Int(c)]), Double(scores[h * rows + row]))
            let weight = exp(min(max(base + coded, -87), 87))
            worst = max(
              worst,
              abs(Double(weights[h * stride + i]) / weight - 1)
                / Tolerance.weight(magnitude: abs(base) + abs(coded)))
            sum += Double(weights[h * stride + i])
          }
          let worth = sum * Double(factors[Int(c)])
          worst = max(worst, abs(Double(worths[i]) - worth) / (Tolerance.dot * worth + 1e-37))
          i += 1
        }
      }
      #expect(worst < 1)
    }
  }

  /// Scores beyond what f32 can raise e to give the largest and the least weight, and no infinity.
  @Test(arguments: SIMDLevel.supported) func weightsAreCut(_ level: SIMDLevel) throws {
    let kernels = try Kernels(level: level)
    let blocks = [UInt8](repeating: 0, count: Kernels.pq4BlockByteCount(subquantizers: 4))
    var weights = [Float](repeating: .nan, count: 4 + Kernels.rowPadding)
    var worths = weights
    kernels.unsafeWeighPQ4(
      tables: [UInt8](repeating: 0, count: 64), tableStride: 64, queryCount: 1, scales: [1], tableBases: [0],
      blocks: blocks, subquantizers: 4,
      lists: RowLists(starts: [0, 1, 2, 3, 4], selected: [0, 1, 2, 3], count: 4),
      bases: [500, -500, 0, -1e30],
      baseStride: 4, factors: [1, 1, 1, 1], weights: &weights, weightStride: 4, worths: &worths)
    let expected = [exp(87.0), exp(-87.0), 1, exp(-87.0)]
    for (weight, value) in zip(weights, expected) { #expect(abs(Double(weight) / value - 1) < 2e-5) }
  }

  @Test(arguments: SIMDLevel.supported, [0, 1, 5, 40]) func sumsOfListsAreExact(
    _ level: SIMDLevel, _ count: Int
  )
    throws
  {
    let kernels = try Kernels(level: level)
    let lists = Lists(count: count, share: 0.6, seed: count)
    let (m, n) = (3, lists.rowCount)
    let stride = n + Kernels.rowPadding
    var generator = SeededGenerator(seed: count)
    var x = generator.integers(m * stride, limit: 9)
    // Whatever is behind the rows.
    for h in 0..<m { for i in n..<stride { x[h * stride + i] = .nan } }
    var sums = [Float](repeating: .nan, count: m * lists.selected.count + 1)
    lists.with {
      kernels.unsafeSumLists(
        x, stride: stride, rowCount: m, lists: $0, sums: &sums, sumStride: lists.selected.count)
    }
    for h in 0..<m {
      var i = h * stride
      for (s, list) in lists.lists.enumerated() {
        #expect(sums[h * lists.selected.count + s] == x[i..<i + list.count].reduce(0, +))
        i += list.count
      }
    }
    #expect(sums.last!.isNaN)
  }

  /// Worths are multiples of 1/64 of the threshold, so that sums are exact whatever their order.
  @Test(arguments: SIMDLevel.supported, [0, 1, 7, 16, 33, 1000])
  func samplesAreSystematic(_ level: SIMDLevel, _ count: Int) throws {
    let kernels = try Kernels(level: level)
    var generator = SeededGenerator(seed: count)
    for (largest, limit) in [(4, Int.max), (20, Int.max), (80, Int.max), (80, count / 3), (64, 1), (9, 0)] {
      var worths = (0..<count).map { _ in Float(Int.random(in: 0...largest, using: &generator)) / 32 }
      if count > 20 { worths[18] = .nan }
      var sum = 0.5
      var expected: [(item: Int, chance: Float)] = []
      for (i, worth) in worths.enumerated() where expected.count < limit {
        if !(worth < 2) {
          expected.append((i, 1))
        } else {
          sum += Double(worth) / 2
          if sum >= 1 {
            sum -= 1
            expected.append((i, worth / 2))
          }
        }
      }
      let room = min(count, limit) + 1
      var items = [UInt32](repeating: .max, count: room)
      var chances = [Float](repeating: -1, count: room)
      let taken = kernels.unsafeSample(
        worths, count: count, threshold: 2, limit: limit, sum: 0.5, items: &items, chances: &chances)
      #expect(taken == expected.count)
      #expect(items.prefix(taken).map(Int.init) == expected.map(\.item))
      #expect(chances.prefix(taken).elementsEqual(expected.map(\.chance)))
      #expect(items.last == .max && chances.last == -1)
    }
  }

  /// A threshold of zero takes everything.
  @Test(arguments: SIMDLevel.supported) func nothingIsBelowZero(_ level: SIMDLevel) throws {
    let worths = (0..<37).map { Float($0 % 3) }
    var items = [UInt32](repeating: 0, count: 37)
    var chances = [Float](repeating: 0, count: 37)
    let taken = try Kernels(level: level).unsafeSample(
      worths, count: 37, threshold: 0, limit: .max, sum: 0.5, items: &items, chances: &chances)
    #expect(taken == 37)
    #expect(chances.allSatisfy { $0 == 1 })
  }

  @Test(arguments: SIMDLevel.supported) func logarithms(_ level: SIMDLevel) throws {
    let kernels = try Kernels(level: level)
    var inputs = stride(from: Float(-87), through: 88.7, by: 0.0037).map { Foundation.exp($0) }
    inputs += stride(from: Float(0.5), through: 2, by: 1e-4)
    var outputs = [Float](repeating: 0, count: inputs.count)
    kernels.unsafeLog(inputs, &outputs, count: inputs.count)
    let worst = zip(inputs, outputs).map { input, output in
      let exact = Foundation.log(Double(input))
      return abs(Double(output) - exact) / max(1e-7, abs(exact) * Tolerance.log)
    }.max()
    #expect(worst! < 1)

    let special: [Float] = [-.infinity, -1, -0, 0, 0x1p-140, 1, .infinity]
    var results = [Float](repeating: 0, count: special.count)
    kernels.unsafeLog(special, &results, count: special.count)
    #expect(results == Array(repeating: -.infinity, count: 5) + [0, .infinity])
  }
}
