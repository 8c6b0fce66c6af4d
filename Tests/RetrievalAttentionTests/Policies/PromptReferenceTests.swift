// Policies that choose keys for a prompt's tokens, against their definitions.

import AttentionKernels
import AttentionPolicies
import Foundation
import RetrievalAttention
import Testing

@Suite struct PromptReferenceTests {
  private let data: PolicyInput

  init() throws {
    data = PolicyInput(try layerShape(heads: 6, kvHeads: 2, dimension: 16), tokens: 700, seed: 21)
  }

  /// Reads a prompt of 600 tokens in batches and compares tokens of it with attention to the keys that a reference
  /// names for each block of queries.
  ///
  /// - Parameter blockTokens: tokens that choose together; they begin anew at each tile of a batch.
  /// - Returns: share of the keys that was read.
  private func share(
    _ policy: String, blockTokens: Int, keys: (_ block: Range<Int>, _ head: Int) -> [Int]
  ) throws -> Double {
    let run = try PolicyRun(PolicyRegistry.published.parse(policy), data)
    let (d, heads) = (data.layer.headDimension, data.layer.headCount)
    let tile = Kernels.preferredPrefillRows / data.layer.groupSize
    for first in stride(from: 0, to: 600, by: 150) {
      let output = try run.engine.attend(data.input, first..<first + 150)
      run.engine.updateIndex(finishing: first == 450, askPosition: 700, parallel: .serial)
      guard first > 0 else { continue }
      for tileStart in stride(from: first, to: first + 150, by: tile) {
        let tileEnd = min(tileStart + tile, first + 150)
        for start in stride(from: tileStart, to: tileEnd, by: blockTokens) {
          let block = start..<min(start + blockTokens, tileEnd)
          for head in 0..<heads {
            let chosen = keys(block, head)
            for token in Set([block.lowerBound, block.upperBound - 1]) {
              let expected = data.attention(token: token, head: head, keys: chosen.filter { $0 <= token })
              let row = ((token - first) * heads + head) * d
              let error = (0..<d).map { abs(Double(output[row + $0]) - expected[$0]) }.max() ?? .infinity
              #expect(error < Tolerance.exact, "token \(token), head \(head)")
            }
          }
        }
      }
    }
    return try #require(run.engine.promptReads.share)
  }

  @Test func hipSearchesForABlockOfQueries() throws {
    let (sink, window, size, kept) = (8, 32, 2, 16)
    let share = try share(
      "hip:k=32,sink=8,window=32,dense=none,prefill=true", blockTokens: 32
    ) { block, head in
      let blocks = (block.lowerBound + 1 - sink - window) / size
      let found = blocksByHalving(blocks, kept: kept) { middle in
        block.flatMap { token in
          (0..<size).map { data.score(token: token, head: head, key: sink + middle * size + $0) }
        }.max()!
      }
      return Array(0..<sink) + found.flatMap { [sink + $0 * size, sink + $0 * size + 1] }
        + Array(sink + blocks * size..<block.upperBound)
    }
    #expect(share < 0.9)
  }

  @Test(arguments: [Float(0.5), 0.9])
  func xAttentionReadsTheBlocksOfTheLargestAntidiagonals(threshold: Float) throws {
    let (size, stride) = (16, 4)
    let tile = Kernels.preferredPrefillRows / data.layer.groupSize
    let share = try share(
      "xattention:block=16,stride=4,threshold=\(threshold)", blockTokens: tile
    ) { block, head in
      let blocks = block.lowerBound / size
      var shares = [Double](repeating: 0, count: blocks)
      let groups = block.count / stride
      for group in 0..<groups {
        let first = block.lowerBound + group * stride
        // Spans of keys that the last token of the group sees whole.
        let scores = (0..<(first + stride) / stride).map { span in
          (0..<stride).map { offset in
            data.score(token: first + stride - 1 - offset, head: head, key: span * stride + offset)
          }.reduce(0, +) / Double(stride)
        }
        let largest = scores.max()!
        let weights = scores.map { exp($0 - largest) }
        let total = weights.reduce(0, +)
        for (span, weight) in weights.enumerated() where span * stride / size < blocks {
          shares[span * stride / size] += weight / total / Double(groups)
        }
      }
      var chosen = [0]
      var read = 1 - shares.reduce(0, +) + shares[0]
      for candidate in (1..<blocks).sorted(by: { shares[$0] > shares[$1] }) where read < Double(threshold) {
        chosen.append(candidate)
        read += shares[candidate]
      }
      return chosen.flatMap { Array($0 * size..<($0 + 1) * size) } + Array(blocks * size..<block.upperBound)
    }
    #expect(share < (threshold < 0.6 ? 0.8 : 1.3))
  }
}
