// Bytes of tokens to text, as they come.

/// Turns pieces of UTF-8 into strings, holding back a character until its last byte has come.
///
///     var decoder = TextStreamDecoder()
///     for token in tokens { print(decoder.append(tokenizer.bytes(of: token)), terminator: "") }
///     print(decoder.finish())
///
/// Bytes that can never become UTF-8 turn into U+FFFD, as `String(decoding:as:)` does it: the concatenation
/// of all results equals the decoding of all bytes at once.
public struct TextStreamDecoder: Sendable {
  private var pending: [UInt8] = []

  /// No bytes yet.
  public init() {}

  /// Whether an incomplete character is held back.
  public var hasPending: Bool { !pending.isEmpty }

  /// The text that `bytes` complete; often empty.
  public mutating func append(_ bytes: some Sequence<UInt8>) -> String {
    pending.append(contentsOf: bytes)
    let tail = Self.incompleteTail(pending)
    let text = String(decoding: pending.dropLast(tail), as: UTF8.self)
    pending.removeFirst(pending.count - tail)
    return text
  }

  /// U+FFFD for a character that never became complete, else nothing. The decoder can be used again.
  public mutating func finish() -> String {
    defer { pending.removeAll(keepingCapacity: true) }
    return String(decoding: pending, as: UTF8.self)
  }

  /// Bytes at the end that are the proper beginning of a character: 0 to 3.
  private static func incompleteTail(_ bytes: [UInt8]) -> Int {
    for length in 1...3 where length <= bytes.count {
      let lead = bytes[bytes.count - length]
      if lead & 0xC0 == 0x80 { continue }
      let expected =
        switch lead {
        case 0xC2...0xDF: 2
        case 0xE0...0xEF: 3
        case 0xF0...0xF4: 4
        default: 1
        }
      guard length < expected else { return 0 }
      if length == 1 { return 1 }
      // The second byte decides whether some sequences exist at all (Unicode, table 3-7).
      let second = bytes[bytes.count - length + 1]
      let allowed: ClosedRange<UInt8> =
        switch lead {
        case 0xE0: 0xA0...0xBF
        case 0xED: 0x80...0x9F
        case 0xF0: 0x90...0xBF
        case 0xF4: 0x80...0x8F
        default: 0x80...0xBF
        }
      return allowed.contains(second) ? length : 0
    }
    return 0
  }
}
