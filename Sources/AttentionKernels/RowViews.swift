// What kernels work on, as views of the caller's memory: they own nothing, and nothing about them is checked.

internal import CAttentionKernels

/// f32 rows `[count, dimension]`. Row `i` starts `i * stride` elements behind the first.
package struct FloatRows {
  package var base: UnsafePointer<Float>
  package var count: Int
  package var dimension: Int
  package var stride: Int

  /// - Parameter stride: that of rows without gaps for nil.
  package init(_ base: UnsafePointer<Float>, count: Int, dimension: Int, stride: Int? = nil) {
    self.base = base
    self.count = count
    self.dimension = dimension
    self.stride = stride ?? dimension
  }

  package subscript(row: Int) -> UnsafePointer<Float> { base + row * stride }

  var rows: ak_rows_f32 { ak_rows_f32(data: base, stride: stride) }
}

/// An f32 matrix `[rows, columns]`, or the transpose of one: element `[i, j]` is
/// `base[i * rowStride + j * columnStride]`.
package struct FloatMatrix {
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
    self.base = base
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
package struct RowSelection {
  /// `[count]`: numbers of rows, or nil for the first ones.
  package var indices: UnsafePointer<UInt32>?
  package var count: Int

  /// The first `count` rows.
  package static func first(_ count: Int) -> RowSelection { RowSelection(indices: nil, count: count) }

  /// The rows of `count` numbers, in their order.
  package static func listed(_ indices: UnsafePointer<UInt32>, count: Int) -> RowSelection {
    RowSelection(indices: indices, count: count)
  }
}

/// Which of `keyCount` keys each query of a prompt sees: `begins[r] ..< ends[r]`, clamped to `keyCount`; may be empty.
package struct VisibleKeys {
  /// `[queries]`.
  package var begins: UnsafePointer<UInt32>
  /// `[queries]`.
  package var ends: UnsafePointer<UInt32>
  package var keyCount: Int

  package init(begins: UnsafePointer<UInt32>, ends: UnsafePointer<UInt32>, keyCount: Int) {
    self.begins = begins
    self.ends = ends
    self.keyCount = keyCount
  }
}
