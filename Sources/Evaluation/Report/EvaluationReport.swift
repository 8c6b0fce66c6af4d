// An evaluation as one page that a person would rather look at than read.

import Foundation

/// A self-contained HTML page: no scripts, no network, light and dark, readable on a phone; well-formed XML.
public struct EvaluationReport: Sendable {
  /// What is shown.
  public let summary: EvaluationSummary
  let results: EvaluationResults

  /// - Parameter order: attentions in the order to show them; others follow.
  public init(_ results: EvaluationResults, order: [String] = []) {
    self.results = results
    summary = EvaluationSummary(results, order: order)
  }

  /// One page that needs no other file.
  public var html: String {
    let title = "Attention compared: \(summary.header.modelFile)"
    let sections = [
      verdictSection, summarySection, plotSection, taskSection, depthSection, headSection, differenceSection,
      passageSection,
      settingsSection,
    ]
    return """
      <!DOCTYPE html>
      <html lang="en" xmlns="http://www.w3.org/1999/xhtml">
      <head>
      <meta charset="utf-8"/>
      <meta name="viewport" content="width=device-width, initial-scale=1"/>
      <title>\(Self.escaped(title))</title>
      <style>
      \(Self.style)
      \(HeatColor.styles)
      </style>
      </head>
      <body>
      <header>
      <h1>\(Self.escaped(title))</h1>
      <p>\(Self.escaped(summary.header.model)). \(Self.escaped(machineLine)).</p>
      </header>
      <main>
      \(sections.filter { !$0.isEmpty }.joined(separator: "\n"))
      </main>
      </body>
      </html>

      """
  }

  private var machineLine: String {
    let header = summary.header
    let threads = header.threads == 1 ? "1 thread" : "\(header.threads) threads"
    return "\(header.machine); \(threads); \(header.started.prefix(10))"
  }

  static func escaped(_ text: String) -> String { ScatterPlot.escaped(text) }

  /// A section with its heading; empty for an empty body.
  static func section(_ title: String, _ note: String = "", _ body: String) -> String {
    guard !body.isEmpty else { return "" }
    let note = note.isEmpty ? "" : "<p class=\"note\">\(escaped(note))</p>\n"
    return "<section>\n<h2>\(escaped(title))</h2>\n\(note)\(body)\n</section>"
  }

  /// A number in a cell, or a dash.
  static func format(_ value: Double?, _ format: String, scale: Double = 1) -> String {
    guard let value, value.isFinite else { return "\u{2013}" }
    return String(format: format, value * scale)
  }

  private static let style = """
    :root{color-scheme:light dark;--paper:#fbfbf9;--card:#fff;--ink:#1d1f23;--soft:#5d636d;--line:#d9dbdf}
    @media (prefers-color-scheme:dark){:root{--paper:#14161a;--card:#1b1e24;--ink:#e4e6ea;--soft:#9aa1ac;--line:#343941}}
    *{box-sizing:border-box}
    body{margin:0 auto;max-width:78rem;padding:1rem;background:var(--paper);color:var(--ink);
    font:16px/1.5 system-ui,sans-serif;overflow-wrap:anywhere}
    h1{font-size:1.5rem;line-height:1.2;margin:.5rem 0}
    h2{font-size:1.15rem;margin:2.2rem 0 .4rem}
    h3{font-size:.95rem;margin:1rem 0 .4rem}
    p{margin:.3rem 0}
    header p,.note{color:var(--soft);font-size:.875rem;max-width:48rem}
    .scroll{overflow-x:auto;overflow-wrap:normal}
    table{border-collapse:collapse;font-size:.84rem;font-variant-numeric:tabular-nums;line-height:1.35}
    th,td{padding:.3rem .55rem;text-align:right;white-space:nowrap;border-bottom:1px solid var(--line)}
    th{font-weight:600;color:var(--soft)}
    th:first-child,td:first-child{text-align:left}
    .scroll th:first-child,.scroll td:first-child{position:sticky;left:0;background:var(--paper)}
    td.best{font-weight:700}
    .heat{border-collapse:separate;border-spacing:2px}
    .heat td{border:0;border-radius:3px;text-align:center;min-width:2.9rem}
    .heat th{border:0}
    .none{color:var(--soft)}
    .grid-2{display:grid;gap:.8rem;grid-template-columns:repeat(auto-fit,minmax(min(100%,27rem),1fr))}
    .grid-3{display:grid;gap:.8rem;grid-template-columns:repeat(auto-fit,minmax(min(100%,22rem),1fr))}
    .row{display:flex;flex-wrap:wrap;gap:1rem 1.6rem}
    .card{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:.5rem}
    svg{display:block;width:100%;height:auto;font:12px system-ui,sans-serif}
    .legend{display:flex;flex-wrap:wrap;gap:.2rem 1rem;font-size:.84rem;margin:.5rem 0}
    .legend span{display:inline-flex;align-items:center;gap:.35rem}
    .legend svg{width:14px;height:14px;flex:none}
    .ink{fill:var(--ink)}
    .grid{stroke:var(--soft);stroke-opacity:.25;fill:none}
    .rule{stroke:var(--soft);stroke-dasharray:4 3;fill:none}
    .scale{display:inline-flex;font-size:.75rem}
    .scale i{display:block;width:1.1rem;height:.8rem}
    summary{cursor:pointer;font-weight:600;padding:.3rem 0}
    dl{display:grid;grid-template-columns:minmax(8rem,max-content) 1fr;gap:.2rem 1rem;font-size:.875rem}
    dt{color:var(--soft)}
    dd{margin:0}
    code{font:.85em ui-monospace,monospace}
    """
}
