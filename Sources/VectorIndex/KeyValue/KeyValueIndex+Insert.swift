// Adding rows, and taking some away.

import AttentionKernels

extension KeyValueIndex {
  /// Adds rows of f16, as their bits.
  ///
  /// - Parameters:
  ///   - keys: `[rows, dimension]`; `values` alike.
  ///   - trainingQueries: `[queries, dimension]`, scaled; what the index learns from. A hundred are enough, none are
  ///     possible. Their exact attention to all rows is computed here. The last ones that were given are kept, for
  ///     ``remove(ids:)``.
  ///   - groupSize: query heads that the training queries come from in turn.
  /// - Returns: the ids of the new rows, in their order.
  /// - Throws: ``KeyValueIndexError`` for sizes that do not fit together, and for elements that are not finite.
  @discardableResult
  public func insert(
    keys: Span<UInt16>, values: Span<UInt16>, trainingQueries: Span<Float>, groupSize: Int = 1
  ) throws(KeyValueIndexError) -> Range<UInt32> {
    try insert(
      RowBuffer(copying: keys), RowBuffer(copying: values), trainingQueries, groupSize: groupSize)
  }

  /// Adds rows of f32, which are rounded to f16; magnitudes of 65520 and more are refused as not finite. Otherwise as
  /// with rows of f16.
  @discardableResult
  public func insert(
    keys: Span<Float>, values: Span<Float>, trainingQueries: Span<Float>, groupSize: Int = 1
  ) throws(KeyValueIndexError) -> Range<UInt32> {
    try insert(
      RowBuffer(rounding: keys, workspace.kernels), RowBuffer(rounding: values, workspace.kernels),
      trainingQueries, groupSize: groupSize)
  }

  #if !(os(macOS) && arch(x86_64))
    /// Adds rows of f16. Otherwise as with their bits.
    @discardableResult
    public func insert(
      keys: Span<Float16>, values: Span<Float16>, trainingQueries: Span<Float>, groupSize: Int = 1
    ) throws(KeyValueIndexError) -> Range<UInt32> {
      try insert(
        RowBuffer(bitsOf: keys), RowBuffer(bitsOf: values), trainingQueries, groupSize: groupSize)
    }
  #endif

  private func insert(
    _ newKeys: consuming RowBuffer<UInt16>, _ newValues: consuming RowBuffer<UInt16>,
    _ trainingQueries: Span<Float>, groupSize: Int
  ) throws(KeyValueIndexError) -> Range<UInt32> {
    let added = try rowCount("keys", newKeys.count)
    guard newValues.count == newKeys.count else {
      throw .mismatch(name: "elements of values", expected: newKeys.count, actual: newValues.count)
    }
    guard groupSize > 0 else { throw .invalidCount(name: "groupSize", value: groupSize) }
    let queryCount = try rowCount("training queries", trainingQueries.count)
    guard queryCount % groupSize == 0 else {
      throw .mismatch(
        name: "training queries modulo group size", expected: 0, actual: queryCount % groupSize)
    }
    let (total, limit) = (Int(rows.nextID) + added, Int(UInt32.max))
    guard total <= limit else { throw .tooManyRows(count: total, limit: limit) }
    if let element = newKeys.firstNotFinite { throw .notFinite(name: "keys", element: element) }
    if let element = newValues.firstNotFinite { throw .notFinite(name: "values", element: element) }
    try requireFinite("training queries", trainingQueries)

    let first = rows.nextID
    guard added > 0 else { return first..<first }
    rows.keys.append(contentsOf: newKeys)
    rows.values.append(contentsOf: newValues)
    for i in 0..<added { rows.ids.append(first + UInt32(i)) }
    rows.nextID += UInt32(added)
    rows.ends.append(UInt32(core.rowCount + added))
    let training = RowBuffer(copying: trainingQueries)
    index(added, training: training, groupSize: groupSize)
    if queryCount > 0 {
      rows.training = training
      rows.groupSize = groupSize
    }
    return first..<rows.nextID
  }

  /// Puts the next rows of the store into the index.
  private func index(_ added: Int, training: borrowing RowBuffer<Float>, groupSize: Int) {
    let d = core.dimension
    let all = rows.view(count: core.rowCount + added, dimension: d)
    let queryCount = training.count / d
    var states = SoftmaxMemory(count: queryCount, dimension: d)
    let group = unsafe QueryGroup(queries: training.base, count: queryCount)
    states.attend(group, to: all, kernels: workspace.kernels)
    unsafe core.insert(
      rows.newRows(from: core.rowCount, count: added, dimension: d), all: all,
      training: TrainingQueries(
        queries: group.queries, outputs: states.outputs.base, logSumExps: states.logSumExps.base,
        count: queryCount, groupSize: groupSize), workspace: workspace)
  }

  /// Removes rows for good: nothing of them remains, neither in answers nor in what the index learned.
  ///
  /// The index is built anew of the others, insertion by insertion, with the last training queries. So this costs as
  /// much as inserting them did: remove many rows in one call.
  ///
  /// - Parameter ids: in any order; an id that occurs twice counts once.
  /// - Throws: ``KeyValueIndexError/noSuchRow(id:)`` for an id that no row has, and then no row is removed.
  public func remove(ids: some Sequence<UInt32>) throws(KeyValueIndexError) {
    let removed = Set(ids)
    guard !removed.isEmpty else { return }
    var missing = removed
    for row in 0..<count { missing.remove(rows.ids[row]) }
    if let id = missing.min() { throw .noSuchRow(id: id) }
    rows = rows.filtered(dimension: core.dimension) { !removed.contains($0) }
    core.removeAll()
    let training = RowBuffer(copying: rows.training)
    for insertion in 1..<rows.ends.count {
      index(
        Int(rows.ends[insertion] - rows.ends[insertion - 1]), training: training, groupSize: rows.groupSize)
    }
  }
}

extension RowBuffer {
  /// A copy.
  init(copying elements: Span<Element>) {
    self.init(capacity: elements.count)
    append(contentsOf: elements)
  }

  /// A copy in memory of its own.
  init(copying elements: borrowing RowBuffer<Element>) {
    self.init(capacity: elements.count)
    append(contentsOf: elements)
  }

  mutating func append(contentsOf elements: borrowing RowBuffer<Element>) {
    unsafe grow(by: elements.count).update(from: elements.base, count: elements.count)
  }
}

extension RowBuffer where Element == UInt16 {
  /// Floats as f16: what is too large for it becomes infinity.
  fileprivate init(rounding elements: Span<Float>, _ kernels: Kernels) {
    self.init(capacity: elements.count)
    let target = unsafe grow(by: elements.count)
    unsafe elements.withUnsafeBufferPointer { elements in
      guard let source = elements.baseAddress else { return }
      unsafe kernels.unsafeConvertToFloat16(source, target, count: elements.count)
    }
  }

  #if !(os(macOS) && arch(x86_64))
    fileprivate init(bitsOf elements: Span<Float16>) {
      self.init(capacity: elements.count)
      for i in 0..<elements.count { append(elements[i].bitPattern) }
    }
  #endif

  /// The first f16 that is infinite or no number.
  fileprivate var firstNotFinite: Int? { (0..<count).first { unsafe base[$0] & 0x7C00 == 0x7C00 } }
}
