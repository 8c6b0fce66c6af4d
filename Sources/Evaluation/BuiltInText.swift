// The text that is measured on when nobody names one.

import CTexts

/// Texts that the program brings along.
package enum BuiltInText {
  /// Jane Austen's *Persuasion*, the first volume, on which nothing is tuned.
  package static var persuasion: String {
    var count = 0
    let start = unsafe ra_persuasion(&count)
    return unsafe String(decoding: UnsafeBufferPointer(start: start, count: count), as: UTF8.self)
  }
}
