// The text of a header, entry by entry.

/// The few parts of Python's syntax that headers are made of.
struct NumpyHeaderParser {
  var rest: ArraySlice<UInt8>

  var malformed: NumpyHeaderError {
    NumpyHeaderError(.malformedHeader(near: String(decoding: rest.prefix(32), as: UTF8.self)))
  }

  mutating func skipSpace() {
    rest = rest.drop { $0 == 0x20 || (0x09...0x0D).contains($0) }
  }

  var isAtEnd: Bool {
    mutating get {
      skipSpace()
      return rest.isEmpty
    }
  }

  mutating func skip(_ token: StaticString) -> Bool {
    skipSpace()
    let matches = token.withUTF8Buffer { unsafe rest.starts(with: $0) }
    if matches { rest = rest.dropFirst(token.utf8CodeUnitCount) }
    return matches
  }

  mutating func expect(_ token: StaticString) throws(NumpyHeaderError) {
    guard skip(token) else { throw malformed }
  }

  mutating func string() throws(NumpyHeaderError) -> String {
    skipSpace()
    guard let quote = rest.first, quote == 0x22 || quote == 0x27,
      let end = rest.dropFirst().firstIndex(of: quote)
    else { throw malformed }
    defer { rest = rest[(end + 1)...] }
    return String(decoding: rest[(rest.startIndex + 1)..<end], as: UTF8.self)
  }

  /// The type of the elements; a list of fields is named by its beginning.
  mutating func descriptor() throws(NumpyHeaderError) -> String {
    skipSpace()
    guard rest.first == UInt8(ascii: "[") else { return try string() }
    throw NumpyHeaderError(.unsupportedType(String(decoding: rest.prefix(32), as: UTF8.self)))
  }

  mutating func boolean() throws(NumpyHeaderError) -> Bool {
    if skip("True") { return true }
    try expect("False")
    return false
  }

  mutating func tuple() throws(NumpyHeaderError) -> [Int] {
    try expect("(")
    var lengths: [Int] = []
    while !skip(")") {
      lengths.append(try integer())
      guard skip(",") else {
        try expect(")")
        break
      }
    }
    return lengths
  }

  private mutating func integer() throws(NumpyHeaderError) -> Int {
    skipSpace()
    let digits = rest.prefix { $0 == UInt8(ascii: "-") || (0x30...0x39).contains($0) }
    guard let value = Int(String(decoding: digits, as: UTF8.self)) else { throw malformed }
    guard value >= 0 else { throw NumpyHeaderError(.negativeLength(value)) }
    rest = rest.dropFirst(digits.count)
    // Python 2 marked long integers.
    if rest.first == UInt8(ascii: "L") { rest = rest.dropFirst() }
    return value
  }
}
