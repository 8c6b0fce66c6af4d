// An answer on the terminal, as it comes.

import Foundation
import Generation
import LineEditing

/// Writes answers to standard output: thoughts dimmed where that is a terminal, and not at all elsewhere.
final class AnswerPrinter {
  private let console: Console
  private let showsReasoning: Bool
  /// Whether the answer comes as a whole, at the end.
  private let waits: Bool
  private var isDimmed = false
  /// Words stay whole where a person looks on.
  private var wrap: WordWrap?

  /// - Parameter showsReasoning: false for answers alone.
  init(_ console: Console, showsReasoning: Bool, waits: Bool = false) {
    self.console = console
    self.waits = waits
    let isTerminal = isatty(STDOUT_FILENO) != 0
    self.showsReasoning = showsReasoning && isTerminal
    if isTerminal { wrap = WordWrap(columns: LineEditor.size(of: STDOUT_FILENO).columns) }
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
      write(text)
    case .text(let text):
      guard !waits else { return console.status("answering") }
      console.clear()
      endReasoning()
      write(text)
    }
  }

  private func write(_ text: String) { console.output(wrap?.write(text) ?? text) }

  /// Ends the answer's line, or writes it with its passages.
  func end(_ result: TextGenerator.Result, _ cited: String? = nil) {
    console.clear()
    endReasoning()
    guard !waits else {
      write(cited ?? result.text)
      return
    }
    console.output(result.text.hasSuffix("\n") ? "" : "\n")
  }

  private func endReasoning() {
    guard isDimmed else { return }
    isDimmed = false
    console.output("\u{1B}[0m")
    write("\n\n")
  }
}
