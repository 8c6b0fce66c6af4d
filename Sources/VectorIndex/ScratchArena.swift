// Memory that is taken in order and given back from the end.

/// Memory in a few large chunks that is handed out in order and taken back from the end.
@safe struct ScratchArena: ~Copyable {
  /// Where the next piece begins.
  struct Place: Equatable {
    var chunk = 0
    var offset = 0
  }

  @safe private struct Chunk {
    let base: UnsafeMutableRawPointer
    let size: Int
  }

  private(set) var top = Place()
  private var chunks: [Chunk] = []
  private let poisons: Bool

  /// Of what kernels load at once, and of a cache line.
  private static let alignment = 64
  private static let smallestChunk = 1 << 16
  /// As a float no number, as an index far too large.
  private static let poison: UInt8 = 0xFF

  init(poisons: Bool) { self.poisons = poisons }

  deinit {
    for chunk in chunks { unsafe chunk.base.deallocate() }
  }

  /// Bytes of all chunks.
  var capacity: Int { chunks.reduce(0) { $0 + $1.size } }

  mutating func take(bytes: Int) -> UnsafeMutableRawPointer {
    precondition(bytes >= 0, "\(bytes) bytes of scratch memory")
    let size = (bytes + Self.alignment - 1) & ~(Self.alignment - 1)
    if top.chunk >= chunks.count || size > chunks[top.chunk].size - top.offset { enterNextChunk(size) }
    defer { top.offset += size }
    return unsafe chunks[top.chunk].base + top.offset
  }

  /// Ends what was taken from `place` on. Several chunks become one when nothing is left in them, so that the same
  /// pieces fit the next time without another.
  mutating func end(from place: Place) {
    if poisons { poisonPieces(from: place) }
    top = place
    if place == Place(), chunks.count > 1 {
      let size = capacity
      for chunk in chunks { unsafe chunk.base.deallocate() }
      chunks = [Self.chunk(size)]
    }
  }

  /// Chunks grow at least by half of all, so there are few.
  private mutating func enterNextChunk(_ size: Int) {
    let next = chunks.isEmpty ? 0 : top.chunk + 1
    // What is behind the top is empty.
    if next < chunks.count, chunks[next].size < size {
      for chunk in chunks[next...] { unsafe chunk.base.deallocate() }
      chunks.removeLast(chunks.count - next)
    }
    if next == chunks.count {
      chunks.append(Self.chunk(max(size, capacity, Self.smallestChunk)))
    }
    top = Place(chunk: next, offset: 0)
  }

  private static func chunk(_ size: Int) -> Chunk {
    unsafe Chunk(base: .allocate(byteCount: size, alignment: alignment), size: size)
  }

  private func poisonPieces(from place: Place) {
    guard place.chunk < chunks.count else { return }
    for number in place.chunk...top.chunk {
      let begin = number == place.chunk ? place.offset : 0
      let end = number == top.chunk ? top.offset : chunks[number].size
      unsafe (chunks[number].base + begin).initializeMemory(
        as: UInt8.self, repeating: Self.poison, count: end - begin)
    }
  }
}
