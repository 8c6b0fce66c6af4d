// Reading .npy files. Nothing in a file is believed before it is checked against the file's length.

public import Foundation

/// An array of a `.npy` file (versions 1.0 to 3.0), in C order and this machine's byte order whatever the file's are.
///
///     let keys = try NumpyArray(contentsOf: "keys.npy")
///     let [tokens, width] = keys.shape
///     let bits = keys.float16Bits()
///
/// The file is mapped; memory is used for what is asked of it. Format:
/// <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>
public struct NumpyArray: Sendable {
  /// Lengths of the dimensions, slowest first; empty for a single number.
  public let shape: [Int]
  /// As the file has them.
  public let elementType: NumpyElementType
  /// The file, for messages.
  public let path: String
  private let bytes: Data
  /// The elements stand in Fortran order, and there is more than one order.
  private let isTransposed: Bool
  private let isBigEndian: Bool

  /// numpy's own limit since 2.0.
  public static let maximumDimensions = 64

  /// Maps the file at `path`.
  ///
  /// - Throws: ``NumpyError``
  public init(contentsOf path: String) throws(NumpyError) {
    let data: Data
    do {
      data = try Data(contentsOf: URL(fileURLWithPath: path), options: .alwaysMapped)
    } catch {
      throw NumpyError(path: path, .unreadable(error.localizedDescription))
    }
    try self.init(data, path: path)
  }

  /// Reads a file's bytes.
  ///
  /// - Parameter path: what messages call it.
  /// - Throws: ``NumpyError``
  public init(_ data: Data, path: String = "") throws(NumpyError) {
    func failure(_ reason: NumpyError.Reason) -> NumpyError { NumpyError(path: path, reason) }
    let header: NumpyHeader
    let headerCount: Int
    do {
      (header, headerCount) = try NumpyHeader.read(data)
    } catch {
      throw failure(error.reason)
    }
    guard header.shape.count <= Self.maximumDimensions else {
      throw failure(.tooManyDimensions(header.shape.count))
    }
    // A dimension of 0 makes an empty array of any shape, but never a wrong product of the others.
    var expected = header.elementType.byteCount
    for length in header.shape {
      let (product, overflow) = expected.multipliedReportingOverflow(by: max(length, 1))
      guard !overflow else { throw failure(.shapeTooLarge(header.shape)) }
      expected = product
    }
    if header.shape.contains(0) { expected = 0 }
    guard data.count - headerCount == expected else {
      throw failure(.wrongLength(expected: expected, actual: data.count - headerCount))
    }
    shape = header.shape
    elementType = header.elementType
    self.path = path
    bytes = data.dropFirst(headerCount)
    isTransposed = header.isFortranOrder && header.shape.count { $0 > 1 } > 1
    isBigEndian = header.isBigEndian
  }

  /// Number of elements.
  public var count: Int { bytes.count / elementType.byteCount }

  /// Throws ``NumpyError/Reason/wrongShape(actual:expected:)`` unless the shape is this one; nil stands for any
  /// length.
  public func expectShape(_ expected: [Int?]) throws(NumpyError) {
    let fits = shape.count == expected.count && zip(shape, expected).allSatisfy { $1 == nil || $0 == $1 }
    guard fits else {
      let text = expected.map { $0.map { "\($0)" } ?? "*" }.joined(separator: ", ")
      throw NumpyError(path: path, .wrongShape(actual: shape, expected: "[\(text)]"))
    }
  }

  /// The elements, rounded to f32.
  public func floats() -> [Float] {
    elementType == .float32 ? raw(Float.self) : converted { Float($0) }
  }

  /// The elements as bits of f16, to nearest even; infinity beyond 65,504.
  public func float16Bits() -> [UInt16] {
    elementType == .float16 ? raw(UInt16.self) : converted { Half.bits($0) }
  }

  /// The elements as integers.
  ///
  /// - Throws: ``NumpyError/Reason/notRepresentable(_:index:)``
  public func int32s() throws(NumpyError) -> [Int32] {
    if elementType == .int32 { return raw(Int32.self) }
    var result: [Int32] = []
    result.reserveCapacity(count)
    for (index, value) in converted({ $0 }).enumerated() {
      guard let integer = Int32(exactly: value) else {
        throw NumpyError(path: path, .notRepresentable(value, index: index))
      }
      result.append(integer)
    }
    return result
  }

  private func converted<Result>(_ convert: (Double) -> Result) -> [Result] {
    switch elementType {
    case .float16: raw(UInt16.self).map { convert(Half.double($0)) }
    case .float32: raw(Float.self).map { convert(Double($0)) }
    case .float64: raw(Double.self).map { convert($0) }
    case .int8: raw(Int8.self).map { convert(Double($0)) }
    case .int16: raw(Int16.self).map { convert(Double($0)) }
    case .int32: raw(Int32.self).map { convert(Double($0)) }
    case .int64: raw(Int64.self).map { convert(Double($0)) }
    case .uint8, .bool: raw(UInt8.self).map { convert(Double($0)) }
    case .uint16: raw(UInt16.self).map { convert(Double($0)) }
    case .uint32: raw(UInt32.self).map { convert(Double($0)) }
    case .uint64: raw(UInt64.self).map { convert(Double($0)) }
    }
  }

  /// The elements in C order. The machine is little-endian, as all that Swift runs on here are.
  private func raw<Element: BitwiseCopyable>(_ type: Element.Type) -> [Element] {
    let stored = unsafe [Element](unsafeUninitializedCapacity: count) { target, initialized in
      let width = MemoryLayout<Element>.size
      initialized = unsafe bytes.copyBytes(to: target) / width
      guard isBigEndian else { return }
      unsafe target.withMemoryRebound(to: UInt8.self) { copy in
        for start in Swift.stride(from: 0, to: initialized * width, by: width) {
          unsafe copy[start..<start + width].reverse()
        }
      }
    }
    guard isTransposed else { return stored }
    var strides: [Int] = []
    var stride = 1
    for length in shape {
      strides.append(stride)
      stride *= length
    }
    // Counts through the shape in C order; `place` follows in Fortran order.
    var indices = [Int](repeating: 0, count: shape.count)
    var place = 0
    return stored.indices.map { _ in
      defer {
        var axis = shape.count - 1
        while axis >= 0 {
          indices[axis] += 1
          place += strides[axis]
          if indices[axis] < shape[axis] { break }
          place -= shape[axis] * strides[axis]
          indices[axis] = 0
          axis -= 1
        }
      }
      return stored[place]
    }
  }
}
