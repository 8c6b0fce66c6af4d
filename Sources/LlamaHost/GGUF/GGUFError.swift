// Why a file cannot be used as a model.

public import Foundation

/// What is wrong with a GGUF file. Every case carries the values that show it.
public enum GGUFError: Error, Equatable, CustomStringConvertible, LocalizedError {
  /// Nothing has this path.
  case notFound(path: String)
  /// The path is that of a folder.
  case isDirectory(path: String)
  /// The system refuses to open or map it, in its words.
  case unreadable(path: String, reason: String)
  /// A file of no bytes.
  case empty(path: String)
  /// The first bytes are not `GGUF`.
  case notGGUF(path: String, firstBytes: [UInt8])
  /// A version of the format other than 2 and 3.
  case unsupportedVersion(path: String, version: Int)
  /// The file ends before what its header promises.
  case truncated(path: String, what: String, expectedBytes: UInt64, actualBytes: UInt64)
  /// A count that a file of this size cannot hold.
  case absurdCount(path: String, what: String, count: UInt64, limit: UInt64)
  /// A metadata value of a type that the format does not have.
  case unknownValueType(path: String, key: String, type: Int)
  /// A metadata key, counted from 0, that is empty or there twice.
  case invalidKey(path: String, index: Int, reason: String)
  /// A name that is not UTF-8.
  case invalidText(path: String, what: String)
  /// `general.alignment` is no power of two up to 2^20.
  case invalidAlignment(path: String, alignment: UInt64)
  /// A tensor whose name, shape, type or place makes no sense.
  case invalidTensor(path: String, name: String, reason: String)
  /// Metadata that llama.cpp would trust blindly.
  case invalidMetadata(path: String, key: String, reason: String)
  /// A key that every model has.
  case missingMetadata(path: String, key: String)
  /// A shard of a split model is missing or not of the same set.
  case shard(path: String, index: Int, count: Int, reason: String)
  /// The path names a shard other than the first.
  case notFirstShard(path: String, index: Int, count: Int)

  /// A sentence that begins with the path.
  public var description: String {
    switch self {
    case .notFound(let path): "There is no file at \(path)."
    case .isDirectory(let path): "\(path) is a directory, not a GGUF file."
    case .unreadable(let path, let reason): "\(path) cannot be read: \(reason)."
    case .empty(let path): "\(path) is empty."
    case .notGGUF(let path, let bytes):
      "\(path) is not a GGUF file: it starts with \(Self.show(bytes)) instead of \"GGUF\"."
    case .unsupportedVersion(let path, let version):
      "\(path) is GGUF version \(version); versions 2 and 3 are supported."
    case .truncated(let path, let what, let expected, let actual):
      "\(path) is truncated: \(what) needs \(expected) bytes, but the file has \(actual)."
    case .absurdCount(let path, let what, let count, let limit):
      "\(path) claims \(count) \(what), but at most \(limit) are possible in it."
    case .unknownValueType(let path, let key, let type):
      "\(path) gives the metadata \"\(key)\" the unknown type \(type)."
    case .invalidKey(let path, let index, let reason):
      "\(path) has a bad metadata key, number \(index): \(reason)."
    case .invalidText(let path, let what): "\(path) holds text that is not UTF-8 in \(what)."
    case .invalidAlignment(let path, let alignment):
      "\(path) has an alignment of \(alignment), which is not a power of two."
    case .invalidTensor(let path, let name, let reason): "\(path) has a bad tensor \"\(name)\": \(reason)."
    case .invalidMetadata(let path, let key, let reason): "\(path) has bad metadata \"\(key)\": \(reason)."
    case .missingMetadata(let path, let key): "\(path) lacks the metadata \"\(key)\"."
    case .shard(let path, let index, let count, let reason):
      "Shard \(index) of \(count) at \(path) cannot be used: \(reason)."
    case .notFirstShard(let path, let index, let count):
      "\(path) is shard \(index) of \(count); name the first one."
    }
  }

  /// The same, for `localizedDescription`.
  public var errorDescription: String? { description }

  private static func show(_ bytes: [UInt8]) -> String {
    let hex = bytes.map { byte in
      let digits = String(byte, radix: 16)
      return digits.count == 1 ? "0" + digits : digits
    }.joined(separator: " ")
    let text = String(decoding: bytes.map { (32...126).contains($0) ? $0 : UInt8(ascii: ".") }, as: UTF8.self)
    return "\(hex) (\"\(text)\")"
  }
}
