// Policies that choose rows for each query, against their definitions.

import Foundation
import AttentionPolicies
import RetrievalAttention
import Testing
import VectorIndex

@Suite struct SelectionReferenceTests {
  private let data: PolicyInput

  init() throws {
    data = PolicyInput(try layerShape(heads: 6, kvHeads: 2, dimension: 16), tokens: 700, seed: 11)
  }

  private func run(_ policy: String) throws -> PolicyRun {
    try PolicyRun(PolicyRegistry.published.parse(policy), data)
  }

  @Test func streamingKeepsSinkAndWindow() throws {
    let run = try run("streaming:sink=5,window=40")
    try run.prompt(0..<300)
    try run.expect(300..<330) { token, head in
      data.attention(token: token, head: head, keys: Array(0..<5) + Array(token - 39...token))
    }
    #expect(run.engine.statistics.staticKeys == 2 * 30 * 45)
    #expect(run.engine.statistics.bytes == 2 * 30 * 45 * 64)
  }

  @Test func flatIsEachQuerysTopK() throws {
    let run = try run("flat:k=20,sink=8,window=32")
    try run.prompt(0..<600)
    let indexed = Array(8..<568)
    var chosen: Set<[Int]> = []
    try run.expect(600..<620) { token, head in
      let scores = indexed.map { data.score(token: token, head: head, key: $0) }
      let top = highest(20, of: scores).map { indexed[$0] }
      chosen.formUnion(top.map { [token, head / 3, $0] })
      return data.attention(
        token: token, head: head, keys: Array(0..<8) + top + Array(568...token))
    }
    let reads = run.engine.statistics
    #expect(reads.retrievedKeys == chosen.count)
    // All keys once for a group, and the values of each query's 20.
    #expect(reads.bytes == reads.staticKeys * 64 + 2 * 20 * 560 * 32 + 6 * 20 * 20 * 32)
  }

  @Test func questReadsPagesOfTheHighestBounds() throws {
    let run = try run("quest:page=8,budget=40,dense=none")
    try run.prompt(0..<600)
    var pagesRead = 0
    try run.expect(600..<620) { token, head in
      // Pages that were full after the last token.
      let pages = (0..<token / 8).map { Array($0 * 8..<$0 * 8 + 8) }
      let kvHead = head / 3
      var union: Set<Int> = []
      for member in data.group(kvHead) {
        let query = data.query(token: token, head: member)
        let bounds = pages.map { page in
          (0..<16).reduce(0.0) { sum, i in
            let elements = page.map { data.keys[kvHead][$0][i] }
            return sum + max(query[i] * elements.min()!, query[i] * elements.max()!)
          }
        }
        union.formUnion(highest(5, of: bounds))
      }
      if head % 3 == 0 { pagesRead += union.count }
      return data.attention(
        token: token, head: head, keys: union.sorted().flatMap { pages[$0] } + Array(pages.count * 8...token))
    }
    let reads = run.engine.statistics
    #expect(reads.retrievedKeys == pagesRead * 8)
    // Two bounds of 16 elements for each page of both heads: as many bytes as a row.
    var pageCount = 0
    for token in 600..<620 { pageCount += 2 * (token / 8) }
    #expect(reads.indexRows == Double(pageCount))
  }

  @Test func infLLMReadsBlocksOfTheMostRelevantRepresentatives() throws {
    let (sink, window, size, kept) = (8, 32, 16, 3)
    let run = try run("infllm:blocks=3,window=32,block=16,sink=8,representatives=2")
    try run.prompt(0..<600, batch: 70)
    /// The keys that represent a block of rows.
    func representatives(of rows: [Int], kvHead: Int) -> [Int] {
      let scores = rows.map { row -> Double in
        var sum = 0.0
        for position in row + 1...row + window {
          for head in data.group(kvHead) { sum += data.score(token: position, head: head, key: row) }
        }
        return sum
      }
      return highest(2, of: scores).map { rows[$0] }
    }
    let allBlocks = (0..<40).map { block in (0..<size).map { sink + block * size + $0 } }
    let represented = (0..<2).map { kvHead in
      allBlocks.filter { $0.last! + window < 700 }.map { representatives(of: $0, kvHead: kvHead) }
    }
    try run.expect(600..<640) { token, head -> [Double] in
      let kvHead = head / 3
      // The token's own key is in the store when it attends; blocks are made after it.
      let blocks = (token - sink - window) / size
      var union: Set<Int> = []
      for member in data.group(kvHead) {
        let relevance = represented[kvHead][..<blocks].map { keys -> Double in
          keys.reduce(0.0) { $0 + data.score(token: token, head: member, key: $1) }
        }
        union.formUnion(highest(kept, of: relevance))
      }
      let read = union.sorted().flatMap { allBlocks[$0] }
      let last = Array(sink + blocks * size...token)
      return data.attention(token: token, head: head, keys: Array(0..<sink) + read + last)
    }
  }

