// A few rows far beyond all others cost the others nothing.

import AttentionKernels
import Testing
import VectorIndex

@Suite struct OutlierRowsTests {
  private let d = OutlierHead.dimension

  private func find(_ keys: [UInt16], _ values: [UInt16]? = nil) -> [UInt32] {
    keys.withUnsafeBufferPointer { keys in
      (values ?? Array(keys)).withUnsafeBufferPointer { others in
        OutlierRows.find(
          keys: PackedRows(keys.baseAddress!, stride: d),
          values: values == nil ? nil : PackedRows(others.baseAddress!, stride: d), count: keys.count / d,
          dimension: d, workspace: Workspace())
      }
    }
  }

  @Test(arguments: [Float(30), 1000, 1e6], [1, 5, 15])
  func fewFarRowsAreFound(magnitude: Float, count: Int) {
    let head = OutlierHead(rows: 2000, outliers: count, magnitude: magnitude)
    #expect(find(halves(head.keys)).map { Int($0) } == head.outliers)
    let values = OutlierHead(rows: 2000, outliers: count, magnitude: magnitude, inValues: true)
    #expect(find(halves(values.keys), halves(values.values)).map { Int($0) } == values.outliers)
  }

  @Test func ordinaryRowsAreNone() {
    for seed: UInt64 in 1...5 {
      let head = SyntheticHead(rows: 1500, dimension: d, seed: seed)
      #expect(find(halves(head.keys), halves(head.values)) == [])
      var generator = SeededGenerator(seed: seed)
      #expect(find(halves(generator.normals(500 * d, scale: 100))) == [])
      // Large elements that all rows have.
      var offset = head.keys
      for i in offset.indices where i % d == 7 { offset[i] += 500 }
      #expect(find(halves(offset)) == [])
    }
  }

  /// What more rows have than may be outliers is how the rows are.
  @Test func manyFarRowsAreNone() {
    let head = OutlierHead(rows: 2000, outliers: 40, magnitude: 100)
    #expect(find(halves(head.keys)) == [])
    let few = OutlierHead(rows: 60, outliers: 1, magnitude: 100)
    #expect(find(halves(few.keys)) == [])
  }

  @Test func rowsThatAreNoNumbersAreFound() {
    let head = SyntheticHead(rows: 600, dimension: d, seed: 9)
    var keys = halves(head.keys)
    (keys[5 * d + 3], keys[77 * d], keys[599 * d + 63]) = (0x7E00, 0x7C00, 0xFC00)
    #expect(find(keys) == [5, 77, 599])
    #expect(find([UInt16](repeating: 0x7E00, count: 600 * d)) == [])
    // One that differs among equal ones.
    var equal = [UInt16](repeating: 0x3C00, count: 600 * d)
    equal[300 * d] = 0x3C01
    #expect(find(equal) == [300])
  }
}

@Suite struct OutlierIndexTests {
  private static let d = OutlierHead.dimension

  /// Every kind that learns from keys, searched so that it errs a little.
  enum Kind: CaseIterable {
    case clusters, wholeClusters, lists, coRetrievalGraph, roarGraph, lvq8, lvq4, pq2, pq1

    func check(_ body: (_ make: () throws -> any AttentionIndex) throws -> Void) throws {
      switch self {
      case .clusters: try body { ClusterIndex(dimension: d, search: .with(tolerance: 1e-2)) }
      case .wholeClusters:
        try body {
          var build = ClusterIndex.BuildParameters()
          (build.usesCodes, build.clusterSize) = (false, 32)
          return ClusterIndex(dimension: d, build: build, search: .with(tolerance: 2e-3))
        }
      case .lists: try body { IVFIndex(dimension: d) }
      case .coRetrievalGraph: try body { try GraphIndex(dimension: d) }
      case .roarGraph: try body { try GraphIndex(dimension: d, build: .with(.roarGraph)) }
      case .lvq8: try body { ScanIndex(dimension: d, build: .init(codes: .lvq8)) }
      case .lvq4: try body { ScanIndex(dimension: d, build: .init(codes: .lvq4)) }
      case .pq2: try body { ScanIndex(dimension: d, build: .init(codes: .pq2)) }
      case .pq1: try body { ScanIndex(dimension: d, build: .init(codes: .pq1)) }
      }
    }
  }

