// Looking backwards for a line that was entered before.

/// A search through lines, the newest first, as Ctrl-R does it in shells.
package struct HistorySearch: Sendable {
  private let history: [String]
  package private(set) var query = ""
  /// The place of the line that was found; nil while there is none.
  private var place: Int?

  /// - Parameter history: lines entered before, the oldest first.
  package init(history: [String]) { self.history = history }

  /// The line that was found; nil where none has the query.
  package var match: String? { place.map { history[$0] } }

  /// Adds to the query.
  package mutating func insert(_ text: String) {
    query += text
    find(atMost: place ?? history.count - 1)
  }

  /// Takes the last character of the query away, and looks from the newest line on.
  package mutating func deleteBackward() {
    if !query.isEmpty { query.removeLast() }
    find(atMost: history.count - 1)
  }

  /// The next older line.
  package mutating func goBack() {
    guard let place else { return }
    find(atMost: place - 1, keeping: place)
  }

  private mutating func find(atMost last: Int, keeping fallback: Int? = nil) {
    place = fallback
    guard !query.isEmpty else { return place = nil }
    let current = fallback.map { history[$0] }
    for index in stride(from: last, through: 0, by: -1)
    where history[index] != current && history[index].lowercased().contains(query.lowercased()) {
      return place = index
    }
  }
}
