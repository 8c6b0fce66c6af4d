import Foundation
import Testing

@testable import Platform

@Suite struct SHA256Tests {
  private func sum(_ bytes: [UInt8]) -> String {
    var sum = SHA256()
    bytes.withUnsafeBytes { sum.update($0) }
    return sum.hexadecimal
  }

  /// The examples of FIPS 180-4's page, and lengths around those where the padding needs a block more.
  @Test(
    arguments: [
      ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
      ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
      (
        "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
      ),
      (
        String(repeating: "a", count: 1_000_000),
        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"
      ),
      (
        String(repeating: "a", count: 55),
        "9f4390f8d30c2dd92ec9f095b65e2b9ae9b0a925a5258e241c9f1e910f734318"
      ),
      (
        String(repeating: "a", count: 64),
        "ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb"
      ),
    ])
  func `Known sums`(text: String, expected: String) { #expect(sum(Array(text.utf8)) == expected) }

  @Test func `Pieces give the sum of the whole, and a sum can go on`() throws {
    let bytes = (0..<1000).map { UInt8(truncatingIfNeeded: $0 &* 37 &+ $0 / 7) }
    let whole = sum(bytes)
    for size in [1, 3, 63, 64, 65, 128, 500, 999] {
      var pieces = SHA256()
      for start in stride(from: 0, to: bytes.count, by: size) {
        bytes[start..<min(start + size, bytes.count)].withUnsafeBytes { pieces.update($0) }
        _ = pieces.hexadecimal
      }
      #expect(pieces.hexadecimal == whole, "pieces of \(size)")
    }
  }

  @Test func `A file has the sum of its bytes`() throws {
    let folder = NSTemporaryDirectory() + "/sum-" + UUID().uuidString
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let bytes = (0..<(1 << 20) + 100).map { UInt8(truncatingIfNeeded: $0 / 3) }
    try Data(bytes).write(to: URL(fileURLWithPath: folder))
    var told: [Int] = []
    #expect(try SHA256.hexadecimal(ofFile: folder) { told.append($0) } == sum(bytes))
    #expect(told == [1 << 20, bytes.count])
    #expect(throws: (any Error).self) { try SHA256.hexadecimal(ofFile: folder + "-none") }
  }
}
