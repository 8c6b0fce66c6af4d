// Memory that is taken in scopes and goes with them.

package import AttentionKernels

/// A scope of a workspace's memory: what is taken in it ends with it.
///
///     let scratch = workspace.scope()
///     let scores = scratch.floats(count)
///
/// Each piece is new, at a multiple of 64 bytes, and holds anything. Pieces do not move. Only the innermost open scope
/// may be taken from, which is checked: so whoever returns memory gets the scope it is to be in from the caller, and
/// takes it before opening one of its own.
package struct Scratch: ~Copyable {
  package let workspace: Workspace
  private let depth: Int
  private let start: ScratchArena.Place

  init(_ workspace: Workspace, depth: Int, start: ScratchArena.Place) {
    self.workspace = workspace
    self.depth = depth
    self.start = start
  }

  deinit {
    if depth > 0 { workspace.end(depth: depth, start: start) }
  }

  package var kernels: Kernels { workspace.kernels }

  package func floats(_ count: Int) -> UnsafeMutablePointer<Float> { take(count) }
  package func halves(_ count: Int) -> UnsafeMutablePointer<UInt16> { take(count) }
  package func bytes(_ count: Int) -> UnsafeMutablePointer<UInt8> { take(count) }
  package func indices(_ count: Int) -> UnsafeMutablePointer<UInt32> { take(count) }
  package func ranks(_ count: Int) -> UnsafeMutablePointer<UInt64> { take(count) }
  package func rankedRows(_ count: Int) -> UnsafeMutablePointer<RankedRow> { take(count) }

  private func take<Element: BitwiseCopyable>(_ count: Int) -> UnsafeMutablePointer<Element> {
    workspace.take(bytes: count * MemoryLayout<Element>.stride, depth: depth)
      .bindMemory(to: Element.self, capacity: count)
  }
}

/// Memory in a few large chunks that is handed out in order and taken back from the end.
struct ScratchArena: ~Copyable {
  /// Where the next piece begins.
  struct Place: Equatable {
    var chunk = 0
    var offset = 0
  }

  private struct Chunk {
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
    for chunk in chunks { chunk.base.deallocate() }
  }

  /// Bytes of all chunks.
  var capacity: Int { chunks.reduce(0) { $0 + $1.size } }

  mutating func take(bytes: Int) -> UnsafeMutableRawPointer {
    precondition(bytes >= 0, "\(bytes) bytes of scratch memory")
    let size = (bytes + Self.alignment - 1) & ~(Self.alignment - 1)
    if top.chunk >= chunks.count || size > chunks[top.chunk].size - top.offset { enterNextChunk(size) }
    defer { top.offset += size }
    return chunks[top.chunk].base + top.offset
  }

  /// Ends what was taken from `place` on. Several chunks become one when nothing is left in them, so that the same
  /// pieces fit the next time without another.
  mutating func end(from place: Place) {
    if poisons { poisonPieces(from: place) }
    top = place
    if place == Place(), chunks.count > 1 {
      let size = capacity
      for chunk in chunks { chunk.base.deallocate() }
      chunks = [Self.chunk(size)]
    }
  }

  /// Chunks grow at least by half of all, so there are few.
  private mutating func enterNextChunk(_ size: Int) {
    let next = chunks.isEmpty ? 0 : top.chunk + 1
    // What is behind the top is empty.
    if next < chunks.count, chunks[next].size < size {
      for chunk in chunks[next...] { chunk.base.deallocate() }
      chunks.removeLast(chunks.count - next)
    }
    if next == chunks.count { chunks.append(Self.chunk(max(size, capacity, Self.smallestChunk))) }
    top = Place(chunk: next, offset: 0)
  }

  private static func chunk(_ size: Int) -> Chunk {
    Chunk(base: .allocate(byteCount: size, alignment: alignment), size: size)
  }

  private func poisonPieces(from place: Place) {
    guard place.chunk < chunks.count else { return }
    for number in place.chunk...top.chunk {
      let begin = number == place.chunk ? place.offset : 0
      let end = number == top.chunk ? top.offset : chunks[number].size
      (chunks[number].base + begin).initializeMemory(
        as: UInt8.self, repeating: Self.poison, count: end - begin)
    }
  }
}