  private func measure(_ head: OutlierHead, _ index: any AttentionIndex, isPlain: Bool = false) -> (
    error: Double, bytes: Double
  ) {
    func run<Index: AttentionIndex>(_ index: Index) -> (error: Double, bytes: Double) {
      head.measure(head.indexed(index, isPlain: isPlain))
    }
    return run(index)
  }

  @Test(arguments: Kind.allCases)
  func theErrorIsThatOfTheOtherRows(kind: Kind) throws {
    try kind.check { make in
      let ordinary = OutlierHead(rows: 2000, outliers: 0, magnitude: 1)
      let plain = measure(ordinary, try make(), isPlain: true)
      for (count, magnitude) in [(1, Float(3000)), (4, 30), (12, 3000)] {
        for inValues in [false, true] {
          let head = OutlierHead(rows: 2000, outliers: count, magnitude: magnitude, inValues: inValues)
          let found = measure(head, try make())
          // Other clusters and links, so the error is about the same and not the same.
          #expect(
            found.error < 1.5 * plain.error + 1e-3,
            "\(count) of \(magnitude): \(found.error), without \(plain.error)")
          let apart = Double(count * 4 * Self.d)
          #expect(found.bytes < 1.2 * plain.bytes + apart, "\(found.bytes), without \(plain.bytes)")
        }
      }
    }
  }

  /// An outlier that a query does want is all that it gets, as in exact attention.
  @Test(arguments: Kind.allCases)
  func outliersAreAttendedTo(kind: Kind) throws {
    try kind.check { make in
      let head = OutlierHead(rows: 1000, outliers: 3, magnitude: 300)
      func run<Index: AttentionIndex>(_ index: Index) {
        let store = head.indexed(index)
        let recorder = ReadRecorder()
        let query = head.queries[..<Self.d].map { -$0 }
        let found = store.attend(query, recorder: recorder).attention
        #expect(store.reference(query).relativeErrors(of: found)[0] < 1e-3)
        let read = Set(recorder.rows.map { Int(store.positions[Int($0)]) })
        #expect(read.isSuperset(of: head.outliers))
        #expect(read.count == recorder.rows.count, "a row was read twice")
      }
      run(try make())
    }
  }

  /// Exact attention takes no notice of keys that are no numbers, and neither does an index.
  @Test(arguments: Kind.allCases)
  func keysThatAreNoNumbersSpoilNothing(kind: Kind) throws {
    try kind.check { make in
      let head = OutlierHead(rows: 2000, outliers: 0, magnitude: 1)
      func run<Index: AttentionIndex>(_ index: Index, _ bits: UInt16?) -> Double {
        let store = IndexedRows(keys: head.keys, values: head.values, index: index)
        let training = store.train(head.training)
        if let bits {
          for row in [100, 1300] {
            for i in 0..<Self.d { store.keys[row * Self.d + i] = bits }
          }
        }
        store.insert(2000, training: training)
        let clean = IndexedRows(keys: head.keys, values: head.values, index: IVFIndex(dimension: Self.d))
        let width = 3 * Self.d
        return mean(
          stride(from: 0, to: head.queries.count, by: width).flatMap { first in
            let group = Array(head.queries[first..<first + width])
            return clean.reference(group).relativeErrors(of: store.attend(group).attention)
          })
      }
      let plain = run(try make(), nil)
      let found = run(try make(), 0x7E00)
      // Two of the rows count in the one and not in the other.
      #expect(found < 1.5 * plain + 0.01, "\(found), without \(plain)")
    }
  }
}
