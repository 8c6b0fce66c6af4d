// Progress and reports on standard error, results on standard output.

import Foundation
import Generation
import LlamaHost
import Platform

/// What a person watching sees: one line that is rewritten on a terminal, a line every few seconds elsewhere.
final class Console {
  private let isTerminal = isatty(STDERR_FILENO) != 0
  private let isQuiet: Bool
  private var lastReport = ContinuousClock.now
  private var phaseStart = ContinuousClock.now
  /// What the rate is of: work that has the same total and goes on, whatever part of it has the name.
  private var phase: (done: Double, total: Int, unit: String)?
  private var estimate = ReadingEstimate()
  private var hasLine = false
  /// Whether it was told that a context is longer than the model was trained for.
  var hasWarnedOfContext = false
  /// By how much a token costs more for each one before it, as far as the model's shape tells.
  private var costGrowth: Double?

  init(quiet: Bool = false) {
    isQuiet = quiet
  }

  /// Times that are left are estimated for this model from now on.
  func expect(_ model: LlamaModel) {
    costGrowth = ReadingEstimate.expectedGrowth(model.description)
  }

  /// Tells how far a phase is, with its rate and the time left. `name` may change within a phase.
  ///
  /// - Parameter done: with fractions, for progress inside a batch.
  func progress(_ name: String, done: Double, total: Int, unit: String) {
    guard !isQuiet else { return }
    let now = ContinuousClock.now
    let isNew = phase?.total != total || phase?.unit != unit || (phase?.done ?? 0) > done
    if isNew {
      phaseStart = now
      estimate = ReadingEstimate(growth: unit == "tokens" ? costGrowth : nil)
    }
    phase = (done, total, unit)
    estimate.add(done: done, seconds: (now - phaseStart) / .seconds(1))
    let interval: Duration = isTerminal ? .milliseconds(100) : .seconds(5)
    if isNew { lastReport = isTerminal ? now - interval : now }
    guard now - lastReport >= interval else { return }
    lastReport = now
    var line = "\(name): \(Int(done)) of \(total) \(unit)"
    if unit != "%", let left = estimate.secondsLeft(total: Double(total)), let rate = estimate.rate {
      line += String(format: ", %.0f/s, ", rate) + "\(formatDuration(left)) left"
    }
    write(isTerminal ? "\r\u{1B}[K" + line : line + "\n")
    hasLine = isTerminal
  }

  func progress(_ name: String, done: Int, total: Int, unit: String) {
    progress(name, done: Double(done), total: total, unit: unit)
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

  /// Text on standard output, at once. Where it cannot be written, the work is cancelled: nobody would see its result.
  func output(_ text: String) {
    guard StandardStream.output.write(text) != nil else { return }
    unsafe withUnsafeCurrentTask { unsafe $0?.cancel() }
  }

  private func write(_ text: String) { StandardStream.error.write(text) }

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

/// `45 s`, `12 min`, `3.5 h`: as exact as an estimate is.
func formatDuration(_ seconds: Double) -> String {
  if seconds < 90 { return "\(Int(seconds.rounded())) s" }
  if seconds < 90 * 60 { return "\(Int((seconds / 60).rounded())) min" }
  return String(format: "%.1f h", seconds / 3600)
}
