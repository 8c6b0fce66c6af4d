// A model file that was checked before llama.cpp, whose assertions end the process, gets to see it.

import CLlama
package import Platform

/// The header of a GGUF file: metadata and tensor list, every count checked against the file's size.
///
///     let file = try GGUFFile(validating: "model.gguf")
///     print(file.architecture ?? "?", file.integer("llama.block_count") ?? 0, file.tensors.count)
///
/// Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. The tensors' data is not read, only its
/// extent is checked; a file changed after the check is not this type's business.
public struct GGUFFile: Sendable {
  /// One weight matrix.
  public struct Tensor: Sendable, Equatable {
    /// As llama.cpp knows it, such as `blk.0.attn_q.weight`.
    public let name: String
    /// Fastest varying dimension first, as ggml counts them.
    public let shape: [Int]
    /// For example `q4_K`.
    public let typeName: String
    /// Of its data, without padding.
    public let byteCount: Int
    /// Index into ``GGUFFile/shards``.
    public let shard: Int
  }

  /// One metadata value.
  public enum Value: Sendable, Equatable {
    /// Text; bytes that are not UTF-8 are replaced.
    case string(String)
    /// Of any width; 64 bits without a sign are clamped to `Int.max`.
    case integer(Int)
    /// Of 32 or 64 bits.
    case number(Double)
    /// A byte of 0 or 1.
    case boolean(Bool)
    /// An array of integers of one width.
    case integers([Int])
    /// An array of 32- or 64-bit floating-point numbers.
    case numbers([Double])
    /// An array of flags.
    case booleans([Bool])
    /// An array of texts.
    case strings([String])
    /// An array too long to be kept, such as a vocabulary; it was checked all the same.
    case omitted(elementCount: Int)
  }

  /// The first file, as it was given.
  public let path: String
  /// Of the format: 2 or 3.
  public let version: Int
  /// Bytes of all shards.
  public let byteCount: Int
  /// The paths of all files of the model, the first one first.
  public let shards: [String]
  /// The tensors of all shards.
  public let tensors: [Tensor]
  /// The metadata of the first shard.
  public let metadata: [String: Value]

  /// Reads and checks the header of `path`, and those of its other shards if it is a split model.
  ///
  /// Cost: a few milliseconds, most of it for the vocabulary; memory only for what is kept.
  public init(validating path: String) throws(GGUFError) {
    try self.init(GGUFHeader(path: path))
  }

  /// The same for bytes in memory, which stand for the file at `path`.
  package init(validating bytes: ByteReader, path: String) throws(GGUFError) {
    guard bytes.byteCount > 0 else { throw .empty(path: path) }
    try self.init(GGUFHeader(path: path, bytes))
  }

  private init(_ first: GGUFHeader) throws(GGUFError) {
    let shards = try Self.remainingShards(of: first)
    try first.checkModelMetadata()
    path = first.path
    version = first.version
    metadata = first.metadata
    self.shards = [first.path] + shards.map(\.path)
    byteCount = shards.reduce(first.byteCount) { $0 + $1.byteCount }
    var tensors = first.tensors
    for (index, shard) in shards.enumerated() {
      tensors += shard.tensors.map {
        Tensor(
          name: $0.name, shape: $0.shape, typeName: $0.typeName, byteCount: $0.byteCount, shard: index + 1)
      }
    }
    self.tensors = tensors
  }

  /// `general.architecture`, the prefix of most keys.
  public var architecture: String? { string("general.architecture") }

  /// A text; nil when there is none, or something else.
  public func string(_ key: String) -> String? {
    if case .string(let value) = metadata[key] { value } else { nil }
  }

  /// An integer; nil when there is none, or something else.
  public func integer(_ key: String) -> Int? {
    if case .integer(let value) = metadata[key] { value } else { nil }
  }

  /// A floating-point value, or an integer as one.
  public func number(_ key: String) -> Double? {
    switch metadata[key] {
    case .number(let value): value
    case .integer(let value): Double(value)
    default: nil
    }
  }

  /// A flag; nil when there is none, or something else.
  public func boolean(_ key: String) -> Bool? {
    if case .boolean(let value) = metadata[key] { value } else { nil }
  }

  /// An array of integers; a single integer is an array of one.
  public func integers(_ key: String) -> [Int]? {
    switch metadata[key] {
    case .integers(let values): values
    case .integer(let value): [value]
    default: nil
    }
  }
}
