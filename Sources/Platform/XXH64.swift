// XXH64 (https://github.com/Cyan4973/xxHash, doc/xxhash_spec.md): fast, and no defence against purpose.

package import Foundation

/// The XXH64 of bytes that come in pieces, seed 0.
package struct XXH64 {
  private static let prime1: UInt64 = 0x9E37_79B1_85EB_CA87
  private static let prime2: UInt64 = 0xC2B2_AE3D_27D4_EB4F
  private static let prime3: UInt64 = 0x1656_67B1_9E37_79F9
  private static let prime4: UInt64 = 0x85EB_CA77_C2B2_AE63
  private static let prime5: UInt64 = 0x27D4_EB2F_1656_67C5
  private static let stripe = 32

  private var lanes: (UInt64, UInt64, UInt64, UInt64) = (
    XXH64.prime1 &+ XXH64.prime2, XXH64.prime2, 0, 0 &- XXH64.prime1
  )
  private var count: UInt64 = 0
  /// The last bytes, fewer than a stripe.
  private var rest: [UInt8] = []

  package init() {}

  package static func hash(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
    var sum = XXH64()
    unsafe sum.update(bytes)
    return sum.value
  }

  /// The hash of a text's UTF-8 in 16 hexadecimal digits.
  package static func hexadecimal(_ text: String) -> String {
    var text = text
    return hexadecimal(text.withUTF8 { unsafe hash(UnsafeRawBufferPointer($0)) })
  }

  /// The same of bytes.
  package static func hexadecimal(_ data: Data) -> String {
    hexadecimal(unsafe data.withUnsafeBytes { unsafe hash($0) })
  }

  /// 16 digits.
  package static func hexadecimal(_ sum: UInt64) -> String {
    let digits = String(sum, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }

  package mutating func update(_ bytes: UnsafeRawBufferPointer) {
    count &+= UInt64(bytes.count)
    var bytes = unsafe bytes[...]
    if !rest.isEmpty {
      let missing = unsafe bytes.prefix(Self.stripe - rest.count)
      unsafe rest += missing
      unsafe bytes = bytes.dropFirst(missing.count)
      guard rest.count == Self.stripe else { return }
      unsafe rest.withUnsafeBytes { unsafe take($0) }
      rest.removeAll(keepingCapacity: true)
    }
    let whole = unsafe bytes.count / Self.stripe * Self.stripe
    unsafe take(UnsafeRawBufferPointer(rebasing: bytes.prefix(whole)))
    unsafe rest += bytes.dropFirst(whole)
  }

  /// Takes whole stripes.
  private mutating func take(_ bytes: UnsafeRawBufferPointer) {
    var (a, b, c, d) = lanes
    var next = 0
    while next < bytes.count {
      a = unsafe Self.round(a, Self.word(bytes, next))
      b = unsafe Self.round(b, Self.word(bytes, next + 8))
      c = unsafe Self.round(c, Self.word(bytes, next + 16))
      d = unsafe Self.round(d, Self.word(bytes, next + 24))
      next += Self.stripe
    }
    lanes = (a, b, c, d)
  }

  /// The hash of all bytes so far.
  package var value: UInt64 {
    var sum = Self.prime5
    if count >= UInt64(Self.stripe) {
      let (a, b, c, d) = lanes
      sum = Self.rotate(a, 1) &+ Self.rotate(b, 7) &+ Self.rotate(c, 12) &+ Self.rotate(d, 18)
      for lane in [a, b, c, d] { sum = (sum ^ Self.round(0, lane)) &* Self.prime1 &+ Self.prime4 }
    }
    sum = sum &+ count
    unsafe rest.withUnsafeBytes { bytes in
      var next = 0
      while next + 8 <= bytes.count {
        sum =
          unsafe Self.rotate(sum ^ Self.round(0, Self.word(bytes, next)), 27) &* Self.prime1 &+ Self.prime4
        next += 8
      }
      if next + 4 <= bytes.count {
        let half = unsafe UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: next, as: UInt32.self))
        sum = Self.rotate(sum ^ UInt64(half) &* Self.prime1, 23) &* Self.prime2 &+ Self.prime3
        next += 4
      }
      while next < bytes.count {
        sum = unsafe Self.rotate(sum ^ UInt64(bytes[next]) &* Self.prime5, 11) &* Self.prime1
        next += 1
      }
    }
    sum = (sum ^ sum >> 33) &* Self.prime2
    sum = (sum ^ sum >> 29) &* Self.prime3
    return sum ^ sum >> 32
  }

  private static func word(_ bytes: UnsafeRawBufferPointer, _ offset: Int) -> UInt64 {
    unsafe UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
  }

  private static func rotate(_ value: UInt64, _ count: UInt64) -> UInt64 {
    value << count | value >> (64 - count)
  }

  private static func round(_ lane: UInt64, _ input: UInt64) -> UInt64 {
    rotate(lane &+ input &* prime2, 31) &* prime1
  }
}
