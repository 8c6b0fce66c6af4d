// Progress and reports on standard error, results on standard output.

import Foundation
import Generation
import LlamaHost
import Platform
import RetrievalAttention

/// What a person watching sees: one line that is rewritten on a terminal, a line every few seconds elsewhere.
final class Console {
  private let isTerminal = isatty(STDERR_FILENO) != 0
  private let isQuiet: Bool
  private var lastReport = ContinuousClock.now
  private var phaseStart = ContinuousClock.now
  /// What the rate is of: work that has the same total and goes on, whatever part of it has the name.
  private var phase: (done: Double, total: Int, unit: String)?
  /// What was done when the phase began, and costs nothing in it.
  private var phaseBegin = 0.0
  private var estimate = ReadingEstimate()
  private var hasLine = false
  /// Whether it was told that a context is longer than the model was trained for.
  var hasWarnedOfContext = false
  /// By how much a token costs more for each one before it, as far as the model's shape tells.
  private var costGrowth: Double?
  /// What is known of the text that is read next, or now.
  private var forecast: ReadingForecast?
  private var isCounted = false

  init(quiet: Bool = false) {
    isQuiet = quiet
  }

  /// Times that are left are estimated for this model from now on.
  func expect(_ model: LlamaModel) {
    costGrowth = ReadingEstimate.expectedGrowth(model.description)
  }

  /// Tells before the next text is read how long that will take, as far as this machine has read the like, and takes
  /// note of how long it did.
  ///
  /// - Parameter isCounted: whether the number of tokens was told already.
  func expectReading(with runner: any SequenceRunner, isCounted: Bool = false) {
    expect(runner.model)
    forecast = ReadingForecast(runner)
    self.isCounted = isCounted
  }

  /// Texts that are read in less than that need no announcement.
  private static let announcedSeconds = 3.0

  private func announce(_ tokens: Int) {
    guard let forecast, tokens >= ReadingRates.leastTokens else { return }
    let seconds = forecast.seconds(tokens)
    if let seconds, seconds < Self.announcedSeconds { return }
    let parts = [
      isCounted ? nil : formatTokens(tokens), seconds.map { "about \(formatDuration($0))" },
      "\(formatBytes(forecast.bytes(tokens))) of memory",
    ]
    write(parts.compactMap { $0 }.joined(separator: ", ") + "\n")
  }

  /// Keeps what was measured of a text that is read to its end.
  private func keepRate() {
    guard let phase, phase.unit == "tokens", phase.done >= Double(phase.total), let law = estimate.law else {
      return
    }
    forecast?.add(law, tokens: phase.total - Int(phaseBegin))
    forecast = nil
  }

  /// Takes note of how far a phase is; whether it is a new one.
  private func measure(done: Double, total: Int, unit: String, now: ContinuousClock.Instant) -> Bool {
    let isNew = phase?.total != total || phase?.unit != unit || (phase?.done ?? 0) > done
    if isNew {
      (phaseStart, phaseBegin) = (now, done)
      let isText = unit == "tokens"
      estimate = ReadingEstimate(
        growth: isText ? forecast?.growth ?? costGrowth : nil,
        from: (isText ? forecast?.start ?? 0 : 0) + Int(done),
        depth: isText ? forecast?.depth ?? ReadingDepth() : ReadingDepth())
      if isText, done == 0, !isQuiet { announce(total) }
    }
    phase = (done, total, unit)
    estimate.add(done: done - phaseBegin, seconds: (now - phaseStart) / .seconds(1))
    // At once: what follows may take long, or be written nowhere.
    if done >= Double(total) { keepRate() }
    return isNew
  }

  /// Tells how far a phase is, with its rate and the time left. `name` may change within a phase.
  ///
  /// - Parameter done: with fractions, for progress inside a batch.
  func progress(_ name: String, done: Double, total: Int, unit: String) {
    let now = ContinuousClock.now
    let isNew = measure(done: done, total: total, unit: unit, now: now)
    guard !isQuiet else { return }
    let interval: Duration = isTerminal ? .milliseconds(100) : .seconds(5)
    if isNew { lastReport = isTerminal ? now - interval : now }
    guard now - lastReport >= interval else { return }
    lastReport = now
    var line = "\(name): \(Int(done)) of \(total) \(unit)"
    if unit != "%", let left = estimate.secondsLeft(total: Double(total) - phaseBegin),
      let rate = estimate.rate
    {
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
    keepRate()
    if hasLine { write("\r\u{1B}[K") }
    hasLine = false
    phase = nil
  }

  /// A line on standard error.
  func note(_ text: String) {
    clear()
    write(text + "\n")
  }

  /// The same of what helps and is no warning: nothing where it is to be quiet.
  func inform(_ text: String) {
    if !isQuiet { note(text) }
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
