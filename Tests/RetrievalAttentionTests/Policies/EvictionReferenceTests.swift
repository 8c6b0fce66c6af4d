// Policies that drop keys for good, against their definitions, token by token.

import Foundation
import AttentionPolicies
import RetrievalAttention
import Testing

@Suite struct EvictionReferenceTests {
  private let data: PolicyInput

  init() throws {
    data = PolicyInput(try layerShape(heads: 6, kvHeads: 2, dimension: 16), tokens: 700, seed: 21)
  }

  private func run(_ policy: String) throws -> PolicyRun {
    try PolicyRun(PolicyRegistry.published.parse(policy), data)
  }

  @Test(arguments: ["max", "mean"])
  func snapKVKeepsWhatTheEndOfThePromptVotesFor(pooling: String) throws {
    let (window, kernel, budget) = (16, 5, 60)
    let run = try run("snapkv:budget=60,window=16,kernel=5,pool=\(pooling)")
    try run.prompt(0..<200)
    // A second prompt chooses anew; its last batch is a single token, which is read like a generated one.
    try run.prompt(200..<301, batch: 50)
    let begin = 301 - window
    let kept = (0..<2).map { kvHead -> [Int] in
      var votes = [Double](repeating: 0, count: begin)
      for head in data.group(kvHead) {
        for token in begin..<301 {
          let weights = data.weights(token: token, head: head, keys: Array(0...token))
          for row in 0..<begin { votes[row] += weights[row] }
        }
      }
      let pooled = votes.indices.map { i -> Double in
        let near = (i - kernel / 2...i + kernel / 2).map { votes.indices.contains($0) ? votes[$0] : 0 }
        return pooling == "max" ? near.max()! : near.reduce(0, +) / Double(kernel)
      }
      return highest(budget - window, of: pooled)
    }
    try run.expect(301..<320) { token, head in
      data.attention(token: token, head: head, keys: kept[head / 3] + Array(begin...token))
    }
    // The single token at the end of the second prompt read by the choice of the first.
    #expect(run.engine.statistics.retrievedKeys == 2 * 20 * (budget - window))
  }

  @Test func cormKeepsWhatARecentQueryCaredFor() throws {
    let (window, recent) = (4, 20)
    let run = try run("corm:window=4,recent=20")
    try run.prompt(0..<300)
    // The last query that found each row important.
    var kept = (0..<2).map { kvHead -> [Int: Int] in
      var important: [Int: Int] = [:]
      for token in 300 - window..<300 {
        for head in data.group(kvHead) {
          let weights = data.weights(token: token, head: head, keys: Array(0...token))
          for row in 0...token where weights[row] >= 1 / Double(token + 1) { important[row] = token }
        }
      }
      var kept: [Int: Int] = [:]
      for row in 0..<300 {
        let last = important[row] ?? -1
        if row > 299 - recent || last > 299 - window { kept[row] = last }
      }
      return kept
    }
    var largest = 0
    try run.expect(300..<340) { token, head in
      let kvHead = head / 3
      if head % 3 == 0 { kept[kvHead][token] = -1 }
      let rows = kept[kvHead].keys.sorted()
      largest = max(largest, rows.count)
      let output = data.attention(token: token, head: head, keys: rows)
      if head % 3 == 2 {
        for member in data.group(kvHead) {
          let weights = data.weights(token: token, head: member, keys: rows)
          for (row, weight) in zip(rows, weights) where weight >= 1 / Double(token + 1) {
            kept[kvHead][row] = token
          }
        }
        kept[kvHead] = kept[kvHead].filter { $0.key > token - recent || $0.value > token - window }
      }
      return output
    }
    #expect(largest > recent && largest < 330)
  }

  /// The buffers as lists, oldest first.
  private struct Cascade {
    var buffers: [[(row: Int, average: Double)]]
    var arrivals: [Int]
    let capacity: Int

    init(buffers: Int, capacity: Int) {
      self.buffers = Array(repeating: [], count: buffers)
      arrivals = Array(repeating: 0, count: buffers)
      self.capacity = capacity
    }

    var rows: [Int] { buffers.joined().map(\.row) }

    mutating func insert(_ row: Int, average: Double) {
      let isFilling = rows.count < capacity * buffers.count
      var moved = (row: row, average: average)
      for i in buffers.indices {
        arrivals[i] += 1
        if !isFilling, i > 0, arrivals[i] % 2 == 0 {
          if moved.average > buffers[i].last!.average { buffers[i][buffers[i].count - 1] = moved }
          return
        }
        buffers[i].append(moved)
        if buffers[i].count <= capacity { return }
        moved = buffers[i].removeFirst()
      }
    }

