// Scratch memory of one worker thread.

package import AttentionKernels

/// What one worker thread works with: kernels, and scratch memory that is kept from call to call, so that a decode step
/// allocates nothing once it is warm.
///
/// Owned by whoever runs the workers, one for each. Not thread-safe.
package final class Workspace {
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
    return arena.take(bytes: bytes)
  }

  func end(depth: Int, start: ScratchArena.Place) {
    precondition(depth == self.depth, "a scope ends while another one in it is open")
    self.depth -= 1
    arena.end(from: start)
  }
}
