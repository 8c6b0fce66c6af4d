// SHA-256 (FIPS 180-4): what those who publish files give to know them by.

import Foundation

/// The SHA-256 of bytes that come in pieces.
package struct SHA256 {
  /// The first 32 bits of the fractions of the cube roots of the first 64 primes (section 4.2.2).
  private static let constants: [UInt32] = [
    0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5, 0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5,
    0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3, 0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174,
    0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc, 0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da,
    0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7, 0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967,
    0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13, 0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85,
    0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3, 0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070,
    0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5, 0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3,
    0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208, 0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2,
  ]
  private static let block = 64

  private var state: [UInt32] = [
    0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19,
  ]
  private var count: UInt64 = 0
  /// The last bytes, fewer than a block.
  private var rest: [UInt8] = []

  package init() {}

  package mutating func update(_ bytes: UnsafeRawBufferPointer) {
    count &+= UInt64(bytes.count)
    var bytes = unsafe bytes[...]
    if !rest.isEmpty {
      let missing = unsafe bytes.prefix(Self.block - rest.count)
      unsafe rest += missing
      unsafe bytes = bytes.dropFirst(missing.count)
      guard rest.count == Self.block else { return }
      let whole = rest
      rest.removeAll(keepingCapacity: true)
      unsafe whole.withUnsafeBytes { unsafe take($0) }
    }
    let whole = unsafe bytes.count / Self.block * Self.block
    unsafe take(UnsafeRawBufferPointer(rebasing: bytes.prefix(whole)))
    unsafe rest += bytes.dropFirst(whole)
  }

  /// The sum of everything so far, 64 hexadecimal digits.
  package var hexadecimal: String {
    var last = self
    // A one, zeros, and the number of bits, so that it ends with a block.
    var padding: [UInt8] = [0x80]
    padding += [UInt8](repeating: 0, count: (2 * Self.block - 9 - rest.count) % Self.block)
    for shift in stride(from: 56, through: 0, by: -8) {
      padding.append(UInt8(truncatingIfNeeded: (count &* 8) >> UInt64(shift)))
    }
    unsafe padding.withUnsafeBytes { unsafe last.update($0) }
    return last.state.map { number in
      let digits = String(number, radix: 16)
      return String(repeating: "0", count: 8 - digits.count) + digits
    }.joined()
  }

  /// Whole blocks (section 6.2.2).
  private mutating func take(_ bytes: UnsafeRawBufferPointer) {
    unsafe Self.constants.withUnsafeBufferPointer { constants in
      unsafe withUnsafeTemporaryAllocation(of: UInt32.self, capacity: 64) { words in
        for start in stride(from: 0, to: bytes.count, by: Self.block) {
          for index in 0..<16 {
            unsafe words[index] = UInt32(
              bigEndian: bytes.loadUnaligned(fromByteOffset: start + 4 * index, as: UInt32.self))
          }
          for index in 16..<64 {
            let (far, near) = unsafe (words[index - 15], words[index - 2])
            let first = Self.rotate(far, 7) ^ Self.rotate(far, 18) ^ (far >> 3)
            let second = Self.rotate(near, 17) ^ Self.rotate(near, 19) ^ (near >> 10)
            unsafe words[index] = words[index - 16] &+ first &+ words[index - 7] &+ second
          }
          var (a, b, c, d) = (state[0], state[1], state[2], state[3])
          var (e, f, g, h) = (state[4], state[5], state[6], state[7])
          for index in 0..<64 {
            let sums = Self.rotate(e, 6) ^ Self.rotate(e, 11) ^ Self.rotate(e, 25)
            let first = unsafe h &+ sums &+ ((e & f) ^ (~e & g)) &+ constants[index] &+ words[index]
            let second =
              (Self.rotate(a, 2) ^ Self.rotate(a, 13) ^ Self.rotate(a, 22)) &+ ((a & b) ^ (a & c) ^ (b & c))
            (h, g, f, e, d, c, b, a) = (g, f, e, d &+ first, c, b, a, first &+ second)
          }
          state[0] &+= a
          state[1] &+= b
          state[2] &+= c
          state[3] &+= d
          state[4] &+= e
          state[5] &+= f
          state[6] &+= g
          state[7] &+= h
        }
      }
    }
  }

  private static func rotate(_ number: UInt32, _ bits: UInt32) -> UInt32 {
    (number >> bits) | (number << (32 - bits))
  }
}

extension SHA256 {
  /// The sum of a file's bytes.
  ///
  /// - Parameter progress: is told how many bytes were read.
  /// - Throws: Foundation's error where the file cannot be read; `CancellationError` in a cancelled task.
  package static func hexadecimal(
    ofFile path: String, progress: (_ bytes: Int) -> Void = { _ in }
  ) throws -> String {
    let file = try FileHandle(forReadingFrom: URL(fileURLWithPath: path))
    defer { try? file.close() }
    var (sum, done) = (SHA256(), 0)
    while let chunk = try file.read(upToCount: 1 << 20), !chunk.isEmpty {
      try Task.checkCancellation()
      unsafe chunk.withUnsafeBytes { unsafe sum.update($0) }
      done += chunk.count
      progress(done)
    }
    return sum.hexadecimal
  }
}
