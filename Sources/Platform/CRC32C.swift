// The checksum of index files. It finds every flipped bit, every burst of up to 32 bits, and others but for one in
// 2^32. It is no defence against someone who changes a file on purpose.

/// CRC-32C (Castagnoli; RFC 3720, appendix B.4): reflected polynomial 0x82F63B78, all ones before and after.
///
/// Eight bytes a step by tables (slicing-by-8; Kounavis, Berry, 2005).
package struct CRC32C {
  private var state: UInt32 = .max

  package init() {}

  /// The checksum of all bytes so far.
  package var value: UInt32 { ~state }

  package static func checksum(of bytes: UnsafeRawBufferPointer) -> UInt32 {
    var sum = CRC32C()
    unsafe sum.update(bytes)
    return sum.value
  }

  package mutating func update(_ bytes: UnsafeRawBufferPointer) {
    unsafe Self.tables.withUnsafeBufferPointer { tables in
      var crc = state
      var next = 0
      while next + 8 <= bytes.count {
        let read = unsafe bytes.loadUnaligned(fromByteOffset: next, as: UInt64.self)
        let word = UInt64(littleEndian: read) ^ UInt64(crc)
        crc = 0
        for byte in 0..<8 {
          unsafe crc ^= tables[(7 - byte) * 256 + Int((word >> (8 * UInt64(byte))) & 0xff)]
        }
        next += 8
      }
      while next < bytes.count {
        crc = unsafe (crc >> 8) ^ tables[Int((crc ^ UInt32(bytes[next])) & 0xff)]
        next += 1
      }
      state = crc
    }
  }

  /// `[8, 256]`: row r advances a byte by r more bytes.
  private static let tables: [UInt32] = {
    var tables = [UInt32](repeating: 0, count: 8 * 256)
    for byte in 0..<256 {
      var crc = UInt32(byte)
      for _ in 0..<8 { crc = crc & 1 == 1 ? (crc >> 1) ^ 0x82f6_3b78 : crc >> 1 }
      tables[byte] = crc
    }
    for i in 256..<8 * 256 {
      let shorter = tables[i - 256]
      tables[i] = (shorter >> 8) ^ tables[Int(shorter & 0xff)]
    }
    return tables
  }()
}
