import Foundation
import Testing

@testable import Platform

@Suite struct XXH64Tests {
  /// From the reference implementation, xxhsum 0.8.
  @Test(
    arguments: [
      ("", 0xEF46_DB37_51D8_E999), ("a", 0xD24E_C4F1_A98C_6E5B), ("abc", 0x44BC_2CF5_AD77_0999),
      ("Nobody inspects the spammish repetition", 0xFBCE_A83C_8A37_8BF1),
    ] as [(String, UInt64)])
  func `Known sums`(text: String, sum: UInt64) {
    #expect(Array(text.utf8).withUnsafeBytes { XXH64.hash($0) } == sum)
  }

  @Test func `Pieces give the sum of the whole`() {
    let bytes = (0..<1000).map { UInt8(truncatingIfNeeded: $0 &* 37 &+ $0 / 7) }
    let whole = bytes.withUnsafeBytes { XXH64.hash($0) }
    for size in [1, 3, 31, 32, 33, 64, 500, 999] {
      var sum = XXH64()
      for start in stride(from: 0, to: bytes.count, by: size) {
        bytes[start..<min(start + size, bytes.count)].withUnsafeBytes { sum.update($0) }
      }
      #expect(sum.value == whole, "pieces of \(size)")
    }
  }
}
