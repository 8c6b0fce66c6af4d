// The parts that codes are made of: eigenvectors, shares of bits, the best of a stream.

import AttentionKernels
import Testing
import VectorIndex

@Suite struct CodePartTests {
  @Test(arguments: [1, 2, 7, 24, 64])
  func eigenvectorsRebuildTheMatrix(dimension d: Int) {
    var generator = SeededGenerator(seed: UInt64(d))
    let rows = (0..<2 * d).map { _ in generator.normals(d).map { Double($0) } }
    var matrix = [Double](repeating: 0, count: d * d)
    for row in rows {
      for i in 0..<d {
        for j in 0..<d { matrix[i * d + j] += row[i] * row[j] }
      }
    }
    let eigen = SymmetricEigen(matrix, dimension: d)
    #expect(eigen.values == eigen.values.sorted(by: >))
    for i in 0..<d {
      for j in 0..<d {
        var (rebuilt, product) = (0.0, 0.0)
        for k in 0..<d {
          rebuilt += eigen.values[k] * eigen.vectors[k * d + i] * eigen.vectors[k * d + j]
          product += eigen.vectors[i * d + k] * eigen.vectors[j * d + k]
        }
        #expect(abs(rebuilt - matrix[i * d + j]) < 1e-6 * eigen.values[0])
        #expect(abs(product - (i == j ? 1 : 0)) < 1e-6)
      }
    }
  }

  @Test func equalVariancesShareBitsEvenly() {
    let allocation = BitAllocation(variances: [Float](repeating: 2, count: 32), codebookCount: 16)
    #expect(allocation.codebooks.count == 16)
    #expect(allocation.codebooks.allSatisfy { $0.count == 2 })
    #expect(Set(allocation.codebooks.joined()) == Set(0..<32))
  }

  /// A coordinate with most of the variance gets codebooks of its own, one after the other.
  @Test func largeVariancesGetMoreBits() {
    var variances = [Float](repeating: 1, count: 32)
    variances[0] = 1e6
    let allocation = BitAllocation(variances: variances, codebookCount: 16)
    let of = (0..<32).map { coordinate in allocation.codebooks.filter { $0.contains(coordinate) }.count }
    // It deserves 10 bits more than the others, which have 1.7 or so.
    #expect(of[0] == 3)
    #expect(of.dropFirst().allSatisfy { $0 == 1 })
    #expect(allocation.codebooks.allSatisfy { Set($0).count == $0.count })
  }

  @Test(arguments: [(1, 1), (3, 16), (64, 4), (5, 8)])
  func everyCoordinateIsCovered(_ shape: (dimension: Int, codebooks: Int)) {
    for variances in [
      [Float](repeating: 0, count: shape.dimension),
      (0..<shape.dimension).map { Float(sign: .plus, exponent: -$0, significand: 1) },
    ] {
      let allocation = BitAllocation(variances: variances, codebookCount: shape.codebooks)
      #expect(Set(allocation.codebooks.joined()) == Set(0..<shape.dimension))
      #expect(allocation.codebooks.count <= shape.codebooks)
      #expect(allocation.codebooks.allSatisfy { !$0.isEmpty })
    }
  }

  @Test(arguments: [1, 2, 10, 100, 700], [0, 1, 9, 513, 5000])
  func keepsTheBestOfAStream(limit: Int, count: Int) {
    var generator = SeededGenerator(seed: UInt64(limit + count))
    for distinct in [3, 1000, Int(Int32.max)] {
      let scores = (0..<count).map { _ in Float(Int.random(in: -distinct...distinct, using: &generator)) }
      for order in [scores, scores.sorted(), scores.sorted(by: >)] {
        var ranks = [UInt64](repeating: 0, count: TopRanks.capacity(limit: limit))
        let found = ranks.withUnsafeMutableBufferPointer { ranks in
          var top = TopRanks(limit: limit, base: ranks.baseAddress!)
          // In parts, as a scan comes.
          var first = 0
          while first < count {
            let part = min(1300, count - first)
            order.withUnsafeBufferPointer {
              top.collect($0.baseAddress! + first, count: part, firstRow: first, kernels: .active)
            }
            first += part
          }
          top.prune()
          return Set(ranks[0..<top.count].map { Int(Kernels.index(ofRank: $0)) })
        }
        #expect(found == Set(CodeScores.best(order, limit)))
      }
    }
  }
}
