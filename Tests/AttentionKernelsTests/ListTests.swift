// What keys of lists weigh by their codes, and samples of them.

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
          body(
            RowLists(
              begins: starts.baseAddress!, ends: starts.baseAddress! + 1, selected: $0.baseAddress!,
              count: selected.count))
        }
      }
    }
  }

  /// Coded rows in lists, and queries.
  private struct Coded {
    let (m, subquantizers, listCount): (Int, Int, Int)
    let lists: Lists
    var blocks: [UInt8]
    var tables: [UInt8]
    var scales: [Float]
    var tableBases: [Float]
    var bases: [Float]
    var factors: [Float]

    init(_ shape: (Int, Int, Int), share: Double, bases range: ClosedRange<Float> = -12...3) {
      (m, subquantizers, listCount) = shape
      var generator = SeededGenerator(seed: m + listCount)
      lists = Lists(count: listCount, share: share, seed: m + listCount)
      let rows = Int(lists.starts.last!)
      blocks = (0..<(rows + 31) / 32 * Kernels.pq4BlockByteCount(subquantizers: subquantizers)).map { _ in
        UInt8.random(in: 0...255, using: &generator)
      }
      tables = (0..<m * subquantizers * 16).map { _ in UInt8.random(in: 0...63, using: &generator) }
      scales = (0..<m).map { Float(1 + $0) / 512 }
      tableBases = generator.floats(m)
      bases = generator.floats(m * listCount, in: range)
      factors = generator.floats(listCount, in: 0...2)
    }

    /// Rows of the selected lists, in order, with the number of their list among those.
    var rows: [(row: Int, list: Int)] {
      lists.lists.enumerated().flatMap { number, list in list.map { ($0, number) } }
    }

    func with<Result>(_ body: (CodeQueries, CodeBlocks) -> Result) -> Result {
      tables.withUnsafeBufferPointer { tables in
        scales.withUnsafeBufferPointer { scales in
          tableBases.withUnsafeBufferPointer { tableBases in
            // One more: an empty buffer has no address.
            (blocks + [0]).withUnsafeBufferPointer { blocks in
              body(
                CodeQueries(
                  tables.baseAddress!, stride: 16 * subquantizers, count: m, scales: scales.baseAddress!,
                  sums: tableBases.baseAddress!, bases: tableBases.baseAddress!),
                CodeBlocks(blocks.baseAddress!, width: subquantizers))
            }
          }
        }
      }
    }

    /// `[m][rows]`, in Double from the scan's scores, which have tests of their own.
    func weights(_ kernels: Kernels) -> [[Double]] {
      let count = Int(lists.starts.last!)
      var scores = [Float](repeating: .nan, count: m * max(count, 1))
      with { queries, blocks in
        kernels.unsafeDotPQ4(queries, with: blocks, 0..<count, scores: &scores, scoreStride: count)
      }
      return (0..<m).map { h in
        rows.map { row, list in
          let base = Double(bases[h * listCount + Int(lists.selected[list])])
          return exp(min(max(base + Double(scores[h * count + row]), -87), 87))
        }
      }
    }

    struct Answer {
      var wanted = 0
      var rows: [UInt32]
      var chances: [Float]
      /// `[m, lists]`.
      var rests: [Float]
      var worths: [Float]
    }

    func sample(
      _ kernels: Kernels, threshold: Float, limit: Int = .max, isSystematic: Bool = true
    ) -> Answer {
      let count = lists.rowCount
      let room = min(count, limit)
      // One more of everything, to see whether it is left alone.
      var answer = Answer(
        rows: Array(repeating: .max, count: room + 1), chances: Array(repeating: -1, count: room + 1),
        rests: Array(repeating: .nan, count: m * lists.selected.count + 1),
        worths: Array(repeating: -1, count: count + 1))
      var scratch = [Float](repeating: .nan, count: Kernels.sampleScratchCount(queryCount: m))
      answer.wanted = lists.with { lists in
        answer.rows.withUnsafeMutableBufferPointer { rows in
          answer.chances.withUnsafeMutableBufferPointer { chances in
            answer.rests.withUnsafeMutableBufferPointer { rests in
              var sample = RowSample(
                threshold: threshold, limit: limit, rows: rows.baseAddress!, chances: chances.baseAddress!,
                rests: rests.baseAddress!, restStride: lists.count)
              sample.isSystematic = isSystematic
              return bases.withUnsafeBufferPointer { bases in
                factors.withUnsafeBufferPointer { factors in
                  with { queries, blocks in
                    kernels.unsafeSamplePQ4(
                      sample,
                      of: CodedLists(
                        lists: lists, bases: bases.baseAddress!, baseStride: listCount,
                        factors: factors.baseAddress!),
                      queries, with: blocks, worths: &answer.worths, scratch: &scratch)
                  }
                }
              }
            }
          }
        }
      }
      #expect(answer.rows.last == .max && answer.chances.last == -1 && answer.worths.last == -1)
      #expect(answer.rests.last!.isNaN)
      let taken = min(answer.wanted, room)
      answer.rows.removeLast(answer.rows.count - taken)
      answer.chances.removeLast(answer.chances.count - taken)
      answer.worths.removeLast()
      answer.rests.removeLast()
      return answer
    }
  }

  private static let shapes = [(1, 8, 3), (2, 64, 40), (3, 32, 60), (6, 20, 30), (7, 64, 5), (13, 4, 9)]

  @Test(arguments: SIMDLevel.supported, shapes)
  func worthsAreSumsOfExponentials(_ level: SIMDLevel, _ shape: (Int, Int, Int)) throws {
    let kernels = try Kernels(level: level)
    for share in [0.1, 0.7, 1] {
      let coded = Coded(shape, share: share)
      let weights = coded.weights(kernels)
      let answer = coded.sample(kernels, threshold: 1)
      var worst = 0.0
      for (i, (_, list)) in coded.rows.enumerated() {
        let factor = Double(coded.factors[Int(coded.lists.selected[list])])
        let worth = factor * weights.reduce(0) { $0 + $1[i] }
        worst = max(
          worst, abs(Double(answer.worths[i]) - worth) / (Tolerance.weight(magnitude: 20) * worth + 1e-37))
      }
      #expect(worst < 1)
    }
  }

  /// Scores beyond what f32 can raise e to give the largest and the least weight, and no infinity.
  @Test(arguments: SIMDLevel.supported) func weightsAreCut(_ level: SIMDLevel) throws {
    var coded = Coded((1, 4, 4), share: 1)
    coded.factors = [1, 1, 1, 1]
    coded.bases = [500, -500, 90, -1e30]
    let answer = coded.sample(try Kernels(level: level), threshold: 1)
    let expected = [exp(87.0), exp(-87.0), exp(87.0), exp(-87.0)]
    for (i, (_, list)) in coded.rows.enumerated() {
      #expect(abs(Double(answer.worths[i]) / expected[list] - 1) < 2e-5)
    }
  }

  /// Keys worth the threshold are taken; of the others one whenever the sum of chances passes a whole number.
  @Test(arguments: SIMDLevel.supported, shapes)
  func samplesAreSystematic(_ level: SIMDLevel, _ shape: (Int, Int, Int)) throws {
    let kernels = try Kernels(level: level)
    for (share, threshold) in [(0.2, Float(0.3)), (1, 1), (1, 20), (0.8, 1e4), (1, 1e-6), (1, 0)] {
      let coded = Coded(shape, share: share)
      let answer = coded.sample(kernels, threshold: threshold)
      #expect(answer.wanted == answer.rows.count)
      let chances = Dictionary(zip(answer.rows, answer.chances), uniquingKeysWith: { _, _ in .nan })
      #expect(answer.rows == coded.rows.map { UInt32($0.row) }.filter { chances[$0] != nil })
      var sum = 0.5
      for (i, (row, _)) in coded.rows.enumerated() {
        let chance = chances[UInt32(row)]
        let worth = answer.worths[i]
        guard worth < threshold else {
          #expect(chance == 1)
          continue
        }
        let own = Double(worth) / Double(threshold)
        let before = sum
        sum += own
        // Sums of f32 may pass a whole number a little sooner or later.
        let slack = 1e-5 * (1 + sum)
        if let chance {
          #expect(abs(Double(chance) - own) <= 1e-6 * own)
          #expect((sum + slack).rounded(.down) > (before - slack).rounded(.down), "row \(row)")
        } else {
          #expect((sum - slack).rounded(.down) <= (before + slack).rounded(.down), "row \(row)")
        }
      }
    }
  }

  @Test(arguments: SIMDLevel.supported, shapes)
  func restsAreWhatIsNotTaken(_ level: SIMDLevel, _ shape: (Int, Int, Int)) throws {
    let kernels = try Kernels(level: level)
    for (threshold, limit) in [
      (Float(0.3), Int.max), (5, .max), (1e4, .max), (0, .max), (1, 7), (1, 0), (0, 40),
    ] {
      let coded = Coded(shape, share: 0.8)
      let weights = coded.weights(kernels)
      let answer = coded.sample(kernels, threshold: threshold, limit: limit)
      #expect(answer.rows.count <= limit)
      let chances = Dictionary(zip(answer.rows, answer.chances), uniquingKeysWith: { _, _ in .nan })
      for h in 0..<coded.m {
        var rests = [Double](repeating: 0, count: coded.lists.selected.count)
        var magnitudes = rests
        for (i, (row, list)) in coded.rows.enumerated() {
          let times = chances[UInt32(row)].map { 1 / Double($0) } ?? 0
          rests[list] += (1 - times) * weights[h][i]
          magnitudes[list] += (1 + times) * weights[h][i]
        }
        for s in rests.indices {
          let error = abs(Double(answer.rests[h * rests.count + s]) - rests[s])
          #expect(error <= Tolerance.weight(magnitude: 20) * magnitudes[s] + 1e-37)
          // Nothing is left of a list that was read whole, not even a rounding error.
          if threshold == 0, limit == .max { #expect(answer.rests[h * rests.count + s] == 0) }
        }
      }
    }
  }

  /// What is wanted beyond the limit is counted, and the sample before it is the same.
  @Test(arguments: SIMDLevel.supported, [0, 1, 15, 16, 17, 100])
  func limitsCutTheEnd(_ level: SIMDLevel, _ limit: Int) throws {
    let kernels = try Kernels(level: level)
    let coded = Coded((3, 32, 60), share: 1)
    let whole = coded.sample(kernels, threshold: 1)
    try #require(whole.wanted > 100)
    let cut = coded.sample(kernels, threshold: 1, limit: limit)
    #expect(cut.wanted == whole.wanted)
    #expect(cut.rows == Array(whole.rows.prefix(limit)))
    #expect(cut.chances == Array(whole.chances.prefix(limit)))
  }

  @Test(arguments: SIMDLevel.supported) func withoutASampleOnlyTheBestAreTaken(_ level: SIMDLevel) throws {
    let coded = Coded((3, 32, 60), share: 0.7)
    let answer = coded.sample(try Kernels(level: level), threshold: 3, isSystematic: false)
    let best = zip(coded.rows, answer.worths).filter { $1 >= 3 }.map { UInt32($0.0.row) }
    #expect(!best.isEmpty && best.count < coded.rows.count)
    #expect(answer.rows == best)
    #expect(answer.chances.allSatisfy { $0 == 1 })
  }

  /// What is no number is read and not estimated.
  @Test(arguments: SIMDLevel.supported) func notANumberIsTaken(_ level: SIMDLevel) throws {
    var coded = Coded((1, 8, 9), share: 1)
    coded.factors[4] = .nan
    let answer = coded.sample(try Kernels(level: level), threshold: 1e9)
    let rows = coded.lists.lists[4].map { UInt32($0) }
    #expect(!rows.isEmpty)
    #expect(answer.rows.filter { rows.contains($0) } == rows)
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
