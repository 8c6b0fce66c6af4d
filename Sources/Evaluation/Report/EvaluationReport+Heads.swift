// Maps of layers and heads, and what the numbers were measured on.

import Foundation

extension EvaluationReport {
  var headSection: String {
    guard let length = results.fidelity.filter({ $0.heads != nil }).map(\.length).max() else { return "" }
    let records = summary.attentions.compactMap { name in
      results.fidelity.first { $0.attention == name && $0.length == length && $0.heads != nil }
    }
    let isExact: (FidelityRecord) -> Bool = { record in
      // What differs from itself by rounding alone would only stretch the scale.
      (record.heads.flatMap { HeadErrors.mean($0.outputError) } ?? 0) < 1e-5
    }
    let shown = records.filter { !isExact($0) }
    let errors = shown.flatMap { $0.heads?.outputError.joined().compactMap { $0 } ?? [] }
    guard let scale = HeatColor.LogScale(errors) else { return "" }
    let maps = shown.flatMap { record -> [String] in
      guard let heads = record.heads else { return [] }
      var maps = [
        HeadMap(
          title: "\(record.attention): output error", values: heads.outputError, color: scale.step,
          label: { Self.format($0, "%.4f") })
      ]
      if HeadErrors.mean(heads.recoveredMass) != nil {
        maps.append(
          HeadMap(
            title: "\(record.attention): mass not read",
            values: heads.recoveredMass.map { row in row.map { $0.map { 1 - $0 } } }, color: HeatColor.step,
            label: { Self.format($0, "%.1f %%", scale: 100) }))
      }
      return maps.map { "<div class=\"card\">\($0.svg)</div>" }
    }
    let bar =
      "<span class=\"scale\">\(HeatColor.steps.indices.map { "<i class=\"h\($0)\"></i>" }.joined())</span>"
    return Self.section(
      "Layers and heads at \(length) tokens",
      """
      Relative distance of each query head's output from exact attention over the same keys, and the share of attention \
      weights on keys that were not read. Methods that estimate what they do not read lose less than that share.
      """,
      """
      <div class="legend"><span>output error \(Self.format(scale.low, "%.4g")) \(bar) \(Self.format(scale.high, "%.4g")), \
      logarithmic</span><span>mass not read 0 \(bar) 100 %</span></div>
      <div class="grid-3">
      \(maps.joined(separator: "\n"))
      </div>
      """)
  }

  var settingsSection: String {
    let header = summary.header
    let items: [(String, String)] = [
      ("model file", header.modelFile), ("model", header.model), ("machine", header.machine),
      ("threads", "\(header.threads)"), ("started", header.started), ("filler text", header.filler),
      ("seed", "\(header.seed)"), ("questions a context", "at most \(header.questionsPerContext)"),
      (
        "questions read",
        header.questionReading == "batch"
          ? "as part of the prompt, with exact attention"
          : "in decode steps, through the attention under test"
      ),
      ("chat template", header.raw ? "none" : "the model's, where it has one"),
      ("fidelity tokens", "\(header.fidelityTokens)"),
      ("answers", "\(results.answers.count)"),
      ("lengths", summary.lengths.map(String.init).joined(separator: ", ")),
      ("tasks", summary.tasks.joined(separator: ", ")),
      ("attention", summary.attentions.joined(separator: "; ")),
      ("fingerprint", header.fingerprint),
    ]
    let list = items.map { "<dt>\(Self.escaped($0))</dt><dd>\(Self.escaped($1))</dd>" }
    return Self.section("Settings", "", "<dl>\n\(list.joined(separator: "\n"))\n</dl>")
  }
}
