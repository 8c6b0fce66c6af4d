// Builds small GGUF files, whole and broken.

package import Foundation

/// Writes little-endian values as the format wants them.
package struct TinyGGUF {
  package var version: UInt32 = 3
  package var metadata: [(key: String, value: [UInt8])] = [
    ("general.architecture", scalar("llama")), ("llama.block_count", scalar(UInt32(2))),
    ("llama.context_length", scalar(UInt32(64))), ("llama.embedding_length", scalar(UInt32(8))),
    ("llama.attention.head_count", scalar(UInt32(2))), ("llama.attention.head_count_kv", scalar(UInt32(1))),
    ("llama.rope.freq_base", bytes(UInt32(6)) + bytes(Float(10_000).bitPattern)),
    ("general.tags", array(8, [text("a"), text("b")])),
    ("list.numbers", array(5, [bytes(Int32(-1)), bytes(Int32(7))])),
    ("flag", bytes(UInt32(7)) + [1]),
  ]
  package var tensors: [(name: String, shape: [UInt64], type: UInt32)] = [
    ("token_embd.weight", [8, 4], 0), ("output_norm.weight", [8], 0),
  ]
  /// What the header claims instead of the true numbers.
  package var claimedTensorCount: UInt64?
  package var claimedKeyCount: UInt64?
  package var missingDataBytes = 0

  package init() {}

  package static func bytes<T: FixedWidthInteger>(_ value: T) -> [UInt8] {
    withUnsafeBytes(of: value.littleEndian) { Array($0) }
  }
  package static func text(_ text: String) -> [UInt8] { bytes(UInt64(text.utf8.count)) + Array(text.utf8) }
  package static func scalar(_ text: String) -> [UInt8] { bytes(UInt32(8)) + Self.text(text) }
  package static func scalar(_ value: UInt32) -> [UInt8] { bytes(UInt32(4)) + bytes(value) }
  package static func array(_ type: UInt32, _ elements: [[UInt8]]) -> [UInt8] {
    bytes(UInt32(9)) + bytes(type) + bytes(UInt64(elements.count)) + elements.flatMap { $0 }
  }

  package mutating func set(_ key: String, _ value: [UInt8]) {
    metadata.removeAll { $0.key == key }
    metadata.append((key, value))
  }

  /// Sizes of the types used here: F32 and Q4_0.
  private static func byteCount(_ shape: [UInt64], _ type: UInt32) -> Int {
    let elements = shape.reduce(UInt64(1)) { $0.multipliedReportingOverflow(by: $1).partialValue }
    // Shapes that are wrong on purpose must not overflow here; their data is not written anyway.
    return Int(type == 2 ? min(elements, 1 << 30) / 32 * 18 : min(elements, 1 << 30) * 4)
  }

  package func build() -> [UInt8] {
    var result = Array("GGUF".utf8) + Self.bytes(version)
    result += Self.bytes(claimedTensorCount ?? UInt64(tensors.count))
    result += Self.bytes(claimedKeyCount ?? UInt64(metadata.count))
    for (key, value) in metadata { result += Self.text(key) + value }
    var offset = 0
    for tensor in tensors {
      result += Self.text(tensor.name) + Self.bytes(UInt32(tensor.shape.count))
      for dimension in tensor.shape { result += Self.bytes(dimension) }
      result += Self.bytes(tensor.type) + Self.bytes(UInt64(offset))
      offset += (Self.byteCount(tensor.shape, tensor.type) + 31) / 32 * 32
    }
    while result.count % 32 != 0 { result.append(0) }
    // Shapes that are wrong on purpose would ask for terabytes.
    if offset < 1 << 20 { result += [UInt8](repeating: 1, count: offset) }
    return Array(result.dropLast(missingDataBytes))
  }
}

/// A directory for one test, removed at its end.
package final class ScratchDirectory {
  package let url: URL

  package init() throws {
    url = FileManager.default.temporaryDirectory.appending(path: "ra-tests-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(at: url) }

  package func write(_ bytes: [UInt8], name: String = "model.gguf") throws -> String {
    let file = url.appending(path: name)
    try Data(bytes).write(to: file)
    return file.path
  }
}
