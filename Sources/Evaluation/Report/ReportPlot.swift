// One panel of quality against cost, narrow enough for a phone.

/// Points on a logarithmic horizontal axis, as an SVG that takes its ink from the page.
struct ReportPlot {
  enum Scale {
    /// A share; the axis ends at 1.
    case share
    case logarithmic
  }

  struct Point {
    /// Which color and marker.
    var series: Int
    var x: Double
    var y: Double
    /// Written beside the marker, where there is room.
    var name: String
    /// Shown while the pointer rests on the marker.
    var label: String
  }

  var title: String
  var xLabel: String
  var scale: Scale
  var points: [Point]
  /// A dashed horizontal line with its name.
  var rule: (y: Double, name: String)?

  private static let (width, height) = (360.0, 270.0)
  private static let (left, right, top, bottom) = (46.0, 340.0, 26.0, 226.0)

  var svg: String {
    let xAxis = LogAxis(points.map(\.x))
    let lowest = points.map(\.y).min() ?? 0
    // Shares close to 1 are told apart when the axis does not begin at 0.
    let floor = lowest < 0.5 ? 0 : 0.5
    let yAxis = LogAxis(points.map(\.y) + (rule.map { [$0.y] } ?? []))
    func x(_ value: Double) -> Double { Self.left + xAxis.place(value) * (Self.right - Self.left) }
    func y(_ value: Double) -> Double {
      let place = scale == .share ? (value - floor) / (1 - floor) : yAxis.place(value)
      return Self.bottom - min(1, max(0, place)) * (Self.bottom - Self.top)
    }
    let yTicks: [(value: Double, label: String)] =
      switch scale {
      case .share:
        (0...5).map { (floor + Double($0) / 5 * (1 - floor)) }.map { ($0, "\(($0 * 100).rounded() / 100)") }
      case .logarithmic: yAxis.ticks.map { ($0.value, $0.isLabeled ? $0.label : "") }
      }
    let number = ScatterPlot.number
    var lines = [
      """
      <svg class="plot" viewBox="0 0 \(number(Self.width)) \(number(Self.height))" role="img" \
      aria-label="\(ScatterPlot.escaped(title))">
      """,
      ScatterPlot.text(title, x: Self.left, y: 15, attributes: "font-weight=\"600\""),
    ]
    for tick in xAxis.ticks {
      lines.append(
        "<path class=\"grid\" d=\"M\(number(x(tick.value))) \(number(Self.top))V\(number(Self.bottom))\"/>")
      guard tick.isLabeled else { continue }
      lines.append(
        ScatterPlot.text(
          tick.label, x: x(tick.value), y: Self.bottom + 16, attributes: "text-anchor=\"middle\""))
    }
    for tick in yTicks {
      lines.append(
        "<path class=\"grid\" d=\"M\(number(Self.left)) \(number(y(tick.value)))H\(number(Self.right))\"/>")
      lines.append(
        ScatterPlot.text(
          tick.label, x: Self.left - 6, y: y(tick.value) + 4, attributes: "text-anchor=\"end\""))
    }
    lines.append(
      ScatterPlot.text(
        xLabel, x: (Self.left + Self.right) / 2, y: Self.bottom + 36, attributes: "text-anchor=\"middle\""))
    if let rule {
      lines.append(
        "<path class=\"rule\" d=\"M\(number(Self.left)) \(number(y(rule.y)))H\(number(Self.right))\"/>")
      lines.append(
        ScatterPlot.text(
          rule.name, x: Self.right, y: y(rule.y) - 4, attributes: "text-anchor=\"end\" font-size=\"10\""))
    }
    for point in points {
      lines.append(ScatterPlot.marker(point.series, x: x(point.x), y: y(point.y), label: point.label))
    }
    let labels = PlotLabels(
      left: Self.left, right: Self.right, top: Self.top, bottom: Self.bottom,
      markers: points.map { (x($0.x), y($0.y)) })
    for (point, place) in zip(points, labels.places(points.map(\.name))) {
      guard let place else { continue }
      lines.append(
        ScatterPlot.text(
          point.name, x: place.x, y: place.y, attributes: "font-size=\"\(number(PlotLabels.fontSize))\""))
    }
    return lines.joined(separator: "\n") + "\n</svg>"
  }
}
