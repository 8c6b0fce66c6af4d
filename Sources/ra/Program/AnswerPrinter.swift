// An answer on the terminal, as it comes.

import Foundation
import Generation

/// Writes answers to standard output: thoughts dimmed where that is a terminal, and not at all elsewhere.
final class AnswerPrinter {
  private let console: Console
  private let showsReasoning: Bool
  private var isDimmed = false

  /// - Parameter showsReasoning: false for answers alone.
  init(_ console: Console, showsReasoning: Bool) {
    self.console = console
    self.showsReasoning = showsReasoning && isatty(STDOUT_FILENO) != 0
  }

  /// Shows more of the prompt's reading, or of the answer.
  func show(_ event: TextGenerator.Event) {
    switch event {
    case .prefill(let done, let total):
      console.progress("reading", done: done, total: total, unit: "tokens")
    case .reasoning(let text):
      guard showsReasoning else {
        console.clear()
        return
      }
      console.clear()
      if !isDimmed { console.output("\u{1B}[2m") }
      isDimmed = true
      console.output(text)
    case .text(let text):
      console.clear()
      endReasoning()
      console.output(text)
    }
  }

  /// Ends the answer's line.
  func end(_ result: TextGenerator.Result) {
    console.clear()
    endReasoning()
    console.output(result.text.hasSuffix("\n") ? "" : "\n")
  }

  private func endReasoning() {
    guard isDimmed else { return }
    isDimmed = false
    console.output("\u{1B}[0m\n\n")
  }
}
