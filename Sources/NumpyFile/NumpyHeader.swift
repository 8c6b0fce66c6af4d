// The header of a .npy file: a Python dictionary with three entries, written as text.

/// What a header says, and the text that says it.
struct NumpyHeader: Equatable {
  var elementType: NumpyElementType
  var isFortranOrder = false
  var isBigEndian = false
  var shape: [Int]

  /// What every file begins with.
  static let magic: [UInt8] = [0x93] + Array("NUMPY".utf8)
  /// Magic, version and the length of the text in version 1.0.
  static let prefixCount = 10
  /// Elements begin at a multiple of this.
  static let alignment = 64

  /// The whole header, version 1.0, of little-endian elements.
  ///
  /// - Parameter byteCount: how long to make it, so that a file's header can be replaced; nil for as long as is
  ///   needed.
  func bytes(byteCount: Int? = nil) -> [UInt8] {
    let lengths = shape.map { "\($0)" }.joined(separator: ", ") + (shape.count == 1 ? "," : "")
    let order = isFortranOrder ? "True" : "False"
    let text = "{'descr': '\(elementType.descriptor)', 'fortran_order': \(order), 'shape': (\(lengths)), }"
    let needed = (Self.prefixCount + text.utf8.count + Self.alignment) / Self.alignment * Self.alignment
    let total = byteCount ?? needed
    precondition(total >= needed && total - Self.prefixCount <= UInt16.max, "no header has \(total) bytes")
    let length = total - Self.prefixCount
    var result = Self.magic + [1, 0, UInt8(length & 0xFF), UInt8(length >> 8)] + Array(text.utf8)
    result += repeatElement(0x20, count: total - 1 - result.count)
    return result + [0x0A]
  }

  /// Reads the text `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`, entries in any order.
  static func parse(_ text: ArraySlice<UInt8>) throws(NumpyHeaderError) -> NumpyHeader {
    var parser = NumpyHeaderParser(rest: text)
    try parser.expect("{")
    var descriptor: String?
    var isFortranOrder: Bool?
    var shape: [Int]?
    while !parser.skip("}") {
      let name = try parser.string()
      try parser.expect(":")
      switch name {
      case "descr": descriptor = try parser.descriptor()
      case "fortran_order": isFortranOrder = try parser.boolean()
      case "shape": shape = try parser.tuple()
      default: throw NumpyHeaderError(.malformedHeader(near: name))
      }
      guard parser.skip(",") else {
        try parser.expect("}")
        break
      }
    }
    guard parser.isAtEnd else { throw parser.malformed }
    guard let descriptor, let isFortranOrder, let shape else {
      throw NumpyHeaderError(.malformedHeader(near: "descr, fortran_order and shape are not all there"))
    }
    let (type, isBigEndian) = try elementType(descriptor)
    return NumpyHeader(
      elementType: type, isFortranOrder: isFortranOrder, isBigEndian: isBigEndian, shape: shape)
  }

  private static func elementType(
    _ descriptor: String
  ) throws(NumpyHeaderError) -> (type: NumpyElementType, isBigEndian: Bool) {
    guard let type = NumpyElementType(rawValue: String(descriptor.dropFirst())) else {
      throw NumpyHeaderError(.unsupportedType(descriptor))
    }
    switch descriptor.first {
    case "<", "=", "|": return (type, false)
    // Single bytes have no order, whatever is written.
    case ">": return (type, type.byteCount > 1)
    default: throw NumpyHeaderError(.unsupportedType(descriptor))
    }
  }
}

/// A reason without the file, which the parser does not know.
struct NumpyHeaderError: Error {
  var reason: NumpyError.Reason
  init(_ reason: NumpyError.Reason) { self.reason = reason }
}