  @Test func hipHalvesTheBestSpans() throws {
    let (sink, window, size, kept) = (8, 32, 2, 16)
    let run = try run("hip:k=32,sink=8,window=32,refresh=3,dense=none")
    try run.prompt(0..<600)
    var found: [Int: Set<Int>] = [:]
    var blocks = 0
    try run.expect(600..<620) { token, head in
      let kvHead = head / 3
      if (token - 600) % 3 == 0, head % 3 == 0 {
        blocks = (token + 1 - sink - window) / size
        found[kvHead] = []
        for member in data.group(kvHead) {
          let best = blocksByHalving(blocks, kept: kept) { middle in
            (0..<size).map {
              data.score(token: token, head: member, key: sink + middle * size + $0)
            }.max()!
          }
          found[kvHead]!.formUnion(best)
        }
      }
      let read = found[kvHead]!.sorted().flatMap { [sink + $0 * 2, sink + $0 * 2 + 1] }
      return data.attention(
        token: token, head: head, keys: Array(0..<sink) + read + Array(sink + blocks * size...token))
    }
  }

  @Test func pqCacheReadsTheHighestScoresByCodes() throws {
    let run = try run("pqcache:share=0.1,bits=4,parts=2,sink=8,window=32")
    try run.prompt(0..<600)
    let heads = try (0..<2).map { try #require(run.engine.head(layer: 0, kvHead: $0) as? PQCacheHead) }
    for (kvHead, head) in heads.enumerated() {
      #expect(head.codeRows.count == 560)
      for (i, codes) in head.codeRows.enumerated() {
        for part in 0..<2 {
          let piece = Array(data.keys[kvHead][8 + i][part * 8..<part * 8 + 8])
          let distances = head.centroids(part: part).map { centroid in
            zip(piece, centroid).reduce(0.0) { $0 + ($1.0 - Double($1.1)) * ($1.0 - Double($1.1)) }
          }
          #expect(distances[codes[part]] < distances.min()! + 1e-5, "row \(i), part \(part)")
        }
      }
    }
    try run.expect(600..<615) { token, head in
      let kvHead = head / 3
      var shares = [Double](repeating: 0, count: 560)
      for member in data.group(kvHead) {
        let query = data.query(token: token, head: member)
        let tables = (0..<2).map { part in
          heads[kvHead].centroids(part: part).map { centroid in
            dot(Array(query[part * 8..<part * 8 + 8]), centroid.map(Double.init))
          }
        }
        let weights = heads[kvHead].codeRows.map { exp(tables[0][$0[0]] + tables[1][$0[1]]) }
        let total = weights.reduce(0, +)
        for row in shares.indices { shares[row] += weights[row] / total }
      }
      return data.attention(
        token: token, head: head,
        keys: Array(0..<8) + highest(56, of: shares).map { $0 + 8 } + Array(568...token))
    }
    let reads = run.engine.statistics
    // All heads of a group read the same keys.
    #expect(reads.retrievedKeys == 15 * 2 * 56)
    // Codes of two bytes and two codebooks of 16 centroids of 8 elements, for both heads.
    #expect(reads.indexRows == 15 * 2 * Double(560 * 2 + 2 * 16 * 8 * 4) / 64)
  }

  /// Codes follow the window.
  @Test func pqCacheCodesGeneratedTokens() throws {
    let run = try run("pqcache:share=0.1,bits=4,sink=8,window=32")
    try run.prompt(0..<300)
    _ = try run.decode(300..<400)
    let head = try #require(run.engine.head(layer: 0, kvHead: 0) as? PQCacheHead)
    #expect(head.indexedRowCount == 260 + 96)
  }

  @Test func retroInferReadsEstimatesAndLeavesOut() throws {
    let (sink, window) = (4, 64)
    let run = try run("retroinfer:retrieval=0.05,estimation=0.3")
    try run.prompt(0..<600)
    let clusters = try (0..<2).map {
      try #require(run.engine.head(layer: 0, kvHead: $0) as? RetroInferHead).clusters
    }
    for list in clusters {
      #expect(list.joined().sorted() == Array(sink..<600 - window))
      #expect(list.allSatisfy { !$0.isEmpty })
      #expect(list.count <= (532 + 15) / 16)
    }
    func mean(_ rows: [[Double]]) -> [Double] {
      (0..<16).map { i in rows.reduce(0) { $0 + $1[i] } / Double(rows.count) }
    }
    // Means are kept in f16.
    try run.expect(600..<615, tolerance: 2e-3) { token, head in
      let kvHead = head / 3
      let members = clusters[kvHead]
      let centroids = members.map { mean($0.map { data.keys[kvHead][$0] }) }
      var shares = [Double](repeating: 0, count: members.count)
      for member in data.group(kvHead) {
        let query = data.query(token: token, head: member)
        let weights = centroids.map { exp(dot(query, $0)) }
        for i in shares.indices { shares[i] += weights[i] / weights.reduce(0, +) }
      }
      let first = Int((0.05 * Double(members.count)).rounded(.up))
      let second = Int((0.3 * Double(members.count)).rounded(.up))
      let retrieved = highest(first, of: shares)
      let estimated = highest(first + second, of: shares).filter { !retrieved.contains($0) }
      let rows = Array(0..<sink) + retrieved.flatMap { members[$0] } + Array(600 - window...token)
      let query = data.query(token: token, head: head)
      return data.attention(
        scores: rows.map { data.score(token: token, head: head, key: $0) }
          + estimated.map { dot(query, centroids[$0]) + log(Double(members[$0].count)) },
        values: rows.map { data.values[kvHead][$0] }
          + estimated.map { mean(members[$0].map { data.values[kvHead][$0] }) })
    }
  }

  @Test func magicPIGWeighsItsSample() throws {
    let (bits, tables, sink, window) = (4, 20, 8, 32)
    let run = try run("magicpig:bits=4,tables=20,sink=8,window=32,dense=none")
    try run.prompt(0..<600)
    let directions = floats(HashProjections.make(bits: bits, tables: tables, dimension: 16).rows)
      .map(Double.init)
    func hashes(_ vector: [Double]) -> [Int] {
      (0..<tables).map { table in
        (0..<bits).reduce(0) { hash, bit in
          let row = (table * bits + bit) * 16
          return hash | (dot(vector, Array(directions[row..<row + 16])) >= 0 ? 1 : 0) << bit
        }
      }
    }
    let hashed = Array(sink..<600 - window)
    let centered = data.keys.map { keys -> [[Double]] in
      let mean = (0..<16).map { i in hashed.reduce(0.0) { $0 + keys[$1][i] } / Double(hashed.count) }
      return hashed.map { row in zip(keys[row], mean).map { $0 - $1 } }
    }
    let keyHashes = centered.map { $0.map(hashes) }
    try run.expect(600..<610, tolerance: 2e-3) { token, head in
      let kvHead = head / 3
      let query = data.query(token: token, head: head)
      let queryHashes = hashes(query)
      var rows = Array(0..<sink) + Array(600 - window...token)
      var corrections = [Double](repeating: 0, count: rows.count)
      for (i, row) in hashed.enumerated() {
        guard zip(queryHashes, keyHashes[kvHead][i]).filter({ $0 == $1 }).count >= 2 else { continue }
        let key = centered[kvHead][i]
        let cosine = dot(query, key) / (dot(query, query) * dot(key, key)).squareRoot()
        let bucket = pow(1 - acos(cosine) / .pi, Double(bits))
        let probability =
          1 - pow(1 - bucket, Double(tables)) - Double(tables) * bucket * pow(1 - bucket, Double(tables - 1))
        rows.append(row)
        corrections.append(-log(probability))
      }
      return data.attention(token: token, head: head, keys: rows, logCounts: corrections)
    }
  }
}
