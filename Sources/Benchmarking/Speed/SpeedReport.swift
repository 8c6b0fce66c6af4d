// Decode and prefill of one model in one report: JSON, a table to read, and a plot of time against context.

package import AttentionKernels
import Evaluation
import Foundation
package import LlamaHost
import RetrievalAttention

/// What `ra bench speed` measured, with what it takes to read it.
package struct SpeedReport: Sendable, Codable {
  package var model: String
  package var machine: String
  package var threads: Int
  /// Name of the text.
  package var text: String
  /// How keys and values are stored, but for the host's.
  package var kvType: String
  /// Whether it was ended early.
  package var interrupted: Bool
  package var decode: [DecodeResult]
  package var prefill: [PrefillResult]

  package init(model: LlamaModel, threads: Int, text: String, format: KeyValueFormat = KeyValueFormat()) {
    self.model = URL(fileURLWithPath: model.description.path).lastPathComponent
    machine = MachineDescription.current
    self.threads = threads
    self.text = text
    kvType = format.description
    interrupted = false
    decode = []
    prefill = []
  }

  /// Tables in Markdown.
  package var markdown: String {
    var lines = [
      "# Speed of \(model)", "",
      "\(machine); \(threads) threads; keys and values: \(kvType); text: \(text)\(interrupted ? "; interrupted" : "")",
    ]
    if !decode.isEmpty { lines += decodeTable + stageTable }
    if !prefill.isEmpty { lines += prefillTable }
    return lines.joined(separator: "\n") + "\n"
  }

  private var decodeTable: [String] {
    var lines = [
      "", "## Decode", "",
      "| context | attention | ms/token | quartiles | tokens/s | x host | context read | bytes/token | memory | output error |",
      "| ---: | --- | ---: | --- | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    for result in decode {
      let host = decode.first { $0.policy == EvaluatedAttention.host.name && $0.depth == result.depth }
      lines.append(
        Self.row([
          "\(result.depth)\(result.synthetic ? " (copies)" : "")", result.policy,
          number(result.millisecondsPerToken, 2),
          "\(number(result.spread.lowerQuartile, 2))-\(number(result.spread.upperQuartile, 2))",
          number(result.tokensPerSecond, 1),
          host.map { number($0.millisecondsPerToken / result.millisecondsPerToken, 2) } ?? "-",
          result.keysReadWithStatic.map { number($0 * 100, 1) + " %" } ?? "-",
          result.bytesPerToken.map { number($0 / 1e6, 1) + " MB" } ?? "-",
          result.memory.map { formatBytes($0.store + $0.index) } ?? "-",
          result.outputError.map { "\(number($0.mean, 4)), p95 \(number($0.high, 4))" } ?? "-",
        ]))
    }
    return lines + [
      "",
      """
      Medians. host: llama.cpp, \(HostConfiguration.flashAttentionOff). Context read: with sink and window, in bytes of \
      keys and values. Memory: keys, values and index, which retrieval and exact attention share. Output error: relative, of the outputs of all query heads in two more steps, against exact \
      attention over the same keys.
      """
        + (decode.contains(where: \.synthetic)
          ? " Copies: keys and values of earlier tokens over and over; times are real, answers are not."
          : "")
        + (decode.compactMap(\.peakResidentBytes).max().map {
          " The process took \(formatBytes($0)) at most."
        } ?? ""),
    ]
  }

  private var stageTable: [String] {
    let profiled = decode.compactMap { result in result.stages.map { (result: result, stages: $0) } }
    guard let names = profiled.first?.stages.named.map(\.name) else { return [] }
    return [
      "", "### Where the time goes", "",
      Self.row(["context", "attention"] + names + ["idle a layer"]),
      Self.row(["---:", "---"] + names.map { _ in "---:" } + ["---:"]),
    ]
      + profiled.map { result, stages in
        Self.row(
          ["\(result.depth)", result.policy] + stages.named.map { number($0.milliseconds, 2) }
            + [number(stages.idleMicrosecondsPerLayer, 0) + " us"])
      } + [
        "",
        """
        Milliseconds of the mean step; work of several threads at once counts by its share of them. host: all but \
        attention. idle: threads without work within attention.
        """,
      ]
  }

  private var prefillTable: [String] {
    [
      "", "## Prefill", "", "| tokens | attention | tokens/s | seconds | x host | index |",
      "| ---: | --- | ---: | ---: | ---: | ---: |",
    ]
      + prefill.map { result in
        let host = prefill.first { $0.policy == PrefillResult.hostPolicy && $0.length == result.length }
        return Self.row([
          "\(result.length)", result.policy + (result.configuration.map { " (\($0))" } ?? ""),
          number(result.tokensPerSecond, 1), seconds(result),
          host.map { number($0.seconds / result.seconds, 2) } ?? "-",
          result.indexShare.map { number($0 * 100, 1) + " %" } ?? "-",
        ])
      } + [
        "",
        "Medians, of short prompts with the least and the most. x host: against the faster of the host's two configurations. Index: its share of the time.",
      ]
  }

  private func seconds(_ result: PrefillResult) -> String {
    let median = number(result.seconds, 2)
    guard result.rounds > 1 else { return median }
    return "\(median) (\(number(result.spread.minimum, 2))-\(number(result.spread.maximum, 2)))"
  }

  /// Milliseconds a token against tokens of context, a line for each attention, as an SVG document.
  ///
  /// A context of one token has no place on a logarithmic axis and is left out.
  package var svg: String {
    var series: [ScatterPlot.Series] = []
    for result in decode where result.depth > 0 {
      let point = ScatterPlot.Point(
        x: Double(result.depth), y: result.millisecondsPerToken,
        label: "\(result.depth) tokens, \(number(result.millisecondsPerToken, 1)) ms", line: "")
      if let place = series.firstIndex(where: { $0.name == result.policy }) {
        series[place].points.append(point)
      } else {
        series.append(ScatterPlot.Series(name: result.policy, points: [point]))
      }
    }
    return ScatterPlot(
      title: "\(model): time of a decode step",
      panels: [
        ScatterPlot.Panel(
          title: "\(threads) threads", xLabel: "tokens of context", yLabel: "ms a token", series: series)
      ], notes: [machine], lowestY: 1e-3
    ).svg
  }

  private static func row(_ cells: [String]) -> String { "| " + cells.joined(separator: " | ") + " |" }

  private func number(_ value: Double, _ digits: Int) -> String { String(format: "%.\(digits)f", value) }
}
