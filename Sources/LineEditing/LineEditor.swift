// Lines from a terminal, with editing and history.

import Platform
import Synchronization

/// Reads lines that a person writes and edits.
///
///     let editor = LineEditor()
///     while case .line(let line) = editor.readLine(prompt: "> ") { ... }
///
/// The terminal is in raw mode only while a line is read. A line longer than the terminal is wide takes several rows.
package final class LineEditor {
  package enum Result: Equatable, Sendable {
    case line(String)
    /// Ctrl-C; what was written is dropped.
    case interrupted(wasEmpty: Bool)
    /// Ctrl-D on an empty line, or the terminal is gone.
    case endOfInput
  }

  private let input: Int32
  private let output: Int32
  private var decoder = KeyDecoder()
  /// Keys that came after the end of the last line.
  private var waiting: [Key] = []
  package private(set) var history: [String] = []
  private let kept: LineHistory?
  /// The row of the cursor, below the first one that was drawn.
  private var drawnRow = 0

  /// Reads from standard input and draws on standard error, unless told otherwise. Both must be terminals.
  ///
  /// - Parameter history: where lines are kept over runs; nil for this run alone.
  package init(input: Int32 = STDIN_FILENO, output: Int32 = STDERR_FILENO, history: LineHistory? = nil) {
    self.input = input
    self.output = output
    kept = history
    if let history { self.history = history.read() }
  }

  /// Whether a line can be edited here.
  package static func isPossible(
    input: Int32 = STDIN_FILENO, output: Int32 = STDERR_FILENO, terminal: String?
  ) -> Bool {
    isatty(input) != 0 && isatty(output) != 0 && terminal != "dumb"
  }

  package func readLine(prompt: String) -> Result {
    guard enterRawMode() else { return .endOfInput }
    defer { Self.restoreTerminal() }
    var buffer = LineBuffer(history: history)
    drawnRow = 0
    draw(prompt, buffer)
    while true {
      guard !waiting.isEmpty || readKeys() else {
        write("\n")
        return .endOfInput
      }
      guard !waiting.isEmpty else { continue }
      let key = waiting.removeFirst()
      switch key {
      case .enter:
        let line = buffer.text
        write("\(Self.start(above: drawnRow))\(prompt)\(line)\n")
        keep(line)
        return .line(line)
      case .interrupt:
        buffer.apply(.end)
        draw(prompt, buffer)
        write("\n")
        return .interrupted(wasEmpty: buffer.characters.isEmpty)
      case .endOfInput where buffer.characters.isEmpty:
        write("\n")
        return .endOfInput
      case .endOfInput: buffer.apply(.delete)
      case .suspend:
        Self.restoreTerminal()
        kill(0, SIGTSTP)
        guard enterRawMode() else { return .endOfInput }
        drawnRow = 0
      case .redraw:
        write("\u{1B}[H\u{1B}[2J")
        drawnRow = 0
      case .search:
        if let key = search(&buffer) { waiting.insert(key, at: 0) }
      default: buffer.apply(key)
      }
      if waiting.isEmpty { draw(prompt, buffer) }
    }
  }

  private func keep(_ line: String) {
    guard !line.allSatisfy(\.isWhitespace), history.last != line else { return }
    history.append(line)
    kept?.append(line)
  }

  /// Looks for an earlier line until a key ends that, which is returned to be applied to the line that was found.
  private func search(_ buffer: inout LineBuffer) -> Key? {
    var search = HistorySearch(history: history)
    while true {
      if waiting.isEmpty {
        var found = LineBuffer()
        found.replace(with: search.match ?? "")
        draw("(search '\(search.query)') ", found)
      }
      guard !waiting.isEmpty || readKeys() else { return .endOfInput }
      guard !waiting.isEmpty else { continue }
      let key = waiting.removeFirst()
      switch key {
      case .text(let text): search.insert(text)
      case .backspace: search.deleteBackward()
      case .search: search.goBack()
      case .cancel, .interrupt: return nil
      default:
        if let match = search.match { buffer.replace(with: match) }
        return key
      }
    }
  }

  /// False at the end of the input.
  private func readKeys() -> Bool {
    var bytes = [UInt8](repeating: 0, count: 4096)
    while true {
      let count = unsafe read(input, &bytes, bytes.count)
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { return false }
      waiting += decoder.decode(bytes.prefix(count))
      return true
    }
  }

  private func draw(_ prompt: String, _ buffer: LineBuffer) {
    let (columns, height) = Self.size(of: output)
    let layout = LineLayout(prompt: prompt, buffer, columns: columns, height: height)
    let up = layout.rows.count - 1 - layout.cursorRow
    write(
      Self.start(above: drawnRow) + layout.rows.joined(separator: "\r\n") + (up > 0 ? "\u{1B}[\(up)A" : "")
        + "\r"
        + (layout.cursorColumn > 0 ? "\u{1B}[\(layout.cursorColumn)C" : ""))
    drawnRow = layout.cursorRow
  }

  /// To the first of the rows that were drawn, and erases them.
  private static func start(above row: Int) -> String { (row > 0 ? "\u{1B}[\(row)A" : "") + "\r\u{1B}[J" }

  /// The size of a terminal; of one that tells none, that of the first ones.
  package static func size(of descriptor: Int32) -> (columns: Int, rows: Int) {
    var size = winsize()
    guard unsafe ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0, size.ws_row > 0 else {
      return (80, 24)
    }
    return (Int(size.ws_col), Int(size.ws_row))
  }

  private func write(_ text: String) {
    let bytes = Array(text.utf8)
    var done = 0
    while done < bytes.count {
      let count = systemWrite(output, bytes[done...])
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { return }
      done += count
    }
  }

  // MARK: Raw mode

  private struct Saved: @unchecked Sendable {
    var input: Int32
    var output: Int32
    var settings: termios
  }

  /// For the whole process, so that a signal's handler can find it.
  private static let saved = Mutex<Saved?>(nil)

  private func enterRawMode() -> Bool {
    var settings = termios()
    guard unsafe tcgetattr(input, &settings) == 0 else { return false }
    let before = Saved(input: input, output: output, settings: settings)
    settings.c_iflag &= ~tcflag_t(BRKINT | ICRNL | INPCK | ISTRIP | IXON)
    settings.c_lflag &= ~tcflag_t(ECHO | ICANON | IEXTEN | ISIG)
    unsafe withUnsafeMutableBytes(of: &settings.c_cc) { characters in
      unsafe characters[Int(VMIN)] = 1
      unsafe characters[Int(VTIME)] = 0
    }
    Self.saved.withLock { $0 = before }
    // What was typed ahead stays.
    guard unsafe tcsetattr(input, TCSADRAIN, &settings) == 0 else { return false }
    write("\u{1B}[?2004h")
    return true
  }

  /// Leaves raw mode, if a line is being read: also for handlers of signals that end the program.
  package static func restoreTerminal() {
    saved.withLock { saved in
      guard var before = saved else { return }
      saved = nil
      _ = systemWrite(before.output, Array("\u{1B}[?2004l".utf8)[...])
      unsafe tcsetattr(before.input, TCSADRAIN, &before.settings)
    }
  }
}

/// `write(2)`; inside the type above the name means its own method.
private func systemWrite(_ descriptor: Int32, _ bytes: ArraySlice<UInt8>) -> Int {
  unsafe bytes.withUnsafeBytes { unsafe write(descriptor, $0.baseAddress, $0.count) }
}