    mutating func update(_ change: (Int, Double) -> Double) {
      for i in buffers.indices {
        for j in buffers[i].indices {
          buffers[i][j].average = change(buffers[i][j].row, buffers[i][j].average)
        }
      }
    }

    /// Sees a batch of a prompt: every eighth query, one after the other; of the group's heads the one that cares most
    /// counts.
    mutating func read(
      _ batch: Range<Int>, of data: PolicyInput, kvHead: Int, sink: Int, stride: Int, decay: Double
    ) {
      let step = pow(decay, 8)
      for first in Swift.stride(from: batch.lowerBound, to: batch.upperBound, by: stride) {
        let new = first..<min(first + stride, batch.upperBound)
        let keptRows = Array(0..<min(sink, first)) + rows
        var sums: [[Int: Double]] = [[:], [:], [:]]
        var remaining = 1.0
        for token in new where token % 8 == 0 {
          let seen = keptRows + Array(new.lowerBound...token)
          remaining *= step
          for (member, head) in data.group(kvHead).enumerated() {
            for row in sums[member].keys { sums[member][row]! *= step }
            for (row, weight) in zip(seen, data.weights(token: token, head: head, keys: seen)) {
              sums[member][row, default: 0] += (1 - step) * weight
            }
          }
        }
        func gain(_ row: Int) -> Double { sums.map { $0[row] ?? 0 }.max()! }
        update { row, average in remaining * average + gain(row) }
        for row in new where row >= sink { insert(row, average: gain(row)) }
      }
    }
  }

  @Test func cascadeThinsOutByAttention() throws {
    let (sink, stride, decay) = (4, 32, 0.9)
    let run = try run("cascade:budget=48,buffers=4,sink=4,stride=32,decay=0.9")
    try run.prompt(0..<300, batch: 100)
    var cascades = (0..<2).map { kvHead -> Cascade in
      var cascade = Cascade(buffers: 4, capacity: 12)
      for batch in Swift.stride(from: 0, to: 300, by: 100) {
        cascade.read(
          batch..<batch + 100, of: data, kvHead: kvHead, sink: sink, stride: stride, decay: decay)
      }
      return cascade
    }
    try run.expect(300..<360) { token, head in
      let kvHead = head / 3
      if head % 3 == 0 { cascades[kvHead].insert(token, average: 0) }
      let rows = Array(0..<sink) + cascades[kvHead].rows
      let output = data.attention(token: token, head: head, keys: rows)
      if head % 3 == 2 {
        var shares: [Int: Double] = [:]
        for member in data.group(kvHead) {
          for (row, weight) in zip(rows, data.weights(token: token, head: member, keys: rows)) {
            shares[row] = max(shares[row] ?? 0, weight)
          }
        }
        cascades[kvHead].update { row, average in decay * average + (1 - decay) * (shares[row] ?? 0) }
      }
      return output
    }
    #expect(run.engine.statistics.staticKeys == 2 * 60 * sink)
    #expect(run.engine.statistics.retrievedKeys <= 2 * 60 * 48)
    // Buffers reach far behind a window of as many keys.
    #expect(cascades[0].rows.min()! < 200)
  }

  /// A batch attends to sink, buffers and itself.
  @Test func cascadeReadsPromptsFromItsBuffers() throws {
    let (sink, stride, decay) = (4, 32, 0.9)
    let run = try run("cascade:budget=48,buffers=4,sink=4,stride=32,decay=0.9,prefill=true")
    var cascades = (0..<2).map { _ in Cascade(buffers: 4, capacity: 12) }
    let d = data.layer.headDimension
    for first in Swift.stride(from: 0, to: 400, by: 100) {
      let batch = first..<first + 100
      let output = try run.engine.attend(data.input, batch)
      run.engine.updateIndex(finishing: batch.upperBound == 400, askPosition: 500, parallel: .serial)
      for token in Swift.stride(from: first + 3, to: batch.upperBound, by: 16) {
        for head in 0..<data.layer.headCount {
          let rows = Array(0..<min(sink, first)) + cascades[head / 3].rows + Array(first...token)
          let expected = data.attention(token: token, head: head, keys: rows)
          let row = ((token - first) * data.layer.headCount + head) * d
          let error = (0..<d).map { abs(Double(output[row + $0]) - expected[$0]) }.max() ?? .infinity
          #expect(error < Tolerance.exact, "token \(token), head \(head)")
        }
      }
      for kvHead in 0..<2 {
        cascades[kvHead].read(batch, of: data, kvHead: kvHead, sink: sink, stride: stride, decay: decay)
      }
    }
    let share = try #require(run.engine.promptReads.share)
    #expect(share < 0.6)
  }
}
