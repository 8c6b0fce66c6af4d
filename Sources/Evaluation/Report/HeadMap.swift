// What each head of each layer lost, as a grid of colors.

/// Layers from left to right, heads from top to bottom.
struct HeadMap {
  var title: String
  /// `[layer][head]`; nil cells are left blank.
  var values: [[Double?]]
  var color: (Double) -> Int
  /// The value as text, for the tooltip of a cell.
  var label: (Double) -> String

  private static let cell = 11

  var svg: String {
    let heads = values.map(\.count).max() ?? 0
    let (left, top) = (24, 22)
    let width = max(220, left + values.count * Self.cell + 8)
    let height = top + heads * Self.cell + 32
    var lines = [
      """
      <svg class="map" viewBox="0 0 \(width) \(height)" role="img" aria-label="\(ScatterPlot.escaped(title))">
      """,
      ScatterPlot.text(title, x: Double(left), y: 14, attributes: "font-weight=\"600\""),
    ]
    for (layer, row) in values.enumerated() {
      for (head, value) in row.enumerated() {
        guard let value else { continue }
        lines.append(
          """
          <rect x="\(left + layer * Self.cell)" y="\(top + head * Self.cell)" width="10" height="10" \
          fill="\(HeatColor.steps[color(value)])"><title>layer \(layer), head \(head): \(label(value))</title></rect>
          """)
      }
      if layer % 5 == 0 {
        lines.append(
          ScatterPlot.text(
            "\(layer)", x: Double(left + layer * Self.cell) + 5, y: Double(height) - 18,
            attributes: "text-anchor=\"middle\" font-size=\"9\""))
      }
    }
    for head in stride(from: 0, to: heads, by: 4) {
      lines.append(
        ScatterPlot.text(
          "\(head)", x: Double(left) - 4, y: Double(top + head * Self.cell) + 9,
          attributes: "text-anchor=\"end\" font-size=\"9\""))
    }
    lines.append(
      ScatterPlot.text(
        "layer, from left; query head, from top", x: Double(left), y: Double(height) - 5,
        attributes: "font-size=\"9\""))
    return lines.joined(separator: "\n") + "\n</svg>"
  }
}
