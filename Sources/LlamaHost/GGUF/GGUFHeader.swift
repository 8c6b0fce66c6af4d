// One file's header, read with every count checked before it is used.

import CLlama
import Foundation
import Platform

/// The header of a single GGUF file, which may be one shard of several.
struct GGUFHeader {
  let path: String
  let byteCount: Int
  private(set) var version = 0
  private(set) var metadata: [String: GGUFFile.Value] = [:]
  private(set) var tensors: [GGUFFile.Tensor] = []
  /// Type codes and lengths of arrays, for the checks that need them even when the values are not kept.
  private(set) var arrays: [String: (type: GGUFValueType, count: Int)] = [:]

  init(path: String) throws(GGUFError) {
    let file: FileMapping
    do {
      file = try FileMapping(path: path)
    } catch {
      switch error {
      // A component that is no directory means that there is no such file, too.
      case .system(_, let code) where code == ENOENT || code == ENOTDIR: throw .notFound(path: path)
      case .system(_, let code): throw .unreadable(path: path, reason: systemMessage(code))
      case .isDirectory: throw .isDirectory(path: path)
      case .notARegularFile: throw .unreadable(path: path, reason: "it is not a regular file")
      case .tooSmall: throw .empty(path: path)
      }
    }
    // The bytes must stay mapped until the header is read.
    defer { withExtendedLifetime(file) {} }
    try self.init(path: path, file.reader)
    guard file.cutFile == nil else {
      throw .unreadable(path: path, reason: "it became shorter while it was read")
    }
  }

  /// Reads the header from a file's bytes; `path` is for errors.
  init(path: String, _ bytes: ByteReader) throws(GGUFError) {
    self.path = path
    byteCount = bytes.byteCount
    var bytes = bytes
    let magic = bytes.prefix(4)
    guard magic == Array("GGUF".utf8) else { throw .notGGUF(path: path, firstBytes: magic) }
    var reader = GGUFReader(path: path, bytes)
    try read(&reader)
  }

  private mutating func read(_ reader: inout GGUFReader) throws(GGUFError) {
    version = Int(try reader.integer(UInt32.self, "the version"))
    // Version 1 had 32-bit counts; a big-endian file shows up as a huge version.
    guard version == 2 || version == 3 else { throw .unsupportedVersion(path: path, version: version) }
    // The smallest tensor entry is a name's length, a dimension count, a type and an offset.
    let tensorCount = try reader.count("tensors", bytesEach: 8 + 4 + 4 + 8)
    // The smallest metadata entry is a key's length, one letter, a type and one byte.
    let keyCount = try reader.count("metadata entries", bytesEach: 8 + 1 + 4 + 1)
    for index in 0..<keyCount { try readMetadata(index, &reader) }
    try readTensors(tensorCount, &reader)
  }

  private mutating func readMetadata(_ index: Int, _ reader: inout GGUFReader) throws(GGUFError) {
    let key = try reader.text("metadata key \(index)")
    guard !key.isEmpty else { throw .invalidKey(path: path, index: index, reason: "it is empty") }
    guard metadata[key] == nil else {
      throw .invalidKey(path: path, index: index, reason: "\"\(key)\" occurs twice")
    }
    let type = try reader.valueType(key)
    guard type == .array else {
      // The host takes its type for granted.
      if key == "adapter.lora.alpha", type != .float32 {
        throw .invalidMetadata(path: path, key: key, reason: "it is of type \(type)")
      }
      metadata[key] = try reader.scalar(type, key)
      return
    }
    let element = try reader.valueType(key)
    guard element != .array else {
      throw .invalidMetadata(path: path, key: key, reason: "arrays of arrays are not supported")
    }
    let count = try reader.count("elements of \"\(key)\"", bytesEach: element.minimumSize)
    arrays[key] = (element, count)
    metadata[key] = try reader.array(of: element, count: count, key)
  }

