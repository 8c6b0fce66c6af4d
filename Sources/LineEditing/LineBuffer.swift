// A line being edited, without a terminal.

/// Text and a place in it, counted in characters as people see them, and the lines that were entered before.
package struct LineBuffer: Sendable {
  package private(set) var characters: [Character] = []
  /// 0 to the number of characters.
  package private(set) var cursor = 0
  private var history: [String]
  /// The place in `history`; its count for the line that is being written.
  private var place: Int
  private var unfinished = ""

  /// - Parameter history: lines entered before, the oldest first.
  package init(history: [String] = []) {
    self.history = history
    place = history.count
  }

  package var text: String { String(characters) }

  /// Applies a key that edits or moves; others do nothing.
  package mutating func apply(_ key: Key) {
    switch key {
    case .text(let text): insert(text)
    case .left: cursor = max(0, cursor - 1)
    case .right: cursor = min(characters.count, cursor + 1)
    case .wordLeft: cursor = previousWord()
    case .wordRight: cursor = nextWord()
    case .home: cursor = 0
    case .end: cursor = characters.count
    case .up: recall(place - 1)
    case .down: recall(place + 1)
    case .backspace: remove(max(0, cursor - 1)..<cursor)
    case .delete: remove(cursor..<min(characters.count, cursor + 1))
    case .deleteWord: remove(previousWord()..<cursor)
    case .deleteToStart: remove(0..<cursor)
    case .deleteToEnd: remove(cursor..<characters.count)
    case .enter, .endOfInput, .interrupt, .suspend, .redraw, .search, .cancel: break
    }
  }

  /// Takes another line in place of this one.
  package mutating func replace(with line: String) {
    characters = Array(line)
    cursor = characters.count
  }

  private mutating func insert(_ text: String) {
    // A mark may become one with the character before it, and that with the one behind.
    let left = String(characters[..<cursor]) + text
    let right = characters[cursor...]
    characters = Array(left + String(right))
    cursor = characters.count - right.count
  }

  private mutating func remove(_ range: Range<Int>) {
    characters.removeSubrange(range)
    cursor = range.lowerBound
  }

  private func previousWord() -> Int {
    var place = cursor
    while place > 0, characters[place - 1].isWhitespace { place -= 1 }
    while place > 0, !characters[place - 1].isWhitespace { place -= 1 }
    return place
  }

  private func nextWord() -> Int {
    var place = cursor
    while place < characters.count, characters[place].isWhitespace { place += 1 }
    while place < characters.count, !characters[place].isWhitespace { place += 1 }
    return place
  }

  private mutating func recall(_ next: Int) {
    guard (0...history.count).contains(next) else { return }
    if place == history.count { unfinished = text }
    place = next
    characters = Array(next == history.count ? unfinished : history[next])
    cursor = characters.count
  }
}

extension LineBuffer {
  /// The characters as they are drawn.
  var shownCharacters: [Character] { characters.map(Self.shown) }

  /// Pasted line breaks and control characters as something that takes one column.
  private static func shown(_ character: Character) -> Character {
    if character.isNewline { return "⏎" }
    if character == "\t" { return " " }
    let isControl = character.unicodeScalars.contains { $0.properties.generalCategory == .control }
    return isControl ? "?" : character
  }
}

/// Columns that a terminal uses for a character: Unicode Standard Annex 11, by blocks.
package func displayWidth(_ character: Character) -> Int {
  guard let scalar = character.unicodeScalars.first else { return 0 }
  switch scalar.properties.generalCategory {
  case .nonspacingMark, .enclosingMark, .format: return 0
  default: break
  }
  if scalar.properties.isEmojiPresentation { return 2 }
  if character.unicodeScalars.contains("\u{FE0F}") { return 2 }
  switch scalar.value {
  case 0x1100...0x115F, 0x2E80...0x303E, 0x3041...0xA4CF, 0xAC00...0xD7A3, 0xF900...0xFAFF, 0xFE30...0xFE6F,
    0xFF00...0xFF60, 0xFFE0...0xFFE6, 0x20000...0x3FFFD:
    return 2
  default: return 1
  }
}
