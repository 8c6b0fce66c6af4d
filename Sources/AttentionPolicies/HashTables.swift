// Locality-sensitive hashing of keys by the signs of random projections.

import AttentionKernels
import Platform
import RetrievalAttention
import Synchronization
import VectorIndex

/// Random directions for the hash functions of all tables, the same for all heads of a width.
package final class HashProjections: Sendable {
  /// Bits of a hash (K) and tables (L).
  let bits: Int
  let tables: Int
  let dimension: Int
  /// `[tables * bits, dimension]` f16, normally distributed.
  package let rows: [UInt16]
  /// ``exactLogProbability(cosine:bits:tables:)`` at `steps + 1` cosines from -1 to 1.
  private let logProbabilities: [Float]

  private static let steps = 4096

  private struct Key: Hashable {
    let bits: Int
    let tables: Int
    let dimension: Int
  }

  private struct Reference {
    weak var projections: HashProjections?
  }

  private static let shared = Mutex<[Key: Reference]>([:])

  /// The directions for hashes of these sizes: always the same, and kept once as long as somebody uses them.
  package static func make(bits: Int, tables: Int, dimension: Int) -> HashProjections {
    let key = Key(bits: bits, tables: tables, dimension: dimension)
    return shared.withLock { known in
      if let projections = known[key]?.projections { return projections }
      let projections = HashProjections(bits: bits, tables: tables, dimension: dimension)
      known[key] = Reference(projections: projections)
      return projections
    }
  }

  private init(bits: Int, tables: Int, dimension: Int) {
    self.bits = bits
    self.tables = tables
    self.dimension = dimension
    logProbabilities = (0...Self.steps).map {
      Self.exactLogProbability(cosine: Float($0) / Float(Self.steps / 2) - 1, bits: bits, tables: tables)
    }
    var generator = SeededGenerator(seed: UInt64(bits) << 40 ^ UInt64(tables) << 20 ^ UInt64(dimension))
    let normal = (0..<bits * tables * dimension).map { _ in
      // A sum of twelve uniform numbers is near enough to normal for directions, and needs no library.
      (0..<12).reduce(Float(-6)) { sum, _ in sum + Float.random(in: 0..<1, using: &generator) }
    }
    rows = unsafe [UInt16](unsafeUninitializedCapacity: normal.count) { target, count in
      count = normal.count
      guard let base = target.baseAddress else { return }
      unsafe Kernels.active.unsafeConvertToFloat16(normal, base, count: normal.count)
    }
  }

  var byteCount: Int { rows.count * 2 }

  /// Natural logarithm of the probability that a key is in the same bucket as a query in at least two tables, for the
  /// cosine of their angle.
  func logProbability(cosine: Float) -> Float {
    let place = (max(-1, min(1, cosine)) + 1) * Float(Self.steps / 2)
    // Steep where hardly any key is sampled: no straight line there.
    guard place > Float(Self.steps / 32) else {
      return Self.exactLogProbability(cosine: cosine, bits: bits, tables: tables)
    }
    let step = min(Int(place), Self.steps - 1)
    let (low, high) = (logProbabilities[step], logProbabilities[step + 1])
    return low + (place - Float(step)) * (high - low)
  }

  /// The same from the definition.
  private static func exactLogProbability(cosine: Float, bits: Int, tables: Int) -> Float {
    let alike = 1 - Double(acos(max(-1, min(1, cosine)))) / .pi
    let bucket = pow(alike, Double(bits))
    let missed = pow(1 - bucket, Double(tables - 1))
    let probability = 1 - missed * (1 - bucket) - Double(tables) * bucket * missed
    // A key that was sampled had some chance, however rounding puts it.
    return Float(log(max(probability, 1e-12)))
  }

  /// Writes the hashes `[count, tables]` of vectors `[count, dimension]`.
  func hash(
    _ vectors: FloatRows, into hashes: ListView<UInt16>, workspace: Workspace
  ) {
    let scratch = workspace.scope()
    let (count, hashes) = unsafe (vectors.count, hashes.base)
    let width = bits * tables
    let products = unsafe scratch.floats(count * width)
    unsafe rows.withUnsafeList { rows in
      unsafe workspace.kernels.unsafeDot(
        vectors, with: PackedRows(rows.base, stride: dimension), .first(width), scores: products)
    }
    for i in 0..<count {
      for table in 0..<tables {
        let product = unsafe products + i * width + table * bits
        var hash: UInt16 = 0
        for bit in 0..<bits { unsafe hash |= (product[bit] >= 0 ? 1 : 0) << UInt16(bit) }
        unsafe hashes[i * tables + table] = hash
      }
    }
  }
}

