import Testing

@testable import VectorIndex

@Suite struct ScratchTests {
  @Test func piecesOfOpenScopesAreApart() {
    let workspace = Workspace()
    let outer = workspace.scope()
    var pieces = [filled(outer.floats(100), 100, with: 1), filled(outer.floats(0), 0, with: 2)]
    pieces.append(filled(outer.floats(70_000), 70_000, with: 3))
    do {
      let inner = workspace.scope()
      // More than a chunk, twice.
      pieces.append(filled(inner.floats(1_000_000), 1_000_000, with: 4))
      pieces.append(filled(inner.floats(3_000_000), 3_000_000, with: 5))
      #expect(pieces.allSatisfy { $0.isWhole })
    }
    let later = filled(outer.floats(50), 50, with: 6)
    #expect(pieces[..<3].allSatisfy { $0.isWhole } && later.isWhole)
    #expect(pieces[0].base + 100 <= pieces[2].base || pieces[2].base + 70_000 <= pieces[0].base)
  }

  @Test func piecesAreAligned() {
    let scratch = Workspace().scope()
    for count in [1, 3, 17, 64, 100_000] {
      #expect(Int(bitPattern: scratch.bytes(count)) % 64 == 0)
      #expect(Int(bitPattern: scratch.halves(count)) % 64 == 0)
      #expect(Int(bitPattern: scratch.ranks(count)) % 64 == 0)
    }
  }

  @Test func memoryIsUsedAgain() {
    let workspace = Workspace()
    func step() -> [UnsafeMutablePointer<Float>] {
      let scratch = workspace.scope()
      let first = scratch.floats(1000)
      let second = { () -> UnsafeMutablePointer<Float> in
        let inner = workspace.scope()
        return inner.floats(300_000)
      }()
      return [first, second, scratch.floats(20)]
    }
    _ = step()
    // What was several chunks is one of the same size.
    let (pieces, bytes) = (step(), workspace.byteCount)
    for _ in 0..<100 { #expect(step() == pieces) }
    #expect(workspace.byteCount == bytes)
    #expect(bytes < 4 * 1_000_000)
  }

  @Test func whatEndedIsPoisoned() {
    let workspace = Workspace(poisons: true)
    let outer = workspace.scope()
    let kept = filled(outer.floats(100), 100, with: 1)
    let ended: UnsafeMutablePointer<Float>
    do {
      let inner = workspace.scope()
      ended = inner.floats(100)
      ended.update(repeating: 2, count: 100)
    }
    #expect((0..<100).allSatisfy { ended[$0].isNaN })
    #expect(kept.isWhole)
    #expect(outer.floats(100) == ended)
  }

  @Test func lastingMemoryEndsWhenItIsRenewed() {
    let workspace = Workspace(poisons: true)
    let piece = filled(workspace.lasting.floats(100), 100, with: 1)
    do {
      let scratch = workspace.scope()
      #expect(filled(scratch.floats(100), 100, with: 2).isWhole)
    }
    #expect(piece.isWhole)
    workspace.renew()
    #expect(piece.base[0].isNaN)
    #expect(workspace.lasting.floats(100) == piece.base)
  }

  #if os(Linux) || os(macOS)
    @Test func anOuterScopeIsClosedWhileAnotherIsOpen() async {
      await #expect(processExitsWith: .failure) {
        let workspace = Workspace()
        let outer = workspace.scope()
        let inner = workspace.scope()
        _ = outer.floats(1)
        _ = inner.floats(1)
      }
    }
  #endif

  /// A warm index answers from the memory that it has, and no part of it is read before it is written.
  @Test func aWarmCallTakesNoMemory() {
    let head = SyntheticHead(rows: 4000, dimension: 64, seed: 4)
    let workspace = Workspace(poisons: true)
    let store = IndexedRows(
      keys: head.keys, values: head.values, dimension: 64, build: .init(), workspace: workspace)
    store.insert(4000, training: store.train(head.queries(32, seed: 4)))
    let queries = head.queries(4, seed: 6)
    let answer = store.attend(queries, search: .init()).attention
    let bytes = workspace.byteCount
    for _ in 0..<3 {
      let again = store.attend(queries, search: .init()).attention
      #expect(again.outputs == answer.outputs && again.logSumExps == answer.logSumExps)
    }
    #expect(workspace.byteCount == bytes)
  }

  private struct Piece {
    let base: UnsafeMutablePointer<Float>
    let count: Int
    let value: Float
    var isWhole: Bool { (0..<count).allSatisfy { base[$0] == value } }
  }

  private func filled(_ base: UnsafeMutablePointer<Float>, _ count: Int, with value: Float) -> Piece {
    base.update(repeating: value, count: count)
    return Piece(base: base, count: count, value: value)
  }
}

/// Writes what no arithmetic survives over some of a workspace's memory.
func fill(_ workspace: Workspace) {
  let scratch = workspace.scope()
  scratch.bytes(50_000_000).update(repeating: 0xFF, count: 50_000_000)
}
