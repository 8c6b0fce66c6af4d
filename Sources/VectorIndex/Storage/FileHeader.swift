// The checks of a header. Nothing in the file is believed before the checksum, and no count is used as one before
// it has been compared with the size of the file.

import Platform

/// The first bytes of a mapped file of at least 64 bytes.
struct FileHeader {
  let path: String
  /// The whole file.
  let bytes: ByteReader

  /// A little-endian number of the fixed part or, after ``checkFixedPart()``, of the tables.
  func number<Number: FixedWidthInteger>(at offset: Int) -> Number {
    bytes.integer(at: offset)
  }

  private var sectionCount: Int { Int(number(at: 32) as UInt32) }
  private var parameterCount: Int { Int(number(at: 36) as UInt32) }

  /// Bytes of the fixed part and the tables. Counts of 32 bits cannot make it overflow.
  var size: Int {
    FileLayout.fixedHeader + sectionCount * FileLayout.sectionEntry + parameterCount
      * FileLayout.parameterEntry
  }

  func checkFixedPart() throws(IndexFileError) {
    guard unsafe bytes.bytes.starts(with: FileLayout.magic) else { throw .notAnIndexFile(path: path) }
    // Before the checksum, which a later version may compute in another way.
    let version: UInt32 = number(at: 8)
    guard version == FileLayout.formatVersion else {
      throw .unsupportedVersion(path: path, expected: FileLayout.formatVersion, actual: version)
    }
    for (name, count) in [("section count", sectionCount), ("parameter count", parameterCount)] {
      _ = try integer(UInt64(count), name, in: 0...FileLayout.maximumEntries)
    }
    guard size <= bytes.byteCount else {
      throw .wrongSize(path: path, expected: UInt64(size), actual: UInt64(bytes.byteCount))
    }
    let expected: UInt32 = number(at: FileLayout.checksumOffset)
    let actual = CRC32C.headerChecksum(of: bytes.first(size))
    guard actual == expected else {
      throw .wrongChecksum(path: path, section: "header", expected: expected, actual: actual)
    }
    let fileSize: UInt64 = number(at: 40)
    guard fileSize == UInt64(bytes.byteCount) else {
      throw .wrongSize(path: path, expected: fileSize, actual: UInt64(bytes.byteCount))
    }
    let reserved: UInt64 = number(at: 48)
    let alsoReserved: UInt32 = number(at: 56)
    guard reserved == 0, alsoReserved == 0 else {
      throw .invalidField(
        path: path, name: "reserved bytes", expected: "0", actual: "\(reserved), \(alsoReserved)")
    }
  }

  func integer(
    _ value: UInt64, _ name: String, in range: ClosedRange<Int>
  ) throws(IndexFileError) -> Int {
    guard let number = Int(exactly: value), range.contains(number) else {
      throw .invalidField(
        path: path, name: name, expected: "\(range.lowerBound) to \(range.upperBound)", actual: String(value))
    }
    return number
  }

  /// The table of sections. Each section starts at the first aligned offset after the one before it, and the last
  /// ends where the file does: a file has one valid layout, so nothing can overlap or be left over.
  func sections() throws(IndexFileError) -> [IndexFileReader.Section] {
    var sections: [IndexFileReader.Section] = []
    var end = UInt64(size)
    for i in 0..<sectionCount {
      let entry = FileLayout.fixedHeader + i * FileLayout.sectionEntry
      let tag = FileTag(code: number(at: entry))
      guard !sections.contains(where: { $0.tag == tag }) else {
        throw .duplicateName(path: path, name: tag.description)
      }
      let elementSize = try integer(
        UInt64(number(at: entry + 4) as UInt32), "element size of \(tag)", in: 1...FileLayout.alignment)
      let count = try integer(number(at: entry + 8), "element count of \(tag)", in: 0...Int.max)
      let offset: UInt64 = number(at: entry + 16)
      guard let expected = FileLayout.aligned(end), offset == expected else {
        throw .misplacedSection(
          path: path, section: tag.description, expected: FileLayout.aligned(end) ?? .max, actual: offset)
      }
      let (size, tooLarge) = UInt64(count).multipliedReportingOverflow(by: UInt64(elementSize))
      let (sectionEnd, tooFar) = offset.addingReportingOverflow(size)
      guard !tooLarge, !tooFar, sectionEnd <= UInt64(bytes.byteCount) else {
        throw .wrongSize(
          path: path, expected: tooLarge || tooFar ? .max : sectionEnd, actual: UInt64(bytes.byteCount))
      }
      _ = try integer(UInt64(number(at: entry + 28) as UInt32), "reserved bytes of \(tag)", in: 0...0)
      // Sizes and offsets are at most the file's size, which is an Int.
      sections.append(
        .init(
          tag: tag, elementSize: elementSize, count: count, offset: Int(offset),
          checksum: number(at: entry + 24)))
      end = sectionEnd
    }
    guard end == UInt64(bytes.byteCount) else {
      throw .wrongSize(path: path, expected: end, actual: UInt64(bytes.byteCount))
    }
    return sections
  }

  func parameters() throws(IndexFileError) -> [FileTag: IndexFileReader.Parameter] {
    var parameters: [FileTag: IndexFileReader.Parameter] = [:]
    let table = FileLayout.fixedHeader + sectionCount * FileLayout.sectionEntry
    for i in 0..<parameterCount {
      let entry = table + i * FileLayout.parameterEntry
      let tag = FileTag(code: number(at: entry))
      let parameter = IndexFileReader.Parameter(type: number(at: entry + 4), bits: number(at: entry + 8))
      guard parameters.updateValue(parameter, forKey: tag) == nil else {
        throw .duplicateName(path: path, name: tag.description)
      }
    }
    return parameters
  }
}
