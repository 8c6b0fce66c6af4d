// What kernels work on, as views of the caller's memory: they own nothing, and nothing about them is checked.
//
// Making one of an address is unsafe: whoever does says that the memory has this shape, and has it for as long as the
// view or a copy is used. To hold, to cut and to ask one is safe. Reading through it is not, and marked wherever it is
// done: a kernel does not compare the shapes of what it is given.

internal import CAttentionKernels

/// f32 rows `[count, dimension]`. Row `i` starts `i * stride` elements behind the first.
@safe package struct FloatRows {
  package var base: UnsafePointer<Float>
  package var count: Int
  package var dimension: Int
  package var stride: Int

  /// - Parameter stride: that of rows without gaps for nil.
  package init(_ base: UnsafePointer<Float>, count: Int, dimension: Int, stride: Int? = nil) {
    unsafe self.base = base
    self.count = count
    self.dimension = dimension
    self.stride = stride ?? dimension
  }

  package subscript(row: Int) -> UnsafePointer<Float> { unsafe base + row * stride }

  var rows: ak_rows_f32 { unsafe ak_rows_f32(data: base, stride: stride) }
}

/// An f32 matrix `[rows, columns]`, or the transpose of one: element `[i, j]` is
/// `base[i * rowStride + j * columnStride]`.
@safe package struct FloatMatrix {
  package var base: UnsafePointer<Float>
  package var rows: Int
  package var columns: Int
  /// Elements.
  package var rowStride: Int
  /// Elements.
  package var columnStride = 1

  /// A row-major matrix.
  ///
  /// - Parameter stride: elements from row to row; those of rows without gaps for nil.
  package init(_ base: UnsafePointer<Float>, rows: Int, columns: Int, stride: Int? = nil) {
    unsafe self.base = base
    self.rows = rows
    self.columns = columns
    rowStride = stride ?? columns
  }

  /// The transpose `[columns, rows]`, in the same memory.
  package var transposed: FloatMatrix {
    var result = self
    (result.rows, result.columns) = (columns, rows)
    (result.rowStride, result.columnStride) = (columnStride, rowStride)
    return result
  }
}

/// Keys and values of the same rows, in formats and with strides of their own.
package struct KeyValueRows {
  package var keys: PackedRows
  package var values: PackedRows

  package init(keys: PackedRows, values: PackedRows) {
    self.keys = keys
    self.values = values
  }

  /// The rows from number `row` on.
  package func from(_ row: Int) -> KeyValueRows {
    KeyValueRows(keys: keys.from(row), values: values.from(row))
  }
}

/// Which rows a kernel reads, and how many.
@safe package struct RowSelection {
  /// `[count]`: numbers of rows, or nil for the first ones.
  package var indices: UnsafePointer<UInt32>?
  package var count: Int

  /// The first `count` rows.
  package static func first(_ count: Int) -> RowSelection { unsafe RowSelection(indices: nil, count: count) }

  /// The rows of `count` numbers, in their order.
  package static func listed(_ indices: UnsafePointer<UInt32>, count: Int) -> RowSelection {
    unsafe RowSelection(indices: indices, count: count)
  }
}

/// Which of some keys each query of a prompt sees: `begins[r] ..< ends[r]`, clamped to their count; may be empty.
@safe package struct VisibleKeys {
  /// `[queries]`.
  package var begins: UnsafePointer<UInt32>
  /// `[queries]`.
  package var ends: UnsafePointer<UInt32>
  /// The keys, which `begins` and `ends` count.
  package var selection: RowSelection
  /// `[selection.count]`: added to all scores of each key, if given.
  package var biases: UnsafePointer<Float>?

  /// Keys of a selection.
  package init(
    begins: UnsafePointer<UInt32>, ends: UnsafePointer<UInt32>, of selection: RowSelection,
    biases: UnsafePointer<Float>? = nil
  ) {
    unsafe self.begins = begins
    unsafe self.ends = ends
    self.selection = selection
    unsafe self.biases = biases
  }

  /// The first `keyCount` keys.
  package init(begins: UnsafePointer<UInt32>, ends: UnsafePointer<UInt32>, keyCount: Int) {
    unsafe self.init(begins: begins, ends: ends, of: .first(keyCount))
  }
}
