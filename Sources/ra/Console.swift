// Progress and reports on standard error, results on standard output.

import Foundation

/// What a person watching sees: one line that is rewritten on a terminal, a line every few seconds elsewhere.
final class Console {
  private let isTerminal = isatty(STDERR_FILENO) != 0
  private let isQuiet: Bool
  private var lastReport = ContinuousClock.now
  private var phaseStart = ContinuousClock.now
  /// What the rate is of: work that has the same total and goes on, whatever part of it has the name.
  private var phase: (done: Int, total: Int, unit: String)?
  private var hasLine = false

  init(quiet: Bool = false) {
    isQuiet = quiet
  }

  /// Tells how far a phase is, with its rate and the time left. `name` may change within a phase.
  func progress(_ name: String, done: Int, total: Int, unit: String) {
    guard !isQuiet else { return }
    let now = ContinuousClock.now
    if phase?.total != total || phase?.unit != unit || (phase?.done ?? 0) > done {
      phaseStart = now
      lastReport = now
    }
    phase = (done, total, unit)
    let interval: Duration = isTerminal ? .milliseconds(100) : .seconds(5)
    guard now - lastReport >= interval, done > 0 else { return }
    lastReport = now
    let seconds = (now - phaseStart) / .seconds(1)
    let rate = Double(done) / max(seconds, 1e-9)
    let left = Double(total - done) / rate
    var line = "\(name): \(done) of \(total) \(unit)"
    if unit != "%" { line += String(format: ", %.0f/s, %.0f s left", rate, left) }
    write(isTerminal ? "\r\u{1B}[K" + line : line + "\n")
    hasLine = isTerminal
  }

  /// Tells in a line of the caller's what is being done.
  func status(_ line: String) {
    guard !isQuiet else { return }
    let now = ContinuousClock.now
    let interval: Duration = isTerminal ? .milliseconds(100) : .seconds(5)
    guard now - lastReport >= interval else { return }
    lastReport = now
    write(isTerminal ? "\r\u{1B}[K" + line : line + "\n")
    hasLine = isTerminal
  }

  /// Removes the progress line.
  func clear() {
    if hasLine { write("\r\u{1B}[K") }
    hasLine = false
    phase = nil
  }

  /// A line on standard error.
  func note(_ text: String) {
    clear()
    write(text + "\n")
  }

  /// Text on standard output, at once.
  func output(_ text: String) {
    FileHandle.standardOutput.write(Data(text.utf8))
  }

  private func write(_ text: String) {
    FileHandle.standardError.write(Data(text.utf8))
  }

  /// A JSON document on standard output.
  func json(_ value: some Encodable) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    encoder.dateEncodingStrategy = .iso8601
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    output(String(decoding: try encoder.encode(value), as: UTF8.self) + "\n")
  }
}
