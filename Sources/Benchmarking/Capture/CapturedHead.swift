// The vectors of one KV head as the benchmark of indexes uses them, and where they come from.

import NumpyFile

/// Keys, values and queries of one KV head.
package struct CapturedHead: Sendable {
  /// Names it in messages: "layer 5, head 0".
  package var name: String
  package var dimension: Int
  /// Query heads that share the KV head.
  package var groupSize: Int
  /// `[tokens, dimension]`, bits of f16; row i is of position i.
  package var keys: [UInt16]
  /// `[tokens, dimension]`, bits of f16.
  package var values: [UInt16]
  /// `[queries, groupSize, dimension]`, scaled.
  package var queries: [Float]
  /// `[queries]`: a query sees the rows up to its own position, which is included. The position after the last row is
  /// that of a query whose own key is not among them.
  package var queryPositions: [Int]
  /// `[trainingQueries, groupSize, dimension]`, scaled, rotated as at their own positions.
  package var trainingQueries: [Float]
  /// `[trainingQueries]`.
  package var trainingPositions: [Int]

  package var tokenCount: Int { keys.count / dimension }

  /// Rows that a query at a position sees.
  func visibleRows(at position: Int) -> Int { min(position + 1, tokenCount) }
}

/// The `.npy` files of one KV head. All numbers are f16, f32 or f64, positions integers.
package struct HeadFiles: Sendable, Hashable {
  /// `[tokens, d]`.
  package var keys: String
  /// `[tokens, d]`.
  package var values: String
  /// `[groupSize, queries, d]`.
  package var queries: String
  /// `[queries]`.
  package var queryPositions: String
  /// `[groupSize, trainingQueries, d]`; nil for none.
  package var trainingQueries: String?
  /// `[trainingQueries]`; nil for none.
  package var trainingPositions: String?

  package init(
    keys: String, values: String, queries: String, queryPositions: String, trainingQueries: String? = nil,
    trainingPositions: String? = nil
  ) {
    self.keys = keys
    self.values = values
    self.queries = queries
    self.queryPositions = queryPositions
    self.trainingQueries = trainingQueries
    self.trainingPositions = trainingPositions
  }

  /// Reads the files and checks their shapes against each other.
  ///
  /// - Parameter scale: what queries are multiplied by; nil for `1 / sqrt(d)`.
  /// - Throws: ``NumpyFile/NumpyError`` or ``CaptureError``.
  func load(name: String, scale: Float?) throws -> CapturedHead {
    let keyArray = try NumpyArray(contentsOf: keys)
    try keyArray.expectShape([nil, nil])
    let (tokens, d) = (keyArray.shape[0], keyArray.shape[1])
    guard tokens > 0, d > 0 else {
      throw CaptureError.invalid(
        path: keys, name: "shape", value: "\(keyArray.shape)", requirement: "of at least one number")
    }
    let valueArray = try NumpyArray(contentsOf: values)
    try valueArray.expectShape([tokens, d])
    let factor = scale ?? 1 / Float(d).squareRoot()
    let (group, queryRows) = try Self.queries(queries, groupSize: nil, dimension: d, scale: factor)
    let positions = try Self.positions(
      queryPositions, count: queryRows.count / (group * d), of: queries, tokens: tokens)
    var head = CapturedHead(
      name: name, dimension: d, groupSize: group, keys: try Self.finite(keyArray),
      values: try Self.finite(valueArray), queries: queryRows, queryPositions: positions, trainingQueries: [],
      trainingPositions: [])
    guard !positions.isEmpty else {
      throw CaptureError.invalid(
        path: queryPositions, name: "number of queries", value: "0", requirement: "positive")
    }
    if let trainingQueries, let trainingPositions {
      head.trainingQueries =
        try Self.queries(trainingQueries, groupSize: group, dimension: d, scale: factor).rows
      head.trainingPositions = try Self.positions(
        trainingPositions, count: head.trainingQueries.count / (group * d), of: trainingQueries,
        tokens: tokens)
    }
    return head
  }

  /// Bits of f16, none of them infinite or not a number: one such key would spoil every mean.
  private static func finite(_ array: NumpyArray) throws -> [UInt16] {
    let bits = array.float16Bits()
    if let place = bits.firstIndex(where: { $0 & 0x7C00 == 0x7C00 }) {
      throw CaptureError.invalid(
        path: array.path, name: "element \(place)", value: "infinite, not a number or beyond 65504",
        requirement: "finite in f16")
    }
    return bits
  }

  /// Scaled queries `[count, groupSize, d]` from a file of `[groupSize, count, d]`.
  private static func queries(
    _ path: String, groupSize: Int?, dimension d: Int, scale: Float
  ) throws -> (groupSize: Int, rows: [Float]) {
    let array = try NumpyArray(contentsOf: path)
    try array.expectShape([groupSize, nil, d])
    let (group, count) = (array.shape[0], array.shape[1])
    guard group > 0 else {
      throw CaptureError.invalid(path: path, name: "group size", value: "0", requirement: "positive")
    }
    let floats = array.floats()
    if let place = floats.firstIndex(where: { !$0.isFinite }) {
      throw CaptureError.invalid(
        path: path, name: "element \(place)", value: "\(floats[place])", requirement: "finite")
    }
    var rows: [Float] = []
    rows.reserveCapacity(floats.count)
    for query in 0..<count {
      for h in 0..<group {
        let start = (h * count + query) * d
        for i in start..<start + d { rows.append(floats[i] * scale) }
      }
    }
    return (group, rows)
  }

  private static func positions(_ path: String, count: Int, of queries: String, tokens: Int) throws -> [Int] {
    let array = try NumpyArray(contentsOf: path)
    try array.expectShape([count])
    let positions = try array.int32s().map { Int($0) }
    for position in positions where !(0...tokens).contains(position) {
      throw CaptureError.invalid(
        path: path, name: "a position", value: "\(position)",
        requirement: "that of one of the \(tokens) tokens, or the next")
    }
    return positions
  }
}
