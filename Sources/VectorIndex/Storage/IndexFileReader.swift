// Reading: a mapped file whose header has been checked, so that what it promises is there.

import Platform

/// An index file, mapped. The header, its tables, the places of the sections and the size of the file are known to
/// be right; what the sections hold is checked by whoever takes them, or all at once by ``verify()``.
@safe package struct IndexFileReader {
  struct Section {
    var tag: FileTag
    var elementSize: Int
    var count: Int
    var offset: Int
    var checksum: UInt32
    var byteCount: Int { count * elementSize }
  }

  struct Parameter {
    var type: UInt32
    var bits: UInt64
  }

  package let path: String
  package let kind: FileTag
  package let kindVersion: UInt32
  /// 1 to 65536.
  package let dimension: Int
  /// Below 2^32, since rows are numbered with 32 bits.
  package let rowCount: Int
  private let bytes: UnsafeMutableRawBufferPointer
  /// Keeps `bytes` alive.
  private let owner: AnyObject
  private let headerSize: Int
  private let sections: [Section]
  private let parameters: [FileTag: Parameter]

  /// Maps a file and checks its header. Errors call it `name`, if that is given.
  package init(path file: String, name: String? = nil) throws(IndexFileError) {
    let mapping: FileMapping
    do {
      mapping = try FileMapping(path: file, minimum: FileLayout.fixedHeader, isWatched: false)
    } catch {
      switch error {
      case .system(let operation, let code): throw .system(operation: operation, path: file, code: code)
      case .isDirectory, .notARegularFile: throw .notARegularFile(path: file)
      case .tooSmall(let count):
        throw .wrongSize(path: file, expected: UInt64(FileLayout.fixedHeader), actual: UInt64(count))
      }
    }
    unsafe try self.init(bytes: mapping.bytes, owner: mapping, name: name ?? file)
  }

  /// Takes the bytes of a whole index file that lie in a larger one, in private writable memory that starts at a
  /// multiple of 64 and lives as long as `owner`. Errors call it `name`.
  package init(
    bytes: UnsafeMutableRawBufferPointer, owner: AnyObject, name: String
  ) throws(IndexFileError) {
    let path = name
    guard bytes.count >= FileLayout.fixedHeader else {
      throw .wrongSize(
        path: path, expected: UInt64(FileLayout.fixedHeader), actual: UInt64(bytes.count))
    }
    let header = unsafe FileHeader(path: path, bytes: ByteReader(UnsafeRawBufferPointer(bytes)))
    try header.checkFixedPart()
    self.path = path
    unsafe self.bytes = bytes
    self.owner = owner
    kind = FileTag(code: header.number(at: 12))
    kindVersion = header.number(at: 16)
    dimension = try header.integer(
      UInt64(header.number(at: 20) as UInt32), "dimension", in: 1...FileLayout.maximumDimension)
    rowCount = try header.integer(header.number(at: 24), "row count", in: 0...Int(UInt32.max))
    headerSize = header.size
    sections = try header.sections()
    parameters = try header.parameters()
  }

  /// Checks the sections against their checksums and the bytes between them. Cost: one pass over the file.
  package func verify() throws(IndexFileError) {
    var end = headerSize
    for section in sections {
      for offset in end..<section.offset where unsafe bytes[offset] != 0 {
        throw unsafe .invalidPadding(path: path, offset: offset, actual: bytes[offset])
      }
      end = section.offset + section.byteCount
      let actual = unsafe CRC32C.checksum(of: UnsafeRawBufferPointer(rebasing: bytes[section.offset..<end]))
      guard actual == section.checksum else {
        throw .wrongChecksum(
          path: path, section: section.tag.description, expected: section.checksum, actual: actual)
      }
    }
  }

  /// The section's elements, in the mapped file until the buffer grows.
  ///
  /// - Parameter count: how many there must be.
  package func rows<Element: BitwiseCopyable>(
    _ tag: FileTag, of type: Element.Type = Element.self, count: Int
  ) throws(IndexFileError) -> RowBuffer<Element> {
    guard let section = sections.first(where: { $0.tag == tag }) else {
      throw .missingSection(path: path, section: tag.description)
    }
    guard section.elementSize == MemoryLayout<Element>.stride else {
      throw .wrongElementSize(
        path: path, section: tag.description, expected: MemoryLayout<Element>.stride,
        actual: section.elementSize)
    }
    guard section.count == count else {
      throw .wrongCount(path: path, section: tag.description, expected: count, actual: section.count)
    }
    // A mapping starts at a page, and sections lie at multiples of 64 bytes.
    guard count > 0, let base = unsafe bytes.baseAddress else { return RowBuffer() }
    return unsafe RowBuffer(
      unsafeBorrowing: (base + section.offset).bindMemory(to: Element.self, capacity: count), count: count,
      owner: owner)
  }

  /// Offsets that start at 0, never fall and end at `last`, in memory of their own: ranges between them stay right
  /// whatever happens to the file.
  package func offsets(_ tag: FileTag, count: Int, last: Int) throws(IndexFileError) -> RowBuffer<UInt32> {
    let mapped = try rows(tag, of: UInt32.self, count: count)
    try requireOffsets(mapped, tag, last: last)
    var result = RowBuffer<UInt32>()
    unsafe result.grow(by: count).update(from: mapped.base, count: count)
    return result
  }

  /// The section's elements in an array of their own.
  package func array<Element: BitwiseCopyable>(
    _ tag: FileTag, of type: Element.Type = Element.self, count: Int
  ) throws(IndexFileError) -> [Element] {
    let rows = try rows(tag, of: Element.self, count: count)
    return unsafe Array(UnsafeBufferPointer(start: rows.base, count: rows.count))
  }

  /// Whether a field is there that may be left out.
  package func hasParameter(_ tag: FileTag) -> Bool { parameters[tag] != nil }

  package func integer(_ tag: FileTag, in range: ClosedRange<Int>) throws(IndexFileError) -> Int {
    let value = Int(Int64(bitPattern: try bits(tag, .integer)))
    guard range.contains(value) else {
      throw .invalidField(
        path: path, name: tag.description, expected: "\(range.lowerBound) to \(range.upperBound)",
        actual: String(value))
    }
    return value
  }

  package func unsigned(_ tag: FileTag) throws(IndexFileError) -> UInt64 {
    try bits(tag, .unsigned)
  }

  package func float(_ tag: FileTag) throws(IndexFileError) -> Float {
    let value = Float(bitPattern: UInt32(truncatingIfNeeded: try bits(tag, .float)))
    guard !value.isNaN else {
      throw .invalidField(path: path, name: tag.description, expected: "a number", actual: "\(value)")
    }
    return value
  }

  private func bits(_ tag: FileTag, _ type: ParameterType) throws(IndexFileError) -> UInt64 {
    guard let parameter = parameters[tag] else {
      throw .missingParameter(path: path, name: tag.description)
    }
    guard parameter.type == type.rawValue else {
      throw .invalidField(
        path: path, name: "type of \(tag)", expected: String(type.rawValue), actual: String(parameter.type))
    }
    return parameter.bits
  }
}

