// JSON text to values (RFC 8259).
//
// Foundation's decoder has to be told the type of every value; trying one type after another costs an error thrown for
// each wrong guess, which is minutes for a request of some megabytes. This reads each byte once.

/// Reads one document.
struct JSONParser {
  private let bytes: [UInt8]
  private var index = 0
  private var depth = 0

  /// Deeper documents would exhaust the stack of whoever follows them.
  static let deepest = 128

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  mutating func parse() throws(JSONProblem) -> JSONValue {
    let value = try value()
    skipSpace()
    guard index == bytes.count else { throw problem("there is something behind the document") }
    return value
  }

  private func problem(_ reason: String) -> JSONProblem { JSONProblem(reason: "\(reason) (byte \(index))") }

  private var next: UInt8? { index < bytes.count ? bytes[index] : nil }

  private mutating func skipSpace() {
    while let byte = next, byte == 32 || byte == 10 || byte == 13 || byte == 9 { index += 1 }
  }

  private mutating func take(_ byte: Character) -> Bool {
    guard next == byte.asciiValue else { return false }
    index += 1
    return true
  }

  private mutating func value() throws(JSONProblem) -> JSONValue {
    skipSpace()
    switch next {
    case UInt8(ascii: "{"): return .object(try object())
    case UInt8(ascii: "["): return .array(try array())
    case UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: "t"): return try word("true", .bool(true))
    case UInt8(ascii: "f"): return try word("false", .bool(false))
    case UInt8(ascii: "n"): return try word("null", .null)
    case let byte? where byte == UInt8(ascii: "-") || (48...57).contains(byte): return try number()
    case nil: throw problem("it ends too early")
    case let byte?: throw problem("byte \(byte) begins no value")
    }
  }

  private mutating func word(_ text: String, _ value: JSONValue) throws(JSONProblem) -> JSONValue {
    let end = index + text.utf8.count
    guard end <= bytes.count, bytes[index..<end].elementsEqual(text.utf8) else {
      throw problem("a word that is not \(text)")
    }
    index = end
    return value
  }

  private mutating func enter() throws(JSONProblem) {
    depth += 1
    guard depth <= Self.deepest else { throw problem("nested more than \(Self.deepest) deep") }
    index += 1
    skipSpace()
  }

  private mutating func array() throws(JSONProblem) -> [JSONValue] {
    try enter()
    defer { depth -= 1 }
    var elements: [JSONValue] = []
    if take("]") { return elements }
    while true {
      elements.append(try value())
      skipSpace()
      if take("]") { return elements }
      guard take(",") else { throw problem("a list needs ',' or ']' here") }
    }
  }

  private mutating func object() throws(JSONProblem) -> JSONObject {
    try enter()
    defer { depth -= 1 }
    var fields: JSONObject = [:]
    if take("}") { return fields }
    while true {
      skipSpace()
      guard next == UInt8(ascii: "\"") else { throw problem("an object needs a name here") }
      let name = try string()
      skipSpace()
      guard take(":") else { throw problem("an object needs ':' here") }
      fields[name] = try value()
      skipSpace()
      if take("}") { return fields }
      guard take(",") else { throw problem("an object needs ',' or '}' here") }
    }
  }

  private mutating func digits() throws(JSONProblem) {
    let start = index
    while let byte = next, (48...57).contains(byte) { index += 1 }
    guard index > start else { throw problem("a number needs a digit here") }
  }

  private mutating func number() throws(JSONProblem) -> JSONValue {
    let start = index
    var isInteger = true
    _ = take("-")
    if take("0") {
      if let byte = next, (48...57).contains(byte) { throw problem("a number begins with 0") }
    } else {
      try digits()
    }
    if take(".") {
      isInteger = false
      try digits()
    }
    if take("e") || take("E") {
      isInteger = false
      if !take("-") { _ = take("+") }
      try digits()
    }
    let text = String(decoding: bytes[start..<index], as: UTF8.self)
    if isInteger, let value = Int(text) { return .integer(value) }
    guard let value = Double(text), value.isFinite else { throw problem("a number that is too large") }
    return .number(value)
  }

  private mutating func string() throws(JSONProblem) -> String {
    index += 1
    var text = ""
    var start = index
    func piece(to end: Int) throws(JSONProblem) -> String {
      guard let piece = String(validating: bytes[start..<end], as: UTF8.self) else {
        throw problem("a string that is not UTF-8")
      }
      return piece
    }
    while let byte = next {
      switch byte {
      case UInt8(ascii: "\""):
        text += try piece(to: index)
        index += 1
        return text
      case UInt8(ascii: "\\"):
        text += try piece(to: index)
        index += 1
        text.unicodeScalars.append(try escape())
        start = index
      case 0..<32: throw problem("a control character in a string")
      default: index += 1
      }
    }
    throw problem("a string without an end")
  }

  private mutating func escape() throws(JSONProblem) -> Unicode.Scalar {
    guard let byte = next else { throw problem("a string without an end") }
    index += 1
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return Unicode.Scalar(byte)
    case UInt8(ascii: "b"): return "\u{8}"
    case UInt8(ascii: "f"): return "\u{C}"
    case UInt8(ascii: "n"): return "\n"
    case UInt8(ascii: "r"): return "\r"
    case UInt8(ascii: "t"): return "\t"
    case UInt8(ascii: "u"): break
    default: throw problem("an unknown escape")
    }
    let first = try hex()
    if let scalar = Unicode.Scalar(first) { return scalar }
    // The first half of a pair (RFC 8259, section 7).
    guard first < 0xDC00, take("\\"), take("u") else { throw problem("half a surrogate pair") }
    let second = try hex()
    guard (0xDC00...0xDFFF).contains(second),
      let scalar = Unicode.Scalar(0x10000 + (first - 0xD800) << 10 + (second - 0xDC00))
    else { throw problem("half a surrogate pair") }
    return scalar
  }

  private mutating func hex() throws(JSONProblem) -> UInt32 {
    guard index + 4 <= bytes.count else { throw problem("a string without an end") }
    var value: UInt32 = 0
    for byte in bytes[index..<index + 4] {
      guard byte < 128, let digit = Character(Unicode.Scalar(byte)).hexDigitValue else {
        throw problem("an escape that is not hexadecimal")
      }
      value = value << 4 | UInt32(digit)
    }
    index += 4
    return value
  }
}
