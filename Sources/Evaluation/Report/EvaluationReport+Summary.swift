// Tables and plots of the whole: which attention costs what, and what it gives.

import Foundation

extension EvaluationReport {
  var summarySection: String {
    let columns: [(String, (EvaluationSummary.Row) -> String)] = [
      ("accuracy", { Self.format($0.accuracy, "%.3f") }),
      ("mean KL", { Self.format($0.meanKL, "%.5f") }),
      ("top-1", { Self.format($0.top1, "%.3f") }),
      ("MB/token", { Self.format($0.bytesPerToken, "%.2f", scale: 1 / 1_048_576) }),
      ("ms/token", { Self.format($0.millisecondsPerToken, "%.1f") }),
      ("keys read", { Self.format($0.keysRead, "%.1f %%", scale: 100) }),
      ("mass read", { Self.format($0.recoveredMass, "%.1f %%", scale: 100) }),
      ("head error", { Self.format($0.outputError, "%.4f") }),
      ("read of the prompt", { Self.format($0.promptKeysRead, "%.1f %%", scale: 100) }),
      ("s to read it", { Self.format(results.header.readsApart == true ? $0.prefillSeconds : nil, "%.1f") }),
      ("perplexity", { Self.format($0.perplexity, "%.3f") }),
      ("difference", { Self.format($0.perplexityDifference, "%+.3f") }),
      ("questions", { $0.questions > 0 ? "\($0.questions)" : "\u{2013}" }),
    ]
    // A column in which nothing was measured says nothing.
    let shown = columns.filter { column in summary.rows.contains { column.1($0) != "\u{2013}" } }
    let tables = summary.lengths.map { length in
      let rows = summary.rows.filter { $0.length == length }.map { row in
        "<tr><td>\(Self.escaped(row.attention))</td>" + shown.map { "<td>\($0.1(row))</td>" }.joined()
          + "</tr>"
      }
      return """
        <h3>\(length) tokens</h3>
        <div class="scroll"><table>
        <tr><th>attention</th>\(shown.map { "<th>\(Self.escaped($0.0))</th>" }.joined())</tr>
        \(rows.joined(separator: "\n"))
        </table></div>
        """
    }
    return Self.section(
      "Summary",
      """
      Accuracy is the mean over tasks. KL, top-1 and perplexity compare next-token distributions with those of exact \
      attention on plain text, in nats. Head error is the relative distance of a head's output from exact attention, \
      mass read the share of attention weights on keys that were read. Keys read leaves out first and last tokens, and \
      counts what was read of an index.
      """, tables.joined(separator: "\n"))
  }

  var plotSection: String {
    let legend = summary.attentions.enumerated().map { number, name in
      """
      <span><svg viewBox="0 0 14 14" aria-hidden="true">\(ScatterPlot.marker(number, x: 7, y: 7))</svg>\
      \(Self.escaped(name))</span>
      """
    }
    let longest = summary.lengths.last
    let groups = summary.lengths.reversed().compactMap { length -> String? in
      let panels = panels(length: length)
      guard !panels.isEmpty else { return nil }
      return """
        <details\(length == longest ? " open=\"open\"" : "")><summary>\(length) tokens</summary>
        <div class="grid-2">
        \(panels.map { "<div class=\"card\">\($0.svg)</div>" }.joined(separator: "\n"))
        </div></details>
        """
    }
    guard !groups.isEmpty else { return "" }
    return Self.section(
      "Quality against cost",
      """
      Up and to the left is better for accuracy, down and to the left for KL. A KL of zero is on the lower edge. The \
      host tells no bytes; its KL, computed by other arithmetic over all keys, is the noise floor.
      """,
      "<div class=\"legend\">\(legend.joined(separator: "\n"))</div>\n" + groups.joined(separator: "\n"))
  }

  private func panels(length: Int) -> [ReportPlot] {
    let rows = summary.rows.filter { $0.length == length }
    func points(
      _ x: (EvaluationSummary.Row) -> Double?, _ y: (EvaluationSummary.Row) -> Double?
    ) -> [ReportPlot.Point] {
      rows.compactMap { row in
        guard let x = x(row), let y = y(row), x > 0, y.isFinite else { return nil }
        return ReportPlot.Point(
          series: summary.attentions.firstIndex(of: row.attention) ?? 0, x: x, y: y,
          label: "\(row.attention): \(Self.format(y, "%.4g")) at \(Self.format(x, "%.3g"))")
      }
    }
    let megabytes: (EvaluationSummary.Row) -> Double? = { $0.bytesPerToken.map { $0 / 1_048_576 } }
    let noise = rows.first { $0.attention == "host" }?.meanKL.map { (y: $0, name: "noise floor") }
    return [
      ReportPlot(
        title: "Accuracy against bytes", xLabel: "MB read a token", scale: .share,
        points: points(megabytes, \.accuracy)),
      ReportPlot(
        title: "Accuracy against time", xLabel: "ms a token", scale: .share,
        points: points(\.millisecondsPerToken, \.accuracy)),
      ReportPlot(
        title: "KL against bytes", xLabel: "MB read a token", scale: .logarithmic,
        points: points(megabytes, \.meanKL), rule: noise),
      ReportPlot(
        title: "KL against time", xLabel: "ms a token", scale: .logarithmic,
        points: points(\.millisecondsPerToken, \.meanKL), rule: noise),
    ].filter { !$0.points.isEmpty }
  }
}
