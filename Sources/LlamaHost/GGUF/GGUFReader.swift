// The values of a GGUF file, each read with what is left checked first.

import Platform

/// The types of metadata values, by their number in the file.
enum GGUFValueType: UInt32 {
  case uint8, int8, uint16, int16, uint32, int32, float32, bool, string, array, uint64, int64, float64

  /// Bytes that one value takes at least.
  var minimumSize: Int {
    switch self {
    case .uint8, .int8, .bool: 1
    case .uint16, .int16: 2
    case .uint32, .int32, .float32: 4
    case .string, .uint64, .int64, .float64: 8
    case .array: 12
    }
  }
}

/// A position in a file, and what to call things there in errors.
struct GGUFReader {
  let path: String
  private var reader: ByteReader

  /// Longer arrays are checked but not kept: a vocabulary would double the memory for nothing.
  private static let longestKeptArray = 4096

  init(path: String, _ reader: ByteReader) {
    self.path = path
    self.reader = reader
  }

  var offset: Int { reader.offset }

  private mutating func read<Result>(
    _ what: String, _ body: (inout ByteReader) throws(ByteReader.Failure) -> Result
  ) throws(GGUFError) -> Result {
    do { return try body(&reader) } catch {
      switch error {
      case .ended(let shortage):
        throw .truncated(
          path: path, what: what, expectedBytes: shortage.end, actualBytes: UInt64(shortage.byteCount))
      case .tooMany(_, let count, let limit):
        throw .absurdCount(path: path, what: what, count: count, limit: limit)
      case .notText: throw .invalidText(path: path, what: what)
      }
    }
  }

  mutating func integer<T: FixedWidthInteger>(_ type: T.Type, _ what: String) throws(GGUFError) -> T {
    try read(what) { (reader) throws(ByteReader.Failure) in try reader.integer(type) }
  }

  /// A number of things of which each takes at least `bytesEach`, so that the rest of the file bounds it.
  mutating func count(_ what: String, bytesEach: Int) throws(GGUFError) -> Int {
    try read("the number of \(what)") { (reader) throws(ByteReader.Failure) in
      try reader.require(UInt64(MemoryLayout<UInt64>.size))
    }
    return try read(what) { (reader) throws(ByteReader.Failure) in try reader.count(bytesEach: bytesEach) }
  }

  private mutating func length(_ what: String) throws(GGUFError) -> UInt64 {
    try integer(UInt64.self, "the length of \(what)")
  }

  /// Text that must be valid UTF-8: names, which other names are made from.
  mutating func text(_ what: String) throws(GGUFError) -> String {
    let length = try length(what)
    return try read(what) { (reader) throws(ByteReader.Failure) in try reader.text(length) }
  }

  /// Text whose invalid parts are replaced, as vocabularies have them.
  private mutating func anyText(_ what: String) throws(GGUFError) -> String {
    let length = try length(what)
    return try read(what) { (reader) throws(ByteReader.Failure) in
      unsafe String(decoding: try reader.slice(length), as: UTF8.self)
    }
  }

  private mutating func skipText(_ what: String) throws(GGUFError) {
    let length = try length(what)
    _ = try unsafe read(what) { (reader) throws(ByteReader.Failure) in try unsafe reader.slice(length) }
  }

  mutating func valueType(_ key: String) throws(GGUFError) -> GGUFValueType {
    let code = try integer(UInt32.self, "the type of \"\(key)\"")
    guard let type = GGUFValueType(rawValue: code) else {
      throw .unknownValueType(path: path, key: key, type: Int(code))
    }
    return type
  }

  mutating func scalar(_ type: GGUFValueType, _ key: String) throws(GGUFError) -> GGUFFile.Value {
    let what = "\"\(key)\""
    switch type {
    case .string: return .string(try anyText(what))
    case .bool:
      let byte = try integer(UInt8.self, what)
      // Anything else is undefined behavior once it is read as a C++ bool.
      guard byte <= 1 else { throw .invalidMetadata(path: path, key: key, reason: "the flag is \(byte)") }
      return .boolean(byte == 1)
    case .float32: return .number(Double(Float(bitPattern: try integer(UInt32.self, what))))
    case .float64: return .number(Double(bitPattern: try integer(UInt64.self, what)))
    case .uint8: return .integer(Int(try integer(UInt8.self, what)))
    case .int8: return .integer(Int(try integer(Int8.self, what)))
    case .uint16: return .integer(Int(try integer(UInt16.self, what)))
    case .int16: return .integer(Int(try integer(Int16.self, what)))
    case .uint32: return .integer(Int(try integer(UInt32.self, what)))
    case .int32: return .integer(Int(try integer(Int32.self, what)))
    case .int64: return .integer(Int(try integer(Int64.self, what)))
    case .uint64: return .integer(Int(clamping: try integer(UInt64.self, what)))
    case .array: throw .invalidMetadata(path: path, key: key, reason: "arrays of arrays are not supported")
    }
  }

  mutating func array(
    of type: GGUFValueType, count: Int, _ key: String
  ) throws(GGUFError) -> GGUFFile.Value {
    guard count <= Self.longestKeptArray else {
      if type == .string || type == .bool {
        for _ in 0..<count {
          if type == .string { try skipText("\"\(key)\"") } else { _ = try scalar(type, key) }
        }
      } else {
        _ = try unsafe read("\"\(key)\"") { (reader) throws(ByteReader.Failure) in
          try unsafe reader.slice(UInt64(count * type.minimumSize))
        }
      }
      return .omitted(elementCount: count)
    }
    var values: [GGUFFile.Value] = []
    values.reserveCapacity(count)
    for _ in 0..<count { values.append(try scalar(type, key)) }
    switch type {
    case .string:
      return .strings(values.compactMap { if case .string(let value) = $0 { value } else { nil } })
    case .bool:
      return .booleans(values.compactMap { if case .boolean(let value) = $0 { value } else { nil } })
    case .float32, .float64:
      return .numbers(values.compactMap { if case .number(let value) = $0 { value } else { nil } })
    default:
      return .integers(values.compactMap { if case .integer(let value) = $0 { value } else { nil } })
    }
  }
}
