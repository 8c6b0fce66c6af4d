// Words that stay whole at the edge of a terminal while a text comes in pieces.

/// Turns pieces of a text into what to write on a terminal of some width.
///
/// A word that has been begun on a line that it does not fit on is taken back and written on the next one. Words that
/// fit on no line are left to the terminal.
package struct WordWrap {
  /// Of the terminal.
  private let columns: Int
  /// Where the next character goes; the number of columns when the line is full.
  private var column = 0
  /// The word that has been written last, and may go on.
  private var word = ""
  private var wordWidth = 0

  /// - Parameter columns: of the terminal; fewer than 20 are left to it.
  package init(columns: Int) { self.columns = columns }

  /// What to write for the next piece of the text.
  package mutating func write(_ text: String) -> String {
    guard columns >= 20 else { return text }
    var output = ""
    for character in text { output += write(character) }
    return output
  }

  private mutating func write(_ character: Character) -> String {
    if character.isNewline {
      start(column: 0)
      return String(character)
    }
    let width = character == "\t" ? 8 - column % 8 : displayWidth(character)
    // One column stays free, where the cursor would be between two lines.
    let room = columns - 1
    if character == " " || character == "\t" {
      guard column + width <= room else {
        start(column: 0)
        return "\n"
      }
      start(column: column + width)
      return String(character)
    }
    // Letters of these scripts stand for words.
    if width == 2 { start(column: column) }
    guard column + width > room, column > wordWidth, wordWidth + width <= room else {
      word.append(character)
      wordWidth += width
      column = column + width > columns ? width : column + width
      return String(character)
    }
    let back = wordWidth > 0 ? "\u{1B}[\(wordWidth)D\u{1B}[K" : ""
    word.append(character)
    wordWidth += width
    column = wordWidth
    return back + "\n" + word
  }

  private mutating func start(column: Int) {
    self.column = column
    word = ""
    wordWidth = 0
  }
}
