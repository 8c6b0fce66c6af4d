// Reading what may be cut off anywhere or count anything.

@testable import Platform
import Testing

@Suite struct ByteReaderTests {
  private func read<Result>(
    _ bytes: [UInt8], _ body: (inout ByteReader) throws(ByteReader.Failure) -> Result
  ) throws(ByteReader.Failure) -> Result {
    try bytes.withUnsafeBufferPointer { (bytes) throws(ByteReader.Failure) in
      var reader = ByteReader(UnsafeRawBufferPointer(bytes))
      return try body(&reader)
    }
  }

  @Test func numbersAreLittleEndianAndNeedNoAlignment() throws {
    let bytes: [UInt8] = [7, 0x34, 0x12, 0xFE, 0xFF, 0xFF, 0xFF, 1, 0, 0, 0, 0, 0, 0, 0x80]
    try read(bytes) { (reader) throws(ByteReader.Failure) in
      #expect(try reader.integer(UInt8.self) == 7)
      #expect(try reader.integer(UInt16.self) == 0x1234)
      #expect(try reader.integer(Int32.self) == -2)
      #expect(try reader.integer(UInt64.self) == 1 | 1 << 63)
      #expect(reader.remaining == 0)
      #expect(reader.integer(at: 1, UInt16.self) == 0x1234)
    }
  }

  @Test(arguments: 0..<8) func whatIsCutOffIsTold(count: Int) {
    let bytes = [UInt8](repeating: 1, count: count)
    let expected = ByteReader.Failure.ended(.init(offset: 0, wanted: 8, byteCount: count))
    #expect(throws: expected) {
      try read(bytes) { (r) throws(ByteReader.Failure) in try r.integer(UInt64.self) }
    }
    #expect(throws: expected) {
      try read(bytes) { (r) throws(ByteReader.Failure) in try r.count(bytesEach: 1) }
    }
    #expect(throws: expected) { try read(bytes) { (r) throws(ByteReader.Failure) in try r.slice(8) } }
    #expect(throws: expected) { try read(bytes) { (r) throws(ByteReader.Failure) in try r.text(8) } }
  }

  @Test func countsAreBoundedByWhatIsBehindThem() throws {
    let bytes: [UInt8] = [3, 0, 0, 0, 0, 0, 0, 0] + [UInt8](repeating: 0, count: 12)
    #expect(try read(bytes) { (r) throws(ByteReader.Failure) in try r.count(bytesEach: 4) } == 3)
    #expect(throws: ByteReader.Failure.tooMany(offset: 0, count: 3, limit: 2)) {
      try read(bytes) { (r) throws(ByteReader.Failure) in try r.count(bytesEach: 5) }
    }
  }

  @Test func aFailureLeavesThePosition() throws {
    let bytes: [UInt8] = [0xFF, 0xFE, 0x41]
    try read(bytes) { (reader) throws(ByteReader.Failure) in
      #expect(throws: ByteReader.Failure.notText(offset: 0)) { try reader.text(2) }
      #expect(throws: ByteReader.Failure.ended(.init(offset: 0, wanted: .max, byteCount: 3))) {
        try reader.slice(.max)
      }
      #expect(reader.offset == 0)
      _ = try reader.slice(2)
      #expect(try reader.text(1) == "A")
    }
    #expect(ByteReader.Shortage(offset: 2, wanted: .max, byteCount: 3).end == .max)
  }
}
