// A place in a text, which may be inside a character.

/// The first bytes of a character in UTF-8.
struct PartialCharacter: Hashable {
  private var value: UInt32 = 0
  private var length: UInt8 = 0
  /// Bytes that are missing.
  private(set) var missing: UInt8 = 0

  static let none = PartialCharacter()

  private init() {}

  /// Begins a character of more than one byte; nil for a byte that begins none.
  init?(_ byte: UInt8) {
    switch byte {
    case 0xC2...0xDF: (length, value) = (2, UInt32(byte & 0x1F))
    case 0xE0...0xEF: (length, value) = (3, UInt32(byte & 0x0F))
    case 0xF0...0xF4: (length, value) = (4, UInt32(byte & 0x07))
    default: return nil
    }
    missing = length - 1
  }

  /// With one more byte; nil for one that cannot follow.
  func adding(_ byte: UInt8) -> PartialCharacter? {
    guard byte & 0xC0 == 0x80, missing > 0 else { return nil }
    var result = self
    result.value = value << 6 | UInt32(byte & 0x3F)
    result.missing -= 1
    return result
  }

  /// The characters that it can become; nil where it is none in the shortest form.
  var range: (low: UInt32, high: UInt32)? {
    let shift = UInt32(missing) * 6
    let least: UInt32 = length == 2 ? 0x80 : length == 3 ? 0x800 : 0x10000
    let low = max(value << shift, least)
    let high = min(value << shift | ((1 << shift) - 1), CharacterClass.last)
    return low <= high ? (low, high) : nil
  }
}

/// A state, and what has been read of a character behind it.
struct GrammarPlace: Hashable {
  var state: GrammarStates.State
  var partial = PartialCharacter.none
}

extension GrammarStates {
  /// The place behind one more byte of a text; nil where the grammar has none.
  mutating func advance(_ place: GrammarPlace, _ byte: UInt8) throws(GrammarError) -> GrammarPlace? {
    var partial: PartialCharacter
    if place.partial.missing == 0 {
      if byte < 0x80 {
        guard byte > 0 else { return nil }
        let next = try step(place.state, UInt32(byte))
        return next == Self.dead ? nil : GrammarPlace(state: next)
      }
      guard let begun = PartialCharacter(byte) else { return nil }
      partial = begun
    } else {
      guard let longer = place.partial.adding(byte) else { return nil }
      partial = longer
    }
    guard let (low, high) = partial.range else { return nil }
    guard partial.missing == 0 else {
      return try accepts(place.state, from: low, to: high)
        ? GrammarPlace(state: place.state, partial: partial) : nil
    }
    let next = try step(place.state, low)
    return next == Self.dead ? nil : GrammarPlace(state: next)
  }

  /// Adds the tokens of `vocabulary` that may come behind `place` to `mask`.
  mutating func allow(
    _ place: GrammarPlace, _ vocabulary: GrammarVocabulary, in mask: inout TokenMask
  ) throws(GrammarError) {
    var path = [GrammarPlace](repeating: place, count: vocabulary.deepest + 1)
    var node = 1
    while node < vocabulary.nodeCount {
      let depth = Int(vocabulary.depths[node])
      steps -= 1
      guard let next = try advance(path[depth - 1], vocabulary.bytes[node]) else {
        node = Int(vocabulary.ends[node])
        continue
      }
      path[depth] = next
      let tokens = Int(vocabulary.tokenStarts[node])..<Int(vocabulary.tokenStarts[node + 1])
      for index in tokens { mask.insert(vocabulary.tokens[index]) }
      node += 1
      guard memory <= GrammarLimits.stateMemory else {
        throw .tooManyStates(limit: GrammarLimits.stateMemory)
      }
    }
  }
}