// Checks that several kinds need of the elements of a section.
extension IndexFileReader {
  /// `offsets` start at 0, never fall and end at `last`, so that each range between two of them can be read.
  package func requireOffsets(
    _ offsets: borrowing RowBuffer<UInt32>, _ tag: FileTag, last: Int
  ) throws(IndexFileError) {
    var lowest: UInt32 = 0
    for i in 0..<offsets.count {
      let offset = unsafe offsets.base[i]
      guard offset >= lowest, offset <= last, i > 0 || offset == 0, i < offsets.count - 1 || offset == last
      else {
        let expected = i == 0 ? "0" : i == offsets.count - 1 ? "\(last)" : "\(lowest) to \(last)"
        throw .invalidElement(
          path: path, section: tag.description, index: i, expected: expected, actual: String(offset))
      }
      lowest = offset
    }
  }

  /// Every id is below `limit`, a row count for one.
  package func requireIDs(
    _ ids: borrowing RowBuffer<UInt32>, _ tag: FileTag, below limit: Int
  ) throws(IndexFileError) {
    for i in 0..<ids.count where unsafe ids.base[i] >= limit {
      throw .invalidElement(
        path: path, section: tag.description, index: i, expected: "below \(limit)",
        actual: unsafe String(ids.base[i]))
    }
  }

  /// `ids` are the numbers below their count, each once.
  package func requirePermutation(_ ids: [UInt32], _ tag: FileTag) throws(IndexFileError) {
    var isTaken = [Bool](repeating: false, count: ids.count)
    for (i, id) in ids.enumerated() {
      guard id < ids.count, !isTaken[Int(id)] else {
        throw .invalidElement(
          path: path, section: tag.description, index: i, expected: "another number below \(ids.count)",
          actual: String(id))
      }
      isTaken[Int(id)] = true
    }
  }

  /// No element is a not-a-number. Infinities pass: statistics of keys without bounds may be infinite.
  package func requireNumbers(
    _ values: borrowing RowBuffer<Float>, _ tag: FileTag
  ) throws(IndexFileError) {
    for i in 0..<values.count where unsafe values.base[i].isNaN {
      throw .invalidElement(
        path: path, section: tag.description, index: i, expected: "a number",
        actual: unsafe "\(values.base[i])")
    }
  }

  /// No element is a not-a-number or infinite: factors, which make a number of no zero.
  package func requireFinite(
    _ values: borrowing RowBuffer<Float>, _ tag: FileTag
  ) throws(IndexFileError) {
    for i in 0..<values.count where unsafe !values.base[i].isFinite {
      throw .invalidElement(
        path: path, section: tag.description, index: i, expected: "a finite number",
        actual: unsafe "\(values.base[i])")
    }
  }
}
