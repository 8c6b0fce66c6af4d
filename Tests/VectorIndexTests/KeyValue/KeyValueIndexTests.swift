// The front door of the library: every kind of index behind it, and arguments that do not fit.

import AttentionKernels
import Testing
import VectorIndex

@Suite struct KeyValueIndexTests {
  private let head = SyntheticHead(rows: 1500, dimension: 32, seed: 61)

  private func check<Index>(_ rows: KeyValueIndex<Index>, exactly: Bool) throws {
    let d = 32
    let keys = halves(head.keys)
    let values = halves(head.values)
    let sample = head.queries(48, seed: 1)
    for (first, end) in [(0, 1000), (1000, 1500)] {
      try rows.insert(
        keys: Array(keys[first * d..<end * d]).span, values: Array(values[first * d..<end * d]).span,
        trainingQueries: sample.span, groupSize: 3)
    }
    #expect(rows.count == 1500)
    #expect(rows.ids.sorted() == (0..<1500).map(UInt32.init))
    #expect(rows.ids[..<1000].allSatisfy { $0 < 1000 })

    let queries = head.queries(3, seed: 2)
    var states = try SoftmaxStates(count: 3, dimension: d)
    let read = try rows.attend(queries: queries.span, states: &states)
    #expect(read.bytes > 0)
    let (outputs, logSumExps) = states.finished()
    let found = Attention(
      outputs: (0..<3).map { h in outputs[h * d..<(h + 1) * d].map(Double.init) },
      logSumExps: logSumExps.map(Double.init))
    let expected = referenceAttention(
      queries: queries, keys: floats(keys), values: floats(values), dimension: d)
    if exactly {
      #expect(expected.largestDifference(from: found) < Tolerance.exact)
    } else {
      #expect(expected.relativeErrors(of: found).allSatisfy { $0 < 0.6 })
    }
  }

  @Test func clusters() throws {
    let index = ClusterIndex(dimension: 32)
    index.search.tolerance = 0
    try check(try KeyValueIndex(index), exactly: true)
  }

  @Test func lists() throws {
    let index = IVFIndex(dimension: 32)
    index.search.probes = 10_000
    try check(try KeyValueIndex(index), exactly: true)
  }

  @Test func scan() throws {
    let index = ScanIndex(dimension: 32)
    index.search.k = 1500
    try check(try KeyValueIndex(index), exactly: true)
  }

  @Test func graph() throws {
    let index = try GraphIndex(dimension: 32)
    index.search.k = 400
    try check(try KeyValueIndex(index), exactly: false)
  }

  @Test func refusesWhatDoesNotFit() throws {
    let rows = try KeyValueIndex(ClusterIndex(dimension: 4))
    let eight = [UInt16](repeating: 0, count: 8)
    let seven = [UInt16](repeating: 0, count: 7)
    let none: [Float] = []
    let two = [Float](repeating: 0, count: 8)
    func expect(_ error: KeyValueIndexError, _ body: () throws(KeyValueIndexError) -> Void) {
      #expect(throws: error) { try body() }
    }
    expect(.mismatch(name: "elements of keys modulo dimension", expected: 0, actual: 3)) {
      () throws(KeyValueIndexError) in
      try rows.insert(keys: seven.span, values: seven.span, trainingQueries: none.span)
    }
    expect(.mismatch(name: "elements of values", expected: 8, actual: 7)) { () throws(KeyValueIndexError) in
      try rows.insert(keys: eight.span, values: seven.span, trainingQueries: none.span)
    }
    expect(.invalidCount(name: "groupSize", value: 0)) { () throws(KeyValueIndexError) in
      try rows.insert(keys: eight.span, values: eight.span, trainingQueries: two.span, groupSize: 0)
    }
    expect(.mismatch(name: "training queries modulo group size", expected: 0, actual: 2)) {
      () throws(KeyValueIndexError) in
      try rows.insert(keys: eight.span, values: eight.span, trainingQueries: two.span, groupSize: 3)
    }
    #expect(rows.count == 0)
    var states = try SoftmaxStates(count: 1, dimension: 4)
    #expect(try rows.attend(queries: [Float](repeating: 0, count: 4).span, states: &states) == ReadCount())
    #expect(throws: KeyValueIndexError.mismatch(name: "elements of queries", expected: 4, actual: 8)) {
      _ = try rows.attend(queries: two.span, states: &states)
    }
    var wide = try SoftmaxStates(count: 1, dimension: 5)
    #expect(throws: KeyValueIndexError.mismatch(name: "dimension of states", expected: 4, actual: 5)) {
      _ = try rows.attend(queries: two.span, states: &wide)
    }
    #expect(states.finished().logSumExps == [-.infinity])
  }

  /// Rows of all types of elements are the same rows.
  @Test func typesOfElements() throws {
    let head = HeadRows(rows: 300, dimension: 16)
    let queries = head.head.queries(3, seed: 2)
    let bits = try KeyValueIndex(ClusterIndex(dimension: 16))
    try bits.insert(keys: head.keys.span, values: head.values.span, trainingQueries: head.sample.span)
    let expected = try bits.answer(queries, dimension: 16)
    let single = try KeyValueIndex(ClusterIndex(dimension: 16))
    try single.insert(
      keys: head.head.keys.span, values: head.head.values.span, trainingQueries: head.sample.span)
    #expect(try single.answer(queries, dimension: 16) == expected)
    #if !(os(macOS) && arch(x86_64))
      let half = try KeyValueIndex(ClusterIndex(dimension: 16))
      let (keys, values) = (
        head.keys.map(Float16.init(bitPattern:)), head.values.map(Float16.init(bitPattern:))
      )
      try half.insert(keys: keys.span, values: values.span, trainingQueries: head.sample.span)
      #expect(try half.answer(queries, dimension: 16) == expected)
    #endif
  }

  @Test func refusesWhatIsNotFinite() throws {
    let rows = try KeyValueIndex(ClusterIndex(dimension: 4))
    let good = [Float](repeating: 1, count: 8)
    var bad = good
    for value in [.nan, -.infinity, 65520] as [Float] {
      bad[5] = value
      #expect(throws: KeyValueIndexError.notFinite(name: "keys", element: 5)) {
        try rows.insert(keys: bad.span, values: good.span, trainingQueries: good.span)
      }
      #expect(throws: KeyValueIndexError.notFinite(name: "values", element: 5)) {
        try rows.insert(keys: good.span, values: bad.span, trainingQueries: good.span)
      }
    }
    bad[5] = .infinity
    #expect(throws: KeyValueIndexError.notFinite(name: "training queries", element: 5)) {
      try rows.insert(keys: good.span, values: good.span, trainingQueries: bad.span)
    }
    #expect(rows.count == 0)
    #expect(try rows.insert(keys: good.span, values: good.span, trainingQueries: good.span) == 0..<2)
    var states = try SoftmaxStates(count: 2, dimension: 4)
    #expect(throws: KeyValueIndexError.notFinite(name: "queries", element: 5)) {
      _ = try rows.attend(queries: bad.span, states: &states)
    }
    #expect(states.finished().logSumExps == [-.infinity, -.infinity])
  }
}
