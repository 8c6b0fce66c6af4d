// Accuracy by task, and by length and depth.

import Foundation

extension EvaluationReport {
  /// A colored cell with a share in per cent; an empty one without a value.
  static func heatCell(_ share: Double?, tooltip: String = "") -> String {
    guard let share else { return "<td class=\"none\">\u{2013}</td>" }
    let title = tooltip.isEmpty ? "" : " title=\"\(escaped(tooltip))\""
    return "<td class=\"h\(HeatColor.step(share))\"\(title)>\(Int((share * 100).rounded()))</td>"
  }

  var taskSection: String {
    let tables = summary.lengths.compactMap { length -> String? in
      let columns = summary.rows.filter { $0.length == length && !$0.tasks.isEmpty }
      guard !columns.isEmpty else { return nil }
      // Attentions stand in rows: their names are long, and there may be many.
      let tasks = summary.tasks.filter { task in columns.contains { $0.tasks[task] != nil } }
      let rows = columns.map { row in
        "<tr><th>\(Self.escaped(row.attention))</th>"
          + tasks.map { Self.heatCell(row.tasks[$0], tooltip: "\(row.attention), \($0)") }.joined() + "</tr>"
      }
      return """
        <h3>\(length) tokens</h3>
        <div class="scroll"><table class="heat">
        <tr><th></th>\(tasks.map { "<th>\(Self.escaped(Self.shortName($0)))</th>" }.joined())</tr>
        \(rows.joined(separator: "\n"))
        </table></div>
        """
    }
    return Self.section(
      "Accuracy by task", "Per cent, scored by the rules of the benchmarks that the tasks come from.",
      tables.joined(separator: "\n"))
  }

  /// Narrow heads for wide tables.
  private static func shortName(_ task: String) -> String {
    task.replacing("niah_", with: "").replacing("_retrieval", with: "").replacing("_", with: " ")
  }

  private static let grid = "needle_grid"
  /// Depths are shown in tenths of the context.
  private static let depthBins = 10

  var depthSection: String {
    // The grid first: it alone has an answer in every cell.
    let tasks = summary.tasks.sorted { ($0 == Self.grid ? 0 : 1) < ($1 == Self.grid ? 0 : 1) }.filter {
      task in
      results.answers.contains { $0.task == task && $0.depth != nil }
    }
    let blocks = tasks.enumerated().map { number, task in
      let maps = summary.attentions.compactMap { depthMap(task: task, attention: $0) }
      return """
        <details\(number == 0 ? " open=\"open\"" : "")>\
        <summary>\(Self.escaped(task))</summary>
        <div class="row">
        \(maps.joined(separator: "\n"))
        </div></details>
        """
    }
    return Self.section(
      "Accuracy by length and depth",
      "Per cent; columns are lengths in tokens, rows depths of the answer in the context, the beginning on top.",
      blocks.joined(separator: "\n"))
  }

  private func depthMap(task: String, attention: String) -> String? {
    let answers = results.answers.filter { $0.task == task && $0.attention == attention && $0.depth != nil }
    guard !answers.isEmpty else { return nil }
    let lengths = Set(answers.map(\.length)).sorted()
    let cells = Dictionary(grouping: answers) { answer in
      [answer.length, min(Self.depthBins - 1, Int((answer.depth ?? 0) * Double(Self.depthBins)))]
    }
    let rows = (0..<Self.depthBins).map { bin in
      "<tr><th>\(bin * 10)%</th>"
        + lengths.map { length in
          let scores = cells[[length, bin]]?.map(\.score) ?? []
          return Self.heatCell(
            EvaluationSummary.mean(scores),
            tooltip: "\(scores.count) answers, \(length) tokens, depth \(bin * 10) to \(bin * 10 + 10) %")
        }.joined() + "</tr>"
    }
    return """
      <div><h3>\(Self.escaped(attention))</h3><table class="heat">
      <tr><th></th>\(lengths.map { "<th>\($0)</th>" }.joined())</tr>
      \(rows.joined(separator: "\n"))
      </table></div>
      """
  }

  /// Answers shown at most.
  private static let shownDifferences = 60

  var differenceSection: String {
    guard let reference = EvaluationSummary.reference(of: summary.attentions) else { return "" }
    var exact: [EvaluationKey: AnswerRecord] = [:]
    for answer in results.answers where answer.attention == reference {
      exact[answer.key] = answer
    }
    let differing = results.answers.compactMap { answer -> (AnswerRecord, AnswerRecord)? in
      var twin = answer
      twin.attention = reference
      guard let other = exact[twin.key], other.score != answer.score else { return nil }
      return (answer, other)
    }
    guard !differing.isEmpty else { return "" }
    let rows = differing.prefix(Self.shownDifferences).map { answer, other in
      """
      <tr><td>\(Self.escaped(answer.task))</td><td>\(answer.length)</td>\
      <td>\(Self.format(answer.depth, "%.0f %%", scale: 100))</td><td>\(Self.escaped(answer.attention))</td>\
      <td>\(Self.format(answer.score, "%.2f"))</td><td>\(Self.format(other.score, "%.2f"))</td>\
      <td>\(Self.quote(answer.expected.joined(separator: ", ")))</td><td>\(Self.quote(answer.answer))</td>\
      <td>\(Self.quote(other.answer))</td></tr>
      """
    }
    return Self.section(
      "Answers that differ from \(reference)",
      "\(differing.count) of \(results.answers.count) answers have another score than with \(reference) attention\(differing.count > Self.shownDifferences ? "; the first \(Self.shownDifferences)" : "").",
      """
      <details><summary>Show them</summary><div class="scroll"><table>
      <tr><th>task</th><th>length</th><th>depth</th><th>attention</th><th>score</th><th>\(reference)</th>\
      <th>expected</th><th>answer</th><th>\(reference) answered</th></tr>
      \(rows.joined(separator: "\n"))
      </table></div></details>
      """)
  }

  /// The beginning of a text as code.
  static func quote(_ text: String) -> String {
    let line = text.split(whereSeparator: \.isWhitespace).joined(separator: " ")
    return "<code>\(escaped(line.count > 60 ? line.prefix(60) + "\u{2026}" : line))</code>"
  }
}
