// The bytes in front of a file's elements.

import Foundation
import Platform

extension NumpyHeader {
  /// Magic, version and the length of the text in versions 2.0 and 3.0.
  private static let longestPrefix = 12

  /// Reads the header of a whole file, and tells how many bytes it has, all of which are there.
  static func read(_ file: Data) throws(NumpyHeaderError) -> (header: NumpyHeader, byteCount: Int) {
    let start = Array(file.prefix(longestPrefix))
    guard start.starts(with: magic) else { throw NumpyHeaderError(.notNumpy) }
    let lengths = unsafe start.withUnsafeBytes { bytes in
      Result { () throws(NumpyHeaderError) in
        var reader = unsafe ByteReader(bytes, from: magic.count)
        return try Self.prefix(&reader)
      }
    }
    let (prefixCount, textCount) = try lengths.get()
    let byteCount = prefixCount + textCount
    guard byteCount <= file.count else {
      throw NumpyHeaderError(.truncatedHeader(bytes: byteCount, fileBytes: file.count))
    }
    return (try parse(Array(file.prefix(byteCount)).dropFirst(prefixCount)), byteCount)
  }

  /// Reads version and length of the text, which stand behind the magic: where the text begins, and its length.
  private static func prefix(
    _ reader: inout ByteReader
  ) throws(NumpyHeaderError) -> (byteCount: Int, textCount: Int) {
    func number<Number: FixedWidthInteger>(_: Number.Type) throws(NumpyHeaderError) -> Int {
      do { return Int(try reader.integer(Number.self)) } catch { throw NumpyHeaderError(error) }
    }
    do { try reader.require(UInt64(prefixCount - magic.count)) } catch { throw NumpyHeaderError(error) }
    let (major, minor) = (try number(UInt8.self), try number(UInt8.self))
    guard (1...3).contains(major), minor == 0 else {
      throw NumpyHeaderError(.unsupportedVersion(major: major, minor: minor))
    }
    let textCount = major == 1 ? try number(UInt16.self) : try number(UInt32.self)
    return (reader.offset, textCount)
  }
}

extension NumpyHeaderError {
  /// A header that ends within its first bytes.
  fileprivate init(_ failure: ByteReader.Failure) {
    switch failure {
    case .ended(let shortage):
      self.init(.truncatedHeader(bytes: Int(clamping: shortage.end), fileBytes: shortage.byteCount))
    case .tooMany, .notText: self.init(.notNumpy)
    }
  }
}
