// Writing .npy files, as rows come.

import Foundation

/// Writes an array of a `.npy` file row by row: the shape is `[rows, ...]`.
///
///     let writer = try NumpyWriter(path: "keys.npy", elementType: .float16, rowShape: [64])
///     try writer.append(float16Bits: row)
///     try writer.close()
///
/// The header counts the rows only after ``close()``; a file that was not closed is refused by readers. One
/// owner, not thread-safe.
public final class NumpyWriter {
  /// The file.
  public let path: String
  /// Of all elements.
  public let elementType: NumpyElementType
  /// Lengths of all dimensions but the first.
  public let rowShape: [Int]
  /// Rows written so far.
  public private(set) var rowCount = 0
  private let file: FileHandle
  private let headerCount: Int
  private let rowBytes: Int

  /// Creates the file at `path`, or empties it.
  ///
  /// - Parameter rowShape: lengths of all dimensions but the first.
  /// - Throws: ``NumpyError``
  public init(path: String, elementType: NumpyElementType, rowShape: [Int]) throws(NumpyError) {
    for length in rowShape where length < 0 { throw NumpyError(path: path, .negativeLength(length)) }
    guard rowShape.count < NumpyArray.maximumDimensions else {
      throw NumpyError(path: path, .tooManyDimensions(rowShape.count + 1))
    }
    var rowBytes = elementType.byteCount
    for length in rowShape {
      let (product, overflow) = rowBytes.multipliedReportingOverflow(by: length)
      guard !overflow else { throw NumpyError(path: path, .shapeTooLarge(rowShape)) }
      rowBytes = product
    }
    self.path = path
    self.elementType = elementType
    self.rowShape = rowShape
    self.rowBytes = rowBytes
    // Room for the largest number of rows.
    headerCount = NumpyHeader(elementType: elementType, shape: [Int.max] + rowShape).bytes().count
    do {
      // Creates the file with the usual permissions, or empties it.
      try Data().write(to: URL(fileURLWithPath: path))
      file = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
    } catch {
      throw NumpyError(path: path, .unwritable(error.localizedDescription))
    }
    try write(header(rows: 0))
  }

  /// Appends one or more rows of f16, as bits.
  public func append(float16Bits values: [UInt16]) throws(NumpyError) { try append(values, .float16) }
  /// Appends one or more rows.
  public func append(_ values: [Float]) throws(NumpyError) { try append(values, .float32) }
  /// Appends one or more rows.
  public func append(_ values: [Int32]) throws(NumpyError) { try append(values, .int32) }

  /// Appends one or more rows from memory.
  package func append(bytes: UnsafeRawBufferPointer) throws(NumpyError) {
    unsafe precondition(
      rowBytes == 0 ? bytes.isEmpty : bytes.count % rowBytes == 0,
      "\(bytes.count) bytes are no whole number of rows of \(rowBytes)")
    guard rowBytes > 0 else { return }
    try unsafe write(Data(bytes))
    rowCount += bytes.count / rowBytes
  }

  /// Writes the final shape and closes the file.
  public func close() throws(NumpyError) {
    do {
      try file.seek(toOffset: 0)
      try file.write(contentsOf: header(rows: rowCount))
      try file.close()
    } catch {
      throw NumpyError(path: path, .unwritable(error.localizedDescription))
    }
  }

  private func append<Element: BitwiseCopyable>(
    _ values: [Element], _ type: NumpyElementType
  ) throws(NumpyError) {
    precondition(type == elementType, "\(type) does not go into a file of \(elementType)")
    let written = unsafe values.withUnsafeBytes { bytes in
      Result { () throws(NumpyError) in try unsafe append(bytes: bytes) }
    }
    try written.get()
  }

  private func header(rows: Int) -> Data {
    Data(NumpyHeader(elementType: elementType, shape: [rows] + rowShape).bytes(byteCount: headerCount))
  }

  private func write(_ data: Data) throws(NumpyError) {
    do {
      try file.write(contentsOf: data)
    } catch {
      throw NumpyError(path: path, .unwritable(error.localizedDescription))
    }
  }
}
