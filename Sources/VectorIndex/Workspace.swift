// What a worker thread works with, and its memory, which is taken in scopes and goes with them.

package import AttentionKernels

/// What one worker thread works with: kernels, and scratch memory that is kept from call to call, so that a decode step
/// allocates nothing once it is warm.
///
/// Owned by whoever runs the workers, one for each. Not thread-safe.
public final class Workspace {
  package let kernels: Kernels
  /// Notes which rows a head reads, while somebody measures; nil otherwise.
  package var recorder: ReadRecorder?
  /// Notes what time is spent on, while somebody measures; nil otherwise.
  package var stages: StageClock?
  /// Which rows searches over graphs have seen.
  let rowMarks = RowMarks()
  private var arena: ScratchArena
  /// Scopes that are open.
  private var depth = 0

  /// - Parameter poisons: whether memory is overwritten when it ends, so that a use of it afterwards is found out.
  package init(kernels: Kernels = .active, poisons: Bool = Workspace.isDebugged) {
    self.kernels = kernels
    arena = ScratchArena(poisons: poisons)
  }

  package static var isDebugged: Bool {
    #if DEBUG
      true
    #else
      false
    #endif
  }

  /// Opens a scope, which ends where the variable does that holds it.
  package func scope() -> Scratch {
    depth += 1
    return Scratch(self, depth: depth, start: arena.top)
  }

  /// The outermost scope, for what must outlive the call that makes it: until ``renew()``.
  package var lasting: Scratch { Scratch(self, depth: 0, start: .init()) }

  /// Ends what was taken from ``lasting``. No scope is open.
  package func renew() {
    precondition(depth == 0, "\(depth) scopes of the workspace are open")
    arena.end(from: .init())
  }

  /// Bytes kept for what will be taken.
  package var byteCount: Int { arena.capacity }

  func take(bytes: Int, depth: Int) -> UnsafeMutableRawPointer {
    precondition(depth == self.depth, "memory is taken from a scope while another one in it is open")
    return unsafe arena.take(bytes: bytes)
  }

  func end(depth: Int, start: ScratchArena.Place) {
    precondition(depth == self.depth, "a scope ends while another one in it is open")
    self.depth -= 1
    arena.end(from: start)
  }
}

/// A scope of a workspace's memory: what is taken in it ends with it.
///
///     let scratch = workspace.scope()
///     let scores = scratch.floats(count)
///
/// Each piece is new, at a multiple of 64 bytes, and holds anything. Pieces do not move. Only the innermost open scope
/// may be taken from, which is checked: so whoever returns memory gets the scope it is to be in from the caller, and
/// takes it before opening one of its own. What is taken is unsafe to take, since nothing keeps it from being used when
/// the scope has ended; only debug builds overwrite it then.
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

  package func floats(_ count: Int) -> UnsafeMutablePointer<Float> { unsafe take(count) }
  package func halves(_ count: Int) -> UnsafeMutablePointer<UInt16> { unsafe take(count) }
  package func bytes(_ count: Int) -> UnsafeMutablePointer<UInt8> { unsafe take(count) }
  package func indices(_ count: Int) -> UnsafeMutablePointer<UInt32> { unsafe take(count) }
  package func ranks(_ count: Int) -> UnsafeMutablePointer<UInt64> { unsafe take(count) }
  package func rankedRows(_ count: Int) -> UnsafeMutablePointer<RankedRow> { unsafe take(count) }

  /// Room for numbers of rows.
  @unsafe package func rows(_ count: Int) -> ListView<UInt32> { unsafe ListView(take(count), count: count) }
  /// Numbers of rows.
  @unsafe package func rows(_ numbers: [Int]) -> ListView<UInt32> {
    let list = unsafe rows(numbers.count)
    for (place, number) in numbers.enumerated() { list[place] = UInt32(number) }
    return list
  }
  @unsafe package func ranked(_ count: Int) -> ListView<RankedRow> {
    unsafe ListView(take(count), count: count)
  }
  /// Room for floats, whose number is kept with them.
  @unsafe package func list(_ count: Int) -> ListView<Float> { unsafe ListView(take(count), count: count) }

  private func take<Element: BitwiseCopyable>(_ count: Int) -> UnsafeMutablePointer<Element> {
    unsafe workspace.take(bytes: count * MemoryLayout<Element>.stride, depth: depth)
      .bindMemory(to: Element.self, capacity: count)
  }
}
