import Testing
import VectorIndex

@Suite struct RowBufferTests {
  @Test func appendsAcrossGrowth() {
    var buffer = RowBuffer<UInt32>()
    for i in 0..<1000 { buffer.append(UInt32(i * i)) }
    let (count, capacity, bytes) = (buffer.count, buffer.capacity, buffer.byteCount)
    #expect(count == 1000)
    #expect(capacity >= 1000)
    #expect(bytes == 4000)
    var elements: [UInt32] = []
    for i in 0..<1000 { elements.append(buffer[i]) }
    #expect(elements == (0..<1000).map { UInt32($0 * $0) })
  }

  @Test func growsByReturningTheFirstNewElement() {
    var buffer = RowBuffer<Float>(capacity: 2)
    buffer.append(1)
    buffer.grow(by: 5).update(repeating: 7, count: 5)
    buffer[0] = 3
    let end = buffer.grow(by: 0)
    let base = buffer.base
    #expect(end == base + 6)
    #expect(Array(UnsafeBufferPointer(start: base, count: 6)) == [3, 7, 7, 7, 7, 7])
  }

  @Test func reservingKeepsCountAndElements() {
    var buffer = RowBuffer<UInt16>()
    buffer.append(9)
    buffer.reserve(500)
    let (base, count, capacity, element) = (buffer.base, buffer.count, buffer.capacity, buffer[0])
    #expect(count == 1)
    #expect(capacity >= 500)
    #expect(element == 9)
    buffer.reserve(500)
    let sameBase = buffer.base
    #expect(sameBase == base, "there was room enough")
    buffer.removeAll()
    let (left, bytes) = (buffer.count, buffer.byteCount)
    #expect(left == 0)
    #expect(bytes == 0)
  }
}
