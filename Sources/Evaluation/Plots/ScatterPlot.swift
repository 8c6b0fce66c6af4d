// A small writer of scatter plots in SVG: panels with logarithmic axes, one marker for each series.

/// Panels side by side that share their series, drawn as one SVG document that needs no other file.
///
/// Text and lines follow the viewer's light or dark scheme; the colors of the series are readable on both.
package struct ScatterPlot {
  package struct Panel {
    package var title: String
    package var xLabel: String
    package var yLabel: String
    package var series: [Series]

    package init(title: String, xLabel: String, yLabel: String, series: [Series]) {
      (self.title, self.xLabel, self.yLabel, self.series) = (title, xLabel, yLabel, series)
    }
  }

  package struct Series {
    package var name: String
    package var points: [Point]

    package init(name: String, points: [Point]) { (self.name, self.points) = (name, points) }
  }

  package struct Point {
    package var x: Double
    package var y: Double
    /// Shown while the pointer rests on the marker.
    package var label: String
    /// Points of one line have the same.
    package var line: String

    package init(x: Double, y: Double, label: String, line: String) {
      (self.x, self.y, self.label, self.line) = (x, y, label, line)
    }
  }

  package var title: String
  package var panels: [Panel]
  /// Lines below the panels.
  package var notes: [String] = []
  /// The vertical axes begin here or a little lower; smaller values are drawn on the lower edge.
  package var lowestY: Double

  package init(title: String, panels: [Panel], notes: [String] = [], lowestY: Double) {
    (self.title, self.panels, self.notes, self.lowestY) = (title, panels, notes, lowestY)
  }

  /// The whole document.
  package var svg: String {
    let names = Self.distinct(panels.flatMap { $0.series.map(\.name) })
    let columns = 6
    let legendRows = (names.count + columns - 1) / columns
    let top = 44 + legendRows * 20
    let height = top + Self.panelHeight + 30 + notes.count * 16
    let width = max(1, panels.count) * Self.panelWidth + 10
    var lines = [
      """
      <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(width) \(height)" width="\(width)" height="\(height)" \
      font-family="system-ui, sans-serif" font-size="12">
      """,
      """
      <style>.paper{fill:#fff}.ink{fill:#222}.frame{fill:none;stroke:#888}.grid{stroke:#888;stroke-opacity:.25}
      @media (prefers-color-scheme: dark){.paper{fill:#16181d}.ink{fill:#ddd}}</style>
      """,
      "<rect class=\"paper\" width=\"\(width)\" height=\"\(height)\"/>",
      Self.text(title, x: 12, y: 20, attributes: "font-size=\"14\" font-weight=\"600\""),
    ]
    for (number, name) in names.enumerated() {
      let x = 20 + number % columns * ((width - 30) / columns)
      let y = 40 + number / columns * 20
      lines.append(Self.marker(number, x: Double(x), y: Double(y)))
      lines.append(Self.text(name, x: x + 10, y: y + 4))
    }
    for (number, panel) in panels.enumerated() {
      lines += draw(panel, names: names, left: number * Self.panelWidth + 64, top: top + 16)
    }
    for (number, note) in notes.enumerated() {
      lines.append(
        Self.text(
          note, x: 12, y: top + Self.panelHeight + 30 + number * 16, attributes: "font-size=\"11\""))
    }
    return lines.joined(separator: "\n") + "\n</svg>\n"
  }

  private static let panelWidth = 500
  private static let panelHeight = 356
  private static let plotWidth = 420.0
  private static let plotHeight = 310.0

  private func draw(_ panel: Panel, names: [String], left: Int, top: Int) -> [String] {
    let points = panel.series.flatMap(\.points)
    let xAxis = LogAxis(points.map(\.x))
    let yAxis = LogAxis(points.map(\.y).filter { $0 >= lowestY })
    func x(_ value: Double) -> Double { Double(left) + xAxis.place(value) * Self.plotWidth }
    func y(_ value: Double) -> Double { Double(top) + (1 - yAxis.place(value)) * Self.plotHeight }
    let (right, bottom) = (Double(left) + Self.plotWidth, Double(top) + Self.plotHeight)
    var lines = [Self.text(panel.title, x: left, y: top - 6, attributes: "font-weight=\"600\"")]
    for tick in xAxis.ticks {
      let place = Self.number(x(tick.value))
      lines.append("<path class=\"grid\" d=\"M\(place) \(top)V\(Self.number(bottom))\"/>")
      if tick.isLabeled {
        lines.append(
          Self.text(tick.label, x: x(tick.value), y: bottom + 16, attributes: "text-anchor=\"middle\""))
      }
    }
    for tick in yAxis.ticks {
      lines.append(
        "<path class=\"grid\" d=\"M\(left) \(Self.number(y(tick.value)))H\(Self.number(right))\"/>")
      if tick.isLabeled {
        lines.append(
          Self.text(tick.label, x: Double(left) - 6, y: y(tick.value) + 4, attributes: "text-anchor=\"end\""))
      }
    }
    lines.append(
      """
      <rect class="frame" x="\(left)" y="\(top)" width="\(Self.number(Self.plotWidth))" \
      height="\(Self.number(Self.plotHeight))"/>
      """)
    lines.append(
      Self.text(
        panel.xLabel, x: Double(left) + Self.plotWidth / 2, y: bottom + 34,
        attributes: "text-anchor=\"middle\""))
    let middle = Double(top) + Self.plotHeight / 2
    lines.append(
      Self.text(
        panel.yLabel, x: Double(left) - 50, y: middle,
        attributes:
          "text-anchor=\"middle\" transform=\"rotate(-90 \(Self.number(Double(left) - 50)) \(Self.number(middle)))\""
      ))
    for series in panel.series {
      let number = names.firstIndex(of: series.name) ?? 0
      for line in Set(series.points.map(\.line)).sorted() {
        let sorted = series.points.filter { $0.line == line }.sorted { $0.x < $1.x }
        guard sorted.count > 1 else { continue }
        let path = sorted.map { "\(Self.number(x($0.x))),\(Self.number(y($0.y)))" }.joined(separator: " ")
        lines.append(
          """
          <polyline points="\(path)" fill="none" stroke="\(Self.color(number))" stroke-opacity=".6"/>
          """)
      }
      for point in series.points {
        lines.append(
          Self.marker(number, x: x(point.x), y: y(point.y), label: "\(series.name) \(point.label)"))
      }
    }
    return lines
  }

  /// Okabe and Ito's colors, which color-blind people can tell apart, without black and yellow; then more, so that all
  /// attentions of a report have their own. Each is readable on white and on black.
  private static let colors = [
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#7a5cc7", "#a0622d", "#6f8a00",
    "#e0457b",
    "#00a0a8", "#8a8d94", "#b04fd0", "#4f7f52", "#c9a100", "#5068c8",
  ]

  static func color(_ number: Int) -> String { colors[number % colors.count] }

  /// Colors repeat after 16 series and shapes after 5, so that 80 differ.
  static func marker(_ number: Int, x: Double, y: Double, label: String? = nil) -> String {
    let outline: [(Double, Double)] =
      switch number % 5 {
      case 1: [(-4, -4), (4, -4), (4, 4), (-4, 4)]
      case 2: [(0, -5.5), (5, 4), (-5, 4)]
      case 3: [(0, -5.5), (5.5, 0), (0, 5.5), (-5.5, 0)]
      case 4: [(0, 5.5), (5, -4), (-5, -4)]
      default: []
      }
    let fill = "fill=\"\(color(number))\""
    let title = label.map { "<title>\(escaped($0))</title>" } ?? ""
    if outline.isEmpty {
      return "<circle cx=\"\(Self.number(x))\" cy=\"\(Self.number(y))\" r=\"4.5\" \(fill)>\(title)</circle>"
    }
    let points = outline.map { "\(Self.number(x + $0.0)),\(Self.number(y + $0.1))" }.joined(separator: " ")
    return "<polygon points=\"\(points)\" \(fill)>\(title)</polygon>"
  }

  static func text(_ text: String, x: Double, y: Double, attributes: String = "") -> String {
    "<text class=\"ink\" x=\"\(number(x))\" y=\"\(number(y))\" \(attributes)>\(escaped(text))</text>"
  }

  private static func text(_ text: String, x: Int, y: Int, attributes: String = "") -> String {
    Self.text(text, x: Double(x), y: Double(y), attributes: attributes)
  }

  /// One digit after the point.
  static func number(_ value: Double) -> String { "\((value * 10).rounded() / 10)" }

  static func escaped(_ text: String) -> String {
    var result = ""
    for character in text.unicodeScalars {
      switch character {
      case "&": result += "&amp;"
      case "<": result += "&lt;"
      case ">": result += "&gt;"
      case "\"": result += "&quot;"
      // No XML document may contain other control characters, however they are written.
      case "\u{0}"..."\u{1F}": result += " "
      default: result.unicodeScalars.append(character)
      }
    }
    return result
  }

  private static func distinct(_ names: [String]) -> [String] {
    var seen = Set<String>()
    return names.filter { seen.insert($0).inserted }
  }
}