  private mutating func readTensors(_ count: Int, _ reader: inout GGUFReader) throws(GGUFError) {
    var alignment: UInt64 = 32
    if let value = metadata["general.alignment"] {
      guard case .integer(let given) = value else {
        throw .invalidMetadata(path: path, key: "general.alignment", reason: "it is not an integer")
      }
      alignment = UInt64(max(0, given))
      // More than 2^20 would be a way to make sums overflow, not a way to align.
      guard given > 0, given <= 1 << 20, alignment & (alignment - 1) == 0 else {
        throw .invalidAlignment(path: path, alignment: alignment)
      }
    }
    var names: Set<String> = []
    var next: UInt64 = 0
    tensors.reserveCapacity(count)
    for index in 0..<count {
      let tensor = try readTensor(index, &reader)
      guard names.insert(tensor.info.name).inserted else {
        throw .invalidTensor(path: path, name: tensor.info.name, reason: "it occurs twice")
      }
      guard tensor.offset == next else {
        throw .invalidTensor(
          path: path, name: tensor.info.name, reason: "its data is at offset \(tensor.offset), not at \(next)"
        )
      }
      let size = UInt64(tensor.info.byteCount)
      let (end, overflow) = next.addingReportingOverflow(Self.align(size, alignment))
      guard !overflow, end < 1 << 62 else {
        throw .invalidTensor(path: path, name: tensor.info.name, reason: "the sizes of the tensors overflow")
      }
      next = end
      tensors.append(tensor.info)
    }
    guard let last = tensors.last else { return }
    let start = Self.align(UInt64(reader.offset), alignment)
    // The last tensor's padding may be missing.
    let end = start + next - Self.align(UInt64(last.byteCount), alignment) + UInt64(last.byteCount)
    guard end <= UInt64(byteCount) else {
      throw .truncated(
        path: path, what: "the tensors' data", expectedBytes: end, actualBytes: UInt64(byteCount))
    }
  }

  private func readTensor(
    _ index: Int, _ reader: inout GGUFReader
  ) throws(GGUFError) -> (info: GGUFFile.Tensor, offset: UInt64) {
    let name = try reader.text("the name of tensor \(index)")
    func bad(_ reason: String) -> GGUFError { .invalidTensor(path: path, name: name, reason: reason) }
    // ggml keeps names in 64 bytes with a terminator.
    guard name.utf8.count < 64 else { throw bad("its name has \(name.utf8.count) bytes, more than 63") }
    let dimensionCount = try reader.integer(UInt32.self, "the shape of \"\(name)\"")
    guard (1...4).contains(dimensionCount) else {
      throw bad("it has \(dimensionCount) dimensions, not 1 to 4")
    }
    var shape: [Int] = []
    var elementCount = 1
    for _ in 0..<dimensionCount {
      let raw = try reader.integer(Int64.self, "the shape of \"\(name)\"")
      guard raw > 0 else { throw bad("it has a dimension of \(raw)") }
      let (product, overflow) = elementCount.multipliedReportingOverflow(by: Int(raw))
      guard !overflow else { throw bad("its number of elements overflows") }
      elementCount = product
      shape.append(Int(raw))
    }
    let code = try reader.integer(UInt32.self, "the type of \"\(name)\"")
    let offset = try reader.integer(UInt64.self, "the offset of \"\(name)\"")
    guard code < UInt32(GGML_TYPE_COUNT.rawValue) else { throw bad("it has the unknown type \(code)") }
    let type = ggml_type(rawValue: numericCast(code))
    let blockLength = Int(ggml_blck_size(type))
    let blockSize = Int(ggml_type_size(type))
    // Numbers of types that were given up have no size.
    guard blockLength > 0, blockSize > 0 else { throw bad("it has the retired type \(code)") }
    guard shape[0] % blockLength == 0 else {
      throw bad("its rows of \(shape[0]) elements are not whole blocks of \(blockLength)")
    }
    let (size, overflow) = (elementCount / blockLength).multipliedReportingOverflow(by: blockSize)
    guard !overflow else { throw bad("its size overflows") }
    let typeName = unsafe ggml_type_name(type).map { unsafe String(cString: $0) } ?? "\(code)"
    return (
      GGUFFile.Tensor(name: name, shape: shape, typeName: typeName, byteCount: size, shard: 0), offset
    )
  }

  private static func align(_ value: UInt64, _ alignment: UInt64) -> UInt64 {
    (value + alignment - 1) & ~(alignment - 1)
  }
}
