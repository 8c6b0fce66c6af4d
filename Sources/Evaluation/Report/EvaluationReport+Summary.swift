// Tables and plots of the whole: which attention costs what, and what it gives.

import Foundation

extension EvaluationReport {
  /// What the answers say, in sentences.
  var verdictSection: String {
    let sentences = summary.verdicts.map { verdict in
      "<li class=\"\(verdict.finding.rawValue)\">\(Self.escaped(verdict.sentence))</li>"
    }
    guard !sentences.isEmpty else { return "" }
    let notes = summary.coincidences.map { "<p class=\"note\">\(Self.escaped($0))</p>" }
    return Self.section(
      "Verdict", "", (["<ul>\n\(sentences.joined(separator: "\n"))\n</ul>"] + notes).joined(separator: "\n"))
  }

  /// A column of the summary.
  private struct Column {
    enum Best { case highest, lowest }

    let title: String
    let value: (EvaluationSummary.Row) -> Double?
    private let format: String
    private let scale: Double
    private let best: Best?

    init(
      _ title: String, _ value: @escaping (EvaluationSummary.Row) -> Double?, _ format: String,
      scale: Double = 1, best: Best? = nil
    ) {
      (self.title, self.value, self.format, self.scale, self.best) = (title, value, format, scale, best)
    }

    func text(_ row: EvaluationSummary.Row) -> String {
      EvaluationReport.format(value(row), format, scale: scale)
    }

    /// Whether a row has the best value of some, as it is shown.
    func isBest(_ row: EvaluationSummary.Row, of rows: [EvaluationSummary.Row]) -> Bool {
      let values = rows.compactMap(value)
      guard let best, values.count > 1 else { return false }
      let winner = best == .highest ? values.max() : values.min()
      return winner.map { EvaluationReport.format($0, format, scale: scale) } == text(row)
    }
  }

  /// What computes everything first, then by accuracy, then by divergence.
  private func sorted(_ rows: [EvaluationSummary.Row]) -> [EvaluationSummary.Row] {
    func rank(_ row: EvaluationSummary.Row) -> (Int, Double, Double) {
      let group = row.attention == "exact" ? 0 : row.attention == "host" ? 1 : 2
      return (group, -(row.accuracy ?? -1), row.meanKL ?? .infinity)
    }
    return rows.enumerated().sorted { first, second in
      let (a, b) = (rank(first.element), rank(second.element))
      return a != b ? a < b : first.offset < second.offset
    }.map(\.element)
  }

  var summarySection: String {
    let columns: [Column] = [
      Column("accuracy", \.accuracy, "%.3f", best: .highest),
      Column("mean KL", \.meanKL, "%.5f", best: .lowest),
      Column("top-1", \.top1, "%.3f", best: .highest),
      Column("MB/token", \.bytesPerToken, "%.2f", scale: 1 / 1_048_576, best: .lowest),
      Column("ms/token", \.millisecondsPerToken, "%.1f", best: .lowest),
      Column("keys read", \.keysRead, "%.1f %%", scale: 100, best: .lowest),
      Column("mass read", \.recoveredMass, "%.1f %%", scale: 100, best: .highest),
      Column("head error", \.outputError, "%.4f", best: .lowest),
      Column("read of the prompt", \.promptKeysRead, "%.1f %%", scale: 100, best: .lowest),
      Column(
        "s to read it", { results.header.readsApart == true ? $0.prefillSeconds : nil }, "%.1f", best: .lowest
      ),
      Column("perplexity", \.perplexity, "%.3f"),
      Column("difference", \.perplexityDifference, "%+.3f"),
      Column("questions", { $0.questions > 0 ? Double($0.questions) : nil }, "%.0f"),
    ]
    // A column in which nothing was measured says nothing.
    let shown = columns.filter { column in summary.rows.contains { column.value($0) != nil } }
    let tables = summary.lengths.map { length in
      let rows = sorted(summary.rows.filter { $0.length == length })
      // What computes everything is no competitor.
      let compared = rows.filter { $0.attention != "exact" && $0.attention != "host" }
      let lines = rows.map { row in
        let cells = shown.map { column in
          let isBest =
            compared.count > 1 && row.attention != "exact" && row.attention != "host"
            && column.isBest(row, of: compared)
          return "<td\(isBest ? " class=\"best\"" : "")>\(column.text(row))</td>"
        }
        return "<tr><td>\(Self.escaped(row.attention))</td>" + cells.joined() + "</tr>"
      }
      return """
        <h3>\(length) tokens</h3>
        <div class="scroll"><table>
        <tr><th>attention</th>\(shown.map { "<th>\(Self.escaped($0.title))</th>" }.joined())</tr>
        \(lines.joined(separator: "\n"))
        </table></div>
        """
    }
    return Self.section(
      "Summary",
      """
      Accuracy is the mean over tasks. KL, top-1 and perplexity compare next-token distributions with those of exact \
      attention on plain text, in nats. Head error is the relative distance of a head's output from exact attention, \
      mass read the share of attention weights on keys that were read. Keys read leaves out first and last tokens, and \
      counts what was read of an index. The best of a column is bold; what computes everything stands on top and apart.
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
          name: row.attention,
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
