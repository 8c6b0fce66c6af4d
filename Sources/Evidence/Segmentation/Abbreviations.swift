// Words whose stop does not end a sentence.

/// Abbreviations of English and German, in small letters and without their last stop.
enum Abbreviations {
  /// Never the end of a sentence: titles, and what introduces something.
  static let inner: Set<String> = [
    "mr", "mrs", "ms", "mx", "dr", "prof", "st", "mt", "ft", "rev", "gen", "col", "sgt", "capt", "lt", "cmdr",
    "maj",
    "hon", "gov", "sen", "rep", "pres", "messrs", "mme", "mlle", "hr", "fr", "vs", "cf", "viz", "approx",
    "ca", "resp",
    "bzw", "bspw", "vgl", "evtl", "inkl", "zzgl", "ggf", "sog", "geb", "dept", "est", "ibid", "supp",
  ]

  /// Not the end of a sentence in front of a number.
  static let beforeNumber: Set<String> = [
    "no", "nos", "nr", "fig", "figs", "abb", "tab", "vol", "vols", "p", "pp", "s", "ch", "chap", "sec",
    "secs", "art",
    "arts", "eq", "eqs", "ex", "abs", "bd", "kap", "para", "al", "op", "v", "vv", "ver", "rev", "jan", "feb",
    "mar",
    "apr", "jun", "jul", "aug", "sep", "sept", "oct", "nov", "dec", "okt", "dez", "c", "ed", "eds", "col",
  ]

  /// Times of day, which end a sentence in front of a capital.
  static let times: Set<String> = ["a.m", "p.m"]

  /// Whether a stop behind `word` is part of it.
  ///
  /// - Parameters:
  ///   - word: the letters, digits and stops in front of the stop.
  ///   - next: the first character of the next word.
  static func keepsStop(_ word: ArraySlice<UInt8>, next: UInt32) -> Bool {
    guard let first = word.first, word.count <= 12 else { return false }
    // One capital is somebody's initial; "I" is more often a word.
    var letter = TextCursor(Array(word), isFinal: true)
    if let (value, length) = letter.scalar(0), length == word.count, Characters.isUppercase(value) {
      return value != 0x49 && Characters.isUppercase(next)
    }
    guard first < 0x80 else { return false }
    let text = String(decoding: word, as: UTF8.self).lowercased()
    let isNumber = next < 0x80 && Ascii.isDigit(UInt8(next))
    if inner.contains(text) || isNumber && beforeNumber.contains(text) { return true }
    // Letters with stops between them, one or two at a time: e.g., U.S., Ph.D.
    guard word.contains(Ascii.stop) else { return false }
    let parts = word.split(separator: Ascii.stop)
    guard parts.allSatisfy({ $0.count <= 2 && $0.allSatisfy(Ascii.isLetter) }) else { return false }
    return !(times.contains(text) && Characters.isUppercase(next))
  }
}
