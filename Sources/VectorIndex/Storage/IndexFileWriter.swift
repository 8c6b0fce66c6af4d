// Writing: the index names its arrays, then everything is written beside the old file and takes its place.

import Platform

#if _endian(big)
  #error("Index files are little-endian memory as it is; here every element would have to be swapped.")
#endif

/// Collects what an index is made of; large arrays are not copied, and nothing is written before all is known.
@safe package struct IndexFileWriter {
  @safe private struct Section {
    var tag: FileTag
    var elementSize: Int
    var count: Int
    var bytes: UnsafeRawBufferPointer
    /// Keeps the memory of `bytes` if nobody else does.
    var owner: AnyObject?
  }

  private final class Copy<Element: BitwiseCopyable> {
    let rows: RowBuffer<Element>
    init(_ elements: [Element]) { rows = RowBuffer(elements) }
  }

  private struct Parameter {
    var tag: FileTag
    var type: ParameterType
    var bits: UInt64
  }

  private let kind: FileTag
  private let kindVersion: UInt32
  private let dimension: Int
  private let rowCount: Int
  private var sections: [Section] = []
  private var parameters: [Parameter] = []

  package init(kind: FileTag, kindVersion: UInt32, dimension: Int, rowCount: Int) {
    self.kind = kind
    self.kindVersion = kindVersion
    self.dimension = dimension
    self.rowCount = rowCount
  }

  package mutating func set(_ tag: FileTag, _ value: Int) {
    add(Parameter(tag: tag, type: .integer, bits: UInt64(bitPattern: Int64(value))))
  }

  package mutating func set(_ tag: FileTag, _ value: UInt64) {
    add(Parameter(tag: tag, type: .unsigned, bits: value))
  }

  package mutating func set(_ tag: FileTag, _ value: Float) {
    add(Parameter(tag: tag, type: .float, bits: UInt64(value.bitPattern)))
  }

  /// Adds an array, whose memory must stay as it is until ``write(to:)`` returns.
  @unsafe package mutating func add<Element: BitwiseCopyable>(
    _ tag: FileTag, _ rows: borrowing RowBuffer<Element>
  ) {
    unsafe add(tag, rows, owner: nil)
  }

  /// Adds a copy of a small array.
  package mutating func add<Element: BitwiseCopyable>(_ tag: FileTag, copying elements: [Element]) {
    let copy = Copy(elements)
    unsafe add(tag, copy.rows, owner: copy)
  }

  @unsafe private mutating func add<Element: BitwiseCopyable>(
    _ tag: FileTag, _ rows: borrowing RowBuffer<Element>, owner: AnyObject?
  ) {
    precondition(!sections.contains { $0.tag == tag }, "the section \(tag) is there already")
    precondition(sections.count < FileLayout.maximumEntries, "too many sections")
    unsafe sections.append(
      Section(
        tag: tag, elementSize: MemoryLayout<Element>.stride, count: rows.count,
        bytes: UnsafeRawBufferPointer(start: rows.base, count: rows.byteCount), owner: owner))
  }

  private mutating func add(_ parameter: Parameter) {
    precondition(!parameters.contains { $0.tag == parameter.tag }, "\(parameter.tag) is there already")
    precondition(parameters.count < FileLayout.maximumEntries, "too many parameters")
    parameters.append(parameter)
  }

  /// Writes a file beside `path` and renames it to `path` once it is complete and on the disk.
  ///
  /// After an error the file at `path` is what it was, and no other file is left. A link at `path` is replaced, not
  /// followed.
  /// - Parameter check: is given the complete file before it takes its place, and may refuse it.
  package func write(
    to path: String, check: (IndexFileReader) throws(IndexFileError) -> Void = { _ in }
  ) throws(IndexFileError) {
    guard 1...FileLayout.maximumDimension ~= dimension else {
      throw .invalidField(
        path: path, name: "dimension", expected: "1 to \(FileLayout.maximumDimension)",
        actual: String(dimension))
    }
    // The name is cut at a zero by the system.
    guard !path.utf8.contains(0) else { throw .system(operation: "open", path: path, code: EINVAL) }
    let temporary = "\(path).\(String(UInt64.random(in: 0 ... .max), radix: 36)).tmp"
    let descriptor = unsafe open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else { throw .system(operation: "open", path: temporary, code: errno) }
    do throws(IndexFileError) {
      do throws(IndexFileError) {
        try writeContents(to: descriptor, path: temporary)
        guard fsync(descriptor) == 0 else {
          throw .system(operation: "fsync", path: temporary, code: errno)
        }
      } catch {
        close(descriptor)
        throw error
      }
      guard close(descriptor) == 0 else { throw .system(operation: "close", path: temporary, code: errno) }
      try check(IndexFileReader(path: temporary, name: path))
      guard unsafe rename(temporary, path) == 0 else {
        throw .system(operation: "rename", path: path, code: errno)
      }
    } catch {
      unsafe unlink(temporary)
      throw error
    }
    syncDirectory(of: path)
  }

  /// Makes the new name survive a loss of power. The file is in place whether or not this succeeds, and some file
  /// systems cannot do it, so its errors are none.
  private func syncDirectory(of path: String) {
    let end = path.utf8.lastIndex(of: UInt8(ascii: "/"))
    let directory = end.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
    let descriptor = unsafe open(directory, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return }
    fsync(descriptor)
    close(descriptor)
  }

  private func writeContents(to descriptor: Int32, path: String) throws(IndexFileError) {
    try unsafe forEachPart { (bytes) throws(IndexFileError) in
      try unsafe Self.write(bytes, to: descriptor, path: path)
    }
  }

  /// Hands out the bytes of the file from start to end, for a writer that puts them into a larger file.
  package func forEachPart<Failure: Error>(
    _ body: (UnsafeRawBufferPointer) throws(Failure) -> Void
  ) throws(Failure) {
    let (header, offsets) = makeHeader()
    func emit(_ bytes: [UInt8]) throws(Failure) {
      try unsafe bytes.withUnsafeBufferPointer { (bytes) throws(Failure) in
        try unsafe body(UnsafeRawBufferPointer(bytes))
      }
    }
    try emit(header)
    var position = header.count
    for (section, offset) in zip(sections, offsets) {
      try emit([UInt8](repeating: 0, count: offset - position))
      try unsafe body(section.bytes)
      position = unsafe offset + section.bytes.count
    }
  }

  /// Bytes of the whole file.
  package var byteCount: Int { layout.end }

  /// Where each section starts, and where the file ends.
  private var layout: (offsets: [Int], end: Int) {
    var offsets: [Int] = []
    var end =
      FileLayout.fixedHeader + sections.count * FileLayout.sectionEntry + parameters.count
      * FileLayout.parameterEntry
    for section in sections {
      let alignment = FileLayout.alignment
      offsets.append((end + alignment - 1) / alignment * alignment)
      end = unsafe offsets[offsets.count - 1] + section.bytes.count
    }
    return (offsets, end)
  }

  /// The header's bytes, and where each section starts.
  private func makeHeader() -> (bytes: [UInt8], offsets: [Int]) {
    let (offsets, end) = layout
    var bytes = FileLayout.magic
    bytes.append(FileLayout.formatVersion)
    bytes.append(kind.code)
    bytes.append(kindVersion)
    bytes.append(UInt32(dimension))
    bytes.append(UInt64(rowCount))
    bytes.append(UInt32(sections.count))
    bytes.append(UInt32(parameters.count))
    bytes.append(UInt64(end))
    bytes.append(UInt64(0))
    bytes.append(UInt32(0))
    bytes.append(UInt32(0))
    for (section, offset) in zip(sections, offsets) {
      bytes.append(section.tag.code)
      bytes.append(UInt32(section.elementSize))
      bytes.append(UInt64(section.count))
      bytes.append(UInt64(offset))
      unsafe bytes.append(CRC32C.checksum(of: section.bytes))
      bytes.append(UInt32(0))
    }
    for parameter in parameters {
      bytes.append(parameter.tag.code)
      bytes.append(parameter.type.rawValue)
      bytes.append(parameter.bits)
    }
    let checksum = unsafe bytes.withUnsafeBytes { unsafe CRC32C.headerChecksum(of: ByteReader($0)) }
    unsafe bytes.withUnsafeMutableBytes {
      unsafe $0.storeBytes(
        of: checksum.littleEndian, toByteOffset: FileLayout.checksumOffset, as: UInt32.self)
    }
    return (bytes, offsets)
  }

  /// Writes everything, however many calls it takes.
  private static func write(
    _ bytes: UnsafeRawBufferPointer, to descriptor: Int32, path: String
  ) throws(IndexFileError) {
    var rest = unsafe bytes[...]
    while unsafe !rest.isEmpty {
      // Systems take at most about 2^31 bytes a call.
      let part = unsafe UnsafeRawBufferPointer(rebasing: rest.prefix(1 << 30))
      #if canImport(Darwin)
        let written = Darwin.write(descriptor, part.baseAddress, part.count)
      #elseif canImport(Glibc)
        let written = unsafe Glibc.write(descriptor, part.baseAddress, part.count)
      #else
        let written = Musl.write(descriptor, part.baseAddress, part.count)
      #endif
      if written < 0 {
        if errno == EINTR { continue }
        throw .system(operation: "write", path: path, code: errno)
      }
      unsafe rest = rest.dropFirst(written)
    }
  }
}

extension CRC32C {
  /// Of a header with its tables, but for the four bytes that hold this sum.
  static func headerChecksum(of header: ByteReader) -> UInt32 {
    header.checksum(skipping: FileLayout.checksumOffset..<FileLayout.fixedHeader)
  }
}

extension [UInt8] {
  /// Appends a number in little-endian order.
  fileprivate mutating func append<Number: FixedWidthInteger>(_ number: Number) {
    unsafe Swift.withUnsafeBytes(of: number.littleEndian) { unsafe append(contentsOf: $0) }
  }
}
