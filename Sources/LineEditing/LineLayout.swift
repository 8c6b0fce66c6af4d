// A line of any length on a terminal of some width.

/// The rows that a prompt and a text take, and where the cursor is among them.
struct LineLayout: Equatable {
  private(set) var rows: [String] = [""]
  private(set) var cursorRow = 0
  private(set) var cursorColumn = 0

  /// - Parameters:
  ///   - columns: of the terminal.
  ///   - height: its rows; only so many around the cursor are laid out.
  init(prompt: String, _ buffer: LineBuffer, columns: Int, height: Int) {
    let columns = max(2, columns)
    var width = 0
    func put(_ character: Character, _ rows: inout [String], _ width: inout Int) {
      let size = displayWidth(character)
      if width + size > columns {
        rows.append("")
        width = 0
      }
      rows[rows.count - 1].append(character)
      width += size
    }
    for character in prompt { put(character, &rows, &width) }
    for (index, character) in (buffer.shownCharacters + [" "]).enumerated() {
      let isEnd = index == buffer.characters.count
      if index == buffer.cursor {
        let starts = width + displayWidth(character) > columns
        cursorRow = rows.count - (starts ? 0 : 1)
        cursorColumn = starts ? 0 : width
      }
      // Behind the last character there is only the cursor, which may need a row.
      guard !isEnd else {
        if cursorRow == rows.count { rows.append("") }
        break
      }
      put(character, &rows, &width)
    }
    let height = max(1, height)
    if rows.count > height {
      let first = min(max(0, cursorRow - height / 2), rows.count - height)
      rows = Array(rows[first..<first + height])
      cursorRow -= first
    }
  }
}
