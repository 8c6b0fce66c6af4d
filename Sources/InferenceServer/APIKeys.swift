// Keys are compared in a time that does not depend on how much of one was guessed.

/// The keys that a server accepts.
public struct APIKeys: Sendable {
  private var keys: [[UInt8]] = []

  /// Longest key, in bytes.
  public static let maximumLength = 512

  /// No keys: everybody is let in.
  public init() {}

  /// One key a line; empty lines and lines that start with `#` are skipped, white space around keys as well.
  ///
  /// - Throws: ``APIKeyProblem`` for a text without keys, or with one that no client could send.
  public init(parsing text: String) throws(APIKeyProblem) {
    for (number, line) in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
      .enumerated()
    {
      let key = Array(line.utf8.drop { $0 <= 32 }.reversed().drop { $0 <= 32 }.reversed())
      guard let first = key.first, first != UInt8(ascii: "#") else { continue }
      guard key.count <= Self.maximumLength else { throw .tooLong(line: number + 1, length: key.count) }
      guard key.allSatisfy({ (33...126).contains($0) }) else { throw .notPrintable(line: number + 1) }
      keys.append(key)
    }
    guard !keys.isEmpty else { throw .noKeys }
  }

  /// Whether any request is accepted.
  public var isEmpty: Bool { keys.isEmpty }

  /// Whether `candidate` is one of the keys. The time depends on the number of keys alone.
  public func contains(_ candidate: some StringProtocol) -> Bool {
    let bytes = Array(candidate.utf8.prefix(Self.maximumLength + 1))
    var found: UInt8 = 0
    for key in keys {
      var difference = UInt16(truncatingIfNeeded: key.count ^ bytes.count)
      for index in 0..<Self.maximumLength {
        let left = index < key.count ? key[index] : 0
        let right = index < bytes.count ? bytes[index] : 0
        difference |= UInt16(left ^ right)
      }
      // 1 when the difference is zero, without a branch.
      found |= UInt8(truncatingIfNeeded: (UInt32(difference) &- 1) >> 31)
    }
    return found == 1
  }
}

/// Why a text holds no usable keys. The keys themselves are not repeated.
public enum APIKeyProblem: Error, Equatable, CustomStringConvertible {
  /// A file without a key.
  case noKeys
  /// A line of more bytes than a key has.
  case tooLong(line: Int, length: Int)
  /// A line of other than printable ASCII.
  case notPrintable(line: Int)

  /// A clause without a full stop.
  public var description: String {
    switch self {
    case .noKeys: "there is no key in it: write one a line"
    case .tooLong(let line, let length):
      "the key in line \(line) has \(length) bytes, but at most \(APIKeys.maximumLength) are possible"
    case .notPrintable(let line):
      "the key in line \(line) has a character other than printable ASCII, which no client can send"
    }
  }
}
