// Bytes from outside, read with every count compared with what is there.

/// A position in bytes that may hold anything. All numbers are little-endian, and none needs to be aligned.
///
/// A read that fails leaves the position where it was. Reads are within the bytes; the memory belongs to whoever made
/// the reader, and must outlive it.
@safe package struct ByteReader {
  /// Why something could not be read; whoever knows what it was makes an error of its own of this.
  package enum Failure: Error, Equatable {
    /// There are fewer bytes than were asked for.
    case ended(Shortage)
    /// The number at `offset` counts more things than fit into what is behind it.
    case tooMany(offset: Int, count: UInt64, limit: UInt64)
    /// The text at `offset` is not UTF-8.
    case notText(offset: Int)
  }

  /// `wanted` bytes from `offset` on are more than the `byteCount` that there are from the start.
  package struct Shortage: Equatable, Sendable {
    package var offset: Int
    package var wanted: UInt64
    package var byteCount: Int

    /// How many bytes from the start would do; the largest number for more than can be counted.
    package var end: UInt64 {
      let (end, overflow) = UInt64(offset).addingReportingOverflow(wanted)
      return overflow ? .max : end
    }
  }

  package let bytes: UnsafeRawBufferPointer
  /// Where the next read begins; at most the number of bytes.
  package private(set) var offset: Int

  package init(_ bytes: UnsafeRawBufferPointer, from offset: Int = 0) {
    precondition((0...bytes.count).contains(offset), "\(offset) is not within \(bytes.count) bytes")
    unsafe self.bytes = bytes
    self.offset = offset
  }

  /// All bytes, those before the position too.
  package var byteCount: Int { unsafe bytes.count }
  /// Bytes from the position on.
  package var remaining: Int { unsafe bytes.count - offset }

  /// Fails unless so many bytes are left.
  package func require(_ count: UInt64) throws(Failure) {
    guard count <= UInt64(remaining) else {
      throw unsafe .ended(Shortage(offset: offset, wanted: count, byteCount: bytes.count))
    }
  }

  package mutating func integer<Number: FixedWidthInteger>(
    _ type: Number.Type = Number.self
  ) throws(Failure) -> Number {
    try require(UInt64(MemoryLayout<Number>.size))
    defer { offset += MemoryLayout<Number>.size }
    return integer(at: offset)
  }

  /// A number of 64 bits that counts things behind it, of which each takes at least `bytesEach`.
  package mutating func count(bytesEach: Int) throws(Failure) -> Int {
    var next = self
    let value = try next.integer(UInt64.self)
    let limit = UInt64(next.remaining / bytesEach)
    guard value <= limit else { throw .tooMany(offset: offset, count: value, limit: limit) }
    self = next
    return Int(value)
  }

  /// So many bytes, where they are.
  package mutating func slice(_ count: UInt64) throws(Failure) -> UnsafeRawBufferPointer {
    try require(count)
    defer { offset += Int(count) }
    return unsafe UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + Int(count)])
  }

  /// A copy of so many bytes, or of as many as there are.
  package mutating func prefix(_ count: Int) -> [UInt8] {
    let end = offset + Swift.min(Swift.max(0, count), remaining)
    defer { offset = end }
    return unsafe Array(bytes[offset..<end])
  }

  /// Text of so many bytes.
  package mutating func text(_ count: UInt64) throws(Failure) -> String {
    var next = self
    guard let text = unsafe String(validating: try next.slice(count), as: UTF8.self) else {
      throw .notText(offset: offset)
    }
    self = next
    return text
  }

  /// A reader of the first bytes alone, which traps where there are fewer.
  package func first(_ count: Int) -> ByteReader {
    unsafe ByteReader(UnsafeRawBufferPointer(rebasing: bytes[..<count]))
  }

  /// The checksum of all bytes but for some, which hold a sum.
  package func checksum(skipping hole: Range<Int>) -> UInt32 {
    var sum = CRC32C()
    unsafe sum.update(UnsafeRawBufferPointer(rebasing: bytes[..<hole.lowerBound]))
    unsafe sum.update(UnsafeRawBufferPointer(rebasing: bytes[hole.upperBound...]))
    return sum.value
  }

  /// The number at a place whose caller knows that it is there: traps beyond the end.
  package func integer<Number: FixedWidthInteger>(
    at place: Int, _ type: Number.Type = Number.self
  ) -> Number {
    unsafe precondition(place >= 0 && place <= bytes.count - MemoryLayout<Number>.size)
    return unsafe Number(littleEndian: bytes.loadUnaligned(fromByteOffset: place, as: Number.self))
  }
}
