/// Rows of equal length in a flat buffer: row `i` is the `dimension` elements from `i * stride`.
///
///     let keys = try RowShape(count: 4096, dimension: 64, stride: 192)  // one of three interleaved heads
///
/// A shape that exists is valid: its rows do not overlap and its elements can be counted.
public struct RowShape: Hashable, Sendable {
  public let count: Int
  public let dimension: Int
  /// Elements from the start of a row to the start of the next.
  public let stride: Int

  /// - Parameter stride: at least `dimension`, which is also the default.
  /// - Throws: ``KernelError/invalidCount(name:value:)`` for a negative count or a dimension below 1,
  ///   ``KernelError/strideTooSmall(name:stride:dimension:)``, ``KernelError/sizeOverflow(name:count:stride:)``.
  public init(count: Int, dimension: Int, stride: Int? = nil) throws(KernelError) {
    let stride = stride ?? dimension
    guard count >= 0 else { throw .invalidCount(name: "count", value: count) }
    guard dimension >= 1 else { throw .invalidCount(name: "dimension", value: dimension) }
    guard stride >= dimension else {
      throw .strideTooSmall(name: "rows", stride: stride, dimension: dimension)
    }
    // Kernels compute byte addresses, up to four bytes an element, and one row past the end.
    let (elements, overflow) = count.multipliedReportingOverflow(by: stride)
    guard !overflow, elements <= Int.max / 4 - stride else {
      throw .sizeOverflow(name: "rows", count: count, stride: stride)
    }
    self.count = count
    self.dimension = dimension
    self.stride = stride
  }

  /// Elements from the start of the first row to the end of the last; 0 without rows.
  public var elementCount: Int { count == 0 ? 0 : (count - 1) * stride + dimension }

  func require(_ name: String, in available: Int) throws(KernelError) {
    guard elementCount <= available else {
      throw .bufferTooSmall(name: name, required: elementCount, actual: available)
    }
  }

  func require(_ name: String, dimension expected: Int) throws(KernelError) {
    guard dimension == expected else {
      throw .mismatch(name: "\(name) dimension", expected: expected, actual: dimension)
    }
  }

  func require(_ name: String, count expected: Int) throws(KernelError) {
    guard count == expected else {
      throw .mismatch(name: "\(name) count", expected: expected, actual: count)
    }
  }
}

func require(_ name: String, _ required: Int, in available: Int) throws(KernelError) {
  guard required <= available else {
    throw .bufferTooSmall(name: name, required: required, actual: available)
  }
}
