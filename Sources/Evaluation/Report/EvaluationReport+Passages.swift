// Which passages answers came from.

import Foundation

extension EvaluationReport {
  /// Answers shown at most, and passages of each.
  private static let (shownAnswers, shownPassages) = (200, 3)

  /// Empty where no passages were noted.
  var passageSection: String {
    let answers = results.answers.filter { $0.passages != nil }
    guard !answers.isEmpty else { return "" }
    // Wrong ones first: why they are is what one looks here for.
    let sorted = answers.enumerated().sorted { ($0.element.score, $0.offset) < ($1.element.score, $1.offset) }
    let rows = sorted.prefix(Self.shownAnswers).map { _, answer in
      let passages = (answer.passages ?? []).prefix(Self.shownPassages).map { passage in
        "<div>\(Self.quote(passage.quote)) <small>at \(Int((passage.depth * 100).rounded())) %</small></div>"
      }
      return """
        <tr><td>\(Self.escaped(answer.task))</td><td>\(answer.length)</td>\
        <td>\(Self.escaped(answer.attention))</td><td>\(Self.format(answer.score, "%.2f"))</td>\
        <td>\(Self.quote(answer.expected.joined(separator: ", ")))</td><td>\(Self.quote(answer.answer))</td>\
        <td>\(passages.isEmpty ? "none stands out" : passages.joined())</td></tr>
        """
    }
    let more = answers.count > rows.count ? "; the first \(rows.count) of \(answers.count)" : ""
    return Self.section(
      "What answers were read from",
      "The passages that evidence heads attended to while the answer was generated, wrong answers first\(more).",
      """
      <details><summary>Show them</summary><div class="scroll"><table>
      <tr><th>task</th><th>length</th><th>attention</th><th>score</th><th>expected</th><th>answer</th>\
      <th>passages</th></tr>
      \(rows.joined(separator: "\n"))
      </table></div></details>
      """)
  }
}
