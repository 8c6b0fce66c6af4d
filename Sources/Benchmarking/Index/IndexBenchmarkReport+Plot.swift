// Error against bytes and against time: the two prices of an answer.

import Evaluation

extension IndexBenchmarkReport {
  /// Errors below are rounding: there is nothing to tell apart.
  private static let lowestError = 1e-4

  /// A plot of all points as an SVG document.
  package var svg: String {
    func panel(_ title: String, _ label: String, _ x: (Point) -> Double) -> ScatterPlot.Panel {
      var series: [ScatterPlot.Series] = []
      for point in points {
        // A sweep of something else is a line for each k.
        let line = point.parameters.count > 1 ? point.parameters["k"].map { "\($0)" } ?? "" : ""
        let entry = ScatterPlot.Point(
          x: x(point), y: point.meanError, label: point.parameterText, line: line)
        if let place = series.firstIndex(where: { $0.name == point.index }) {
          series[place].points.append(entry)
        } else {
          series.append(ScatterPlot.Series(name: point.index, points: [entry]))
        }
      }
      return ScatterPlot.Panel(title: title, xLabel: label, yLabel: "mean relative error", series: series)
    }
    var notes = [
      """
      \(header.heads) KV heads of \(header.groupSize) query heads, dimension \(header.headDimension), \
      \(header.candidates) indexed rows, \(header.queries) queries; \(header.simd), \(header.threads) thread
      """
    ]
    if points.contains(where: { $0.timeScope == .search }) {
      notes.append(
        "time of faiss and hnswlib: the search alone; of the others: search and attention to what was found")
    }
    if points.contains(where: { $0.meanError < Self.lowestError }) {
      notes.append("on the lower edge: errors below \(Self.lowestError)")
    }
    return ScatterPlot(
      title: header.input,
      panels: [
        panel("Error against bytes", "bytes read, a query head", \.bytesPerQuery),
        panel("Error against time", "microseconds, a query head, cold caches", \.microsecondsPerQuery),
      ], notes: notes, lowestY: Self.lowestError
    ).svg
  }
}

extension IndexBenchmarkReport.Point {
  /// "k 100, beamWidth 200", in the order of the names.
  package var parameterText: String {
    parameters.sorted { $0.key < $1.key }.map { name, value in
      let whole = Int(exactly: value).map { "\($0)" }
      return "\(name) \(whole ?? "\(value)")"
    }.joined(separator: ", ")
  }
}
