// What llama.cpp and ggml would print: silent by default, the last lines kept for thrown errors.

import CLlama
import Synchronization

/// The log of llama.cpp, which is global to the process.
///
/// Nothing is printed. The last warnings and errors are kept, because the C API reports most failures as a
/// null pointer and tells the reason only here.
public enum HostLog {
  /// How important a line is.
  public enum Level: Int, Sendable, Comparable {
    /// In rising order.
    case debug, info, warning, error
    /// Debug is lowest.
    public static func < (left: Level, right: Level) -> Bool { left.rawValue < right.rawValue }
  }

  /// Sends every complete line to `handler` from now on; nil is silence again. Called on any thread.
  public static func setHandler(_ handler: (@Sendable (Level, String) -> Void)?) {
    HostBackend.start()
    state.withLock { $0.handler = handler }
  }

  /// The last lines, oldest first; at most 64 of level `minimum` or above.
  public static func recentLines(atLeast minimum: Level = .warning) -> [String] {
    state.withLock { state in state.lines.filter { $0.level >= minimum }.map(\.text) }
  }

  private struct State {
    var handler: (@Sendable (Level, String) -> Void)?
    var lines: [(level: Level, text: String)] = []
    var partial = ""
    var partialLevel = Level.debug
    var sequence = 0
  }

  private static let state = Mutex(State())
  private static let capacity = 64

  static func install() {
    unsafe llama_log_set(
      { level, text, _ in
        if let text = unsafe text { unsafe HostLog.receive(level: level, piece: String(cString: text)) }
      }, nil)
  }

  /// A mark to hand to ``lines(since:)``.
  static func mark() -> Int { state.withLock { $0.sequence } }

  /// Warnings and errors written since `mark`. Another thread's lines may be among them: the log has no
  /// owner.
  static func lines(since mark: Int) -> [String] {
    state.withLock { state in
      let count = min(state.sequence - mark, state.lines.count)
      return state.lines.suffix(max(0, count)).map(\.text)
    }
  }

  private static func receive(level: ggml_log_level, piece: String) {
    var finished: [(Level, String)] = []
    var handler: (@Sendable (Level, String) -> Void)?
    state.withLock { state in
      // Lines arrive in pieces: a CONT piece belongs to the line before it.
      if level != GGML_LOG_LEVEL_CONT {
        switch level {
        case GGML_LOG_LEVEL_ERROR: state.partialLevel = .error
        case GGML_LOG_LEVEL_WARN: state.partialLevel = .warning
        case GGML_LOG_LEVEL_INFO: state.partialLevel = .info
        default: state.partialLevel = .debug
        }
      }
      state.partial += piece
      while let end = state.partial.firstIndex(of: "\n") {
        let line = String(state.partial[..<end])
        state.partial.removeSubrange(...end)
        finished.append((state.partialLevel, line))
        guard state.partialLevel >= .warning, !line.isEmpty else { continue }
        if state.lines.count == capacity { state.lines.removeFirst() }
        state.lines.append((state.partialLevel, line))
        state.sequence += 1
      }
      handler = state.handler
    }
    // Outside the lock: a handler may ask for the recent lines.
    guard let handler else { return }
    for (level, line) in finished { handler(level, line) }
  }
}
