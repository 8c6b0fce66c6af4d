// Errors of reading documents. Each names the file, and what to do where something can be done.

import Platform

/// Why a document cannot be read.
public enum DocumentError: Error, Equatable, Sendable {
  /// There is no such file, or the system refuses it.
  case unreadable(path: String, reason: String)
  /// More bytes than can be read; `byteCount` is nil where nobody knows how many there are, as in a pipe.
  case tooLarge(path: String, byteCount: Int?, limit: Int)
  /// All documents together have more text than can be read.
  case tooMuchText(limit: Int)
  /// A file that is no text, with the offset of a NUL byte or another one that says so.
  case binary(path: String, offset: Int, byte: UInt8)
  /// Most of its bytes are no ASCII, and no encoding that is known here explains them.
  case unknownEncoding(path: String)
  /// A format that no converter here reads, and how to make another one of it.
  case unsupportedFormat(path: String, advice: String)
  /// The program that reads this format is not there; how to install it.
  case missingConverter(path: String, program: String, advice: String)
  /// The converter failed, with what it said.
  case conversionFailed(path: String, program: String, message: String)
  /// The converter did not end in time, in seconds.
  case conversionTooSlow(path: String, program: String, limit: Double)
  /// Nothing but white space; what could be done about it.
  case noText(path: String, advice: String?)
  /// A notebook that is not as notebooks are.
  case damagedNotebook(path: String, reason: String)
  /// Nothing was found where documents were to be; how many files were skipped.
  case nothingFound(path: String, skipped: String?)
  /// An address that is not one of a file here.
  case notAFile(address: String)
  case badPattern(String, reason: String)
}

extension DocumentError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .unreadable(let path, let reason): "cannot read \(path): \(reason)"
    case .tooLarge(let path, let byteCount, let limit):
      "\(path) has \(byteCount.map(Self.size) ?? "too much") of text: at most \(Self.size(limit)) can be read"
    case .tooMuchText(let limit):
      "the documents have more than \(Self.size(limit)) of text together, which is the most that can be read"
    case .binary(let path, let offset, 0):
      "\(path) is a binary file, not text: it has a NUL byte at offset \(offset)"
    case .binary(let path, let offset, let byte):
      "\(path) is a binary file, not text: it has the control byte \(byte) at offset \(offset)"
    case .unknownEncoding(let path):
      "\(path) is not UTF-8, and its encoding is not known; 'iconv -f ENCODING -t UTF-8' converts it"
    case .unsupportedFormat(let path, let advice): "\(path) cannot be read; \(advice)"
    case .missingConverter(let path, let program, let advice):
      "\(path) needs \(program), which is not installed: \(advice)"
    case .conversionFailed(let path, let program, let message):
      "\(path) cannot be read: \(program) says: \(message)"
    case .conversionTooSlow(let path, let program, let limit):
      "\(path) cannot be read: \(program) did not end within \(Int(limit)) seconds"
    case .noText(let path, let advice): "\(path) has no text" + (advice.map { "; \($0)" } ?? "")
    case .damagedNotebook(let path, let reason): "\(path) is no Jupyter notebook: \(reason)"
    case .nothingFound(let path, let skipped):
      "there are no documents in \(path)" + (skipped.map { " (skipped \($0))" } ?? "")
    case .notAFile(let address):
      "'\(address)' is not the address of a file on this machine; download it, and name the file"
    case .badPattern(let pattern, let reason): "the pattern '\(pattern)' \(reason)"
    }
  }

  /// `1.5 MB`, units of 1024.
  private static func size(_ byteCount: Int) -> String {
    guard byteCount >= 1024 else { return "\(byteCount) bytes" }
    var value = Double(byteCount) / 1024
    var units = ["KB", "MB", "GB", "TB"][...]
    while value >= 1023.95, units.count > 1 {
      value /= 1024
      units.removeFirst()
    }
    let tenths = Int((value * 10).rounded())
    return "\(tenths / 10).\(tenths % 10) \(units[units.startIndex])"
  }
}
