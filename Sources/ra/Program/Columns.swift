// Tables of text.

/// Columns of a line: to the right in so many characters, or to the left for a negative number.
func aligned(_ columns: [(text: String, width: Int)]) -> String {
  var line = ""
  for (index, column) in columns.enumerated() {
    let padding = String(repeating: " ", count: max(0, abs(column.width) - column.text.count))
    line += (index > 0 ? " " : "") + (column.width < 0 ? " " + column.text + padding : padding + column.text)
  }
  while line.last == " " { line.removeLast() }
  return line
}
