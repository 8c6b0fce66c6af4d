// Rows of floats, by their address.

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
}
