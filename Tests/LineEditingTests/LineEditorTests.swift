// The editor on a pseudo terminal.

import Foundation
import LineEditing
import Testing

/// Both ends of a terminal.
private final class Terminal: Sendable {
  let person: Int32
  let program: Int32

  init() throws {
    #if os(Linux)
      // Glibc's functions for this are hidden from Swift: by hand, as it does it.
      let (unlock, number) = (UInt(0x4004_5431), UInt(0x8004_5430))
      person = open("/dev/ptmx", O_RDWR | O_NOCTTY)
      var zero: Int32 = 0
      var index: Int32 = 0
      try #require(ioctl(person, unlock, &zero) == 0 && ioctl(person, number, &index) == 0)
      let name = "/dev/pts/\(index)"
    #else
      person = posix_openpt(O_RDWR | O_NOCTTY)
      try #require(person >= 0 && grantpt(person) == 0 && unlockpt(person) == 0)
      let name = try #require(ptsname(person).map { String(cString: $0) })
    #endif
    program = open(name, O_RDWR | O_NOCTTY)
    try #require(program >= 0)
  }

  deinit {
    close(person)
    close(program)
  }

  /// Writes as soon as the program reads keys; before that, the system would take some of them for itself.
  func typeWhenAsked(_ text: String) {
    Task.detached {
      while self.isCooked { usleep(1000) }
      let bytes = Array(text.utf8)
      _ = write(self.person, bytes, bytes.count)
    }
  }

  /// Closes the person's end, as a window does.
  func closeWhenAsked() {
    Task.detached {
      while self.isCooked { usleep(1000) }
      let null = open("/dev/null", O_RDWR)
      dup2(null, self.person)
      close(null)
    }
  }

  /// Whether all of these are drawn, within some seconds.
  func shows(_ parts: String...) -> Bool {
    _ = fcntl(person, F_SETFL, O_NONBLOCK)
    var screen = ""
    for _ in 0..<5000 {
      var bytes = [UInt8](repeating: 0, count: 1 << 12)
      let count = read(person, &bytes, bytes.count)
      screen += String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
      if parts.allSatisfy(screen.contains) { return true }
      usleep(1000)
    }
    return false
  }

  var isCooked: Bool {
    var settings = termios()
    return tcgetattr(program, &settings) == 0 && settings.c_lflag & tcflag_t(ICANON) != 0
  }
}

@Suite(.serialized, .timeLimit(.minutes(1))) struct LineEditorTests {
  @Test func editsLinesAndKeepsThem() throws {
    let terminal = try Terminal()
    let editor = LineEditor(input: terminal.program, output: terminal.program)
    #expect(terminal.isCooked)
    // All at once: keys after the end of a line belong to the next one.
    terminal.typeWhenAsked("helo\u{1B}[Dl\r\u{1B}[A!\r\r")
    #expect(editor.readLine(prompt: "> ") == .line("hello"))
    #expect(terminal.isCooked)
    #expect(editor.readLine(prompt: "> ") == .line("hello!"))
    #expect(editor.readLine(prompt: "> ") == .line(""))
    #expect(editor.history == ["hello", "hello!"])
    #expect(terminal.shows("> hello\r\n", "> hello!\r\n"))
  }

  @Test func looksForEarlierLines() throws {
    let terminal = try Terminal()
    let editor = LineEditor(input: terminal.program, output: terminal.program)
    terminal.typeWhenAsked(
      "first line\rsecond line\r\u{12}line\u{12}\r\u{12}second\u{1B}[D\u{7F}N\rabc\u{12}first\u{7}\r")
    #expect(editor.readLine(prompt: "> ") == .line("first line"))
    #expect(editor.readLine(prompt: "> ") == .line("second line"))
    // The next older one with the word.
    #expect(editor.readLine(prompt: "> ") == .line("first line"))
    // A key that moves ends the search, and the line can be edited.
    #expect(editor.readLine(prompt: "> ") == .line("second liNe"))
    // Ctrl-G leaves the line as it was.
    #expect(editor.readLine(prompt: "> ") == .line("abc"))
  }

  @Test func tellsInterruptionAndEnd() throws {
    let terminal = try Terminal()
    let editor = LineEditor(input: terminal.program, output: terminal.program)
    terminal.typeWhenAsked("abc\u{3}\u{3}ab\u{2}\u{4}\r\u{4}")
    #expect(editor.readLine(prompt: "") == .interrupted(wasEmpty: false))
    #expect(editor.readLine(prompt: "") == .interrupted(wasEmpty: true))
    #expect(editor.readLine(prompt: "") == .line("a"))
    #expect(editor.readLine(prompt: "") == .endOfInput)
    #expect(terminal.isCooked)
    #expect(editor.history == ["a"])
  }

  @Test func aTerminalThatIsGoneEndsInput() throws {
    let terminal = try Terminal()
    let editor = LineEditor(input: terminal.program, output: terminal.program)
    terminal.closeWhenAsked()
    #expect(editor.readLine(prompt: "> ") == .endOfInput)
  }

  @Test func whatIsNoTerminalEndsAtOnce() throws {
    let descriptor = open("/dev/null", O_RDWR)
    defer { close(descriptor) }
    #expect(LineEditor(input: descriptor, output: descriptor).readLine(prompt: "> ") == .endOfInput)
    #expect(!LineEditor.isPossible(input: descriptor, output: descriptor, terminal: "xterm"))
    let terminal = try Terminal()
    #expect(LineEditor.isPossible(input: terminal.program, output: terminal.program, terminal: "xterm"))
    #expect(!LineEditor.isPossible(input: terminal.program, output: terminal.program, terminal: "dumb"))
  }
}
