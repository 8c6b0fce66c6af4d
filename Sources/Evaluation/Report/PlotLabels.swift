// Where the names of markers are written.

/// Places for texts beside markers of a plot, so that none covers a marker or another text. A text that finds no such
/// place is left out, and stands in the legend alone.
package struct PlotLabels {
  /// The frame, in the plot's units.
  package var left, right, top, bottom: Double
  /// Where the markers are.
  package var markers: [(x: Double, y: Double)]

  package static let fontSize = 9.0
  /// Half of a marker, with some air.
  private static let marker = 6.0
  /// Of the mean character, as a share of the font's size; names are in lower case.
  private static let characterWidth = 0.56

  package init(left: Double, right: Double, top: Double, bottom: Double, markers: [(x: Double, y: Double)]) {
    (self.left, self.right, self.top, self.bottom, self.markers) = (left, right, top, bottom, markers)
  }

  private struct Box {
    var left, right, top, bottom: Double

    func overlaps(_ other: Box) -> Bool {
      left < other.right && other.left < right && top < other.bottom && other.top < bottom
    }

    func isWithin(_ frame: Box) -> Bool {
      left >= frame.left && right <= frame.right && top >= frame.top && bottom <= frame.bottom
    }
  }

  /// The beginning of each text's baseline, one for each marker; nil for a text that is left out.
  package func places(_ texts: [String]) -> [(x: Double, y: Double)?] {
    let frame = Box(left: left, right: right, top: top, bottom: bottom)
    var taken = markers.map { place in
      Box(
        left: place.x - Self.marker, right: place.x + Self.marker, top: place.y - Self.marker,
        bottom: place.y + Self.marker)
    }
    return zip(texts, markers).enumerated().map { number, pair in
      let (text, (x, y)) = pair
      let width = Double(text.count) * Self.fontSize * Self.characterWidth
      // Beside the marker, then above and below it.
      let candidates = [
        (x + Self.marker + 1, y + 3), (x - Self.marker - 1 - width, y + 3),
        (x - width / 2, y - Self.marker - 2),
        (x - width / 2, y + Self.marker + Self.fontSize), (x + 3, y - Self.marker - 2),
        (x + 3, y + Self.marker + Self.fontSize), (x - 3 - width, y - Self.marker - 2),
        (x - 3 - width, y + Self.marker + Self.fontSize),
      ]
      for (x, y) in candidates {
        let box = Box(
          left: x, right: x + width, top: y - Self.fontSize * 0.8, bottom: y + Self.fontSize * 0.2)
        guard box.isWithin(frame), !taken.contains(where: box.overlaps) else { continue }
        taken.append(box)
        return (x, y)
      }
      return nil
    }
  }
}