/// Some rows' places in all tables.
final class HashTables {
  /// Most rows: they are numbered in 16 bits.
  static let maximumRows = 65536

  let rowCount: Int
  private let projections: HashProjections
  private var starts = RowBuffer<UInt32>()  // [tables, buckets + 1]
  private var members = RowBuffer<UInt16>()  // [tables, rows] rows, bucket by bucket

  var byteCount: Int { starts.byteCount + members.byteCount }
  private var bucketCount: Int { 1 << projections.bits }

  /// Puts vectors `[count, dimension]` into the tables.
  init(
    _ vectors: FloatRows, projections: HashProjections, workspace: Workspace
  ) {
    let scratch = workspace.scope()
    let count = vectors.count
    precondition(count <= Self.maximumRows, "\(count) rows in one set of hash tables")
    self.projections = projections
    rowCount = count
    let tables = projections.tables
    let hashed = unsafe ListView(scratch.halves(count * tables), count: count * tables)
    let hashes = unsafe hashed.base
    let step = 64
    for first in stride(from: 0, to: count, by: step) {
      unsafe projections.hash(
        FloatRows(vectors[first], count: min(step, count - first), dimension: projections.dimension),
        into: hashed.from(first * tables), workspace: workspace)
    }
    let starts = unsafe self.starts.grow(by: tables * (bucketCount + 1))
    unsafe starts.update(repeating: 0, count: tables * (bucketCount + 1))
    let members = unsafe self.members.grow(by: tables * count)
    for table in 0..<tables {
      let places = unsafe starts + table * (bucketCount + 1)
      for i in 0..<count { unsafe places[Int(hashes[i * tables + table])] += 1 }
      var sum: UInt32 = 0
      for bucket in 0...bucketCount {
        unsafe sum += places[bucket]
        unsafe places[bucket] = sum
      }
      // Each start is now the end of its bucket; filling from behind moves it to the beginning.
      for i in (0..<count).reversed() {
        let bucket = unsafe Int(hashes[i * tables + table])
        unsafe places[bucket] -= 1
        unsafe members[table * count + Int(places[bucket])] = UInt16(i)
      }
    }
  }

  /// Writes the rows that share a bucket with a query in at least two tables, and returns them and how many
  /// entries of buckets were read.
  ///
  /// - Parameters:
  ///   - hashes: of the query, `[tables]`.
  ///   - found: room for all rows.
  func collisions(
    _ hashes: ListView<UInt16>, found room: ListView<UInt32>, workspace: Workspace
  ) -> (rows: ListView<UInt32>, entries: Int) {
    let scratch = workspace.scope()
    let found = unsafe room.base
    let seen = unsafe scratch.bytes(rowCount)
    unsafe seen.update(repeating: 0, count: rowCount)
    var count = 0
    var entries = 0
    for table in 0..<projections.tables {
      let places = unsafe starts.base + table * (bucketCount + 1) + Int(hashes[table])
      let list = unsafe members.base + table * rowCount
      for i in unsafe Int(places[0])..<Int(places[1]) {
        let row = unsafe Int(list[i])
        if unsafe seen[row] == 1 {
          unsafe found[count] = UInt32(row)
          count += 1
        }
        unsafe seen[row] &+= seen[row] < 2 ? 1 : 0
      }
      unsafe entries += Int(places[1] - places[0])
    }
    return (room.first(count), entries)
  }
}
