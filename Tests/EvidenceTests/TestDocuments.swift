// Documents, answers and traces that tests are made of.

import Evidence

/// SplitMix64: texts and weights depend on the seed alone.
struct Random: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var value = state
    value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
    value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
    return value ^ (value >> 31)
  }
}

/// Offsets of tokens that begin at each blank, as those of many tokenizers do.
func wordOffsets(_ text: String) -> [Int] {
  let bytes = Array(text.utf8)
  var offsets = [0]
  for index in bytes.indices.dropFirst() where bytes[index] == 0x20 || bytes[index] == 0x0A {
    offsets.append(index)
  }
  return offsets.last == bytes.count ? offsets : offsets + [bytes.count]
}

func document(_ text: String, name: String = "text.txt", at position: Int = 100) throws -> SourceDocument {
  try SourceDocument(name: name, text: text, firstPosition: position, tokenOffsets: wordOffsets(text))
}

extension EvidenceSources {
  /// The position of the token that holds the first occurrence of `needle`.
  func position(of needle: String, document: Int = 0) throws -> UInt32 {
    let text = Array(documents[document].text.utf8)
    let wanted = Array(needle.utf8)
    guard let start = text.indices.first(where: { text[$0...].starts(with: wanted) }) else {
      throw TestFailure(text: "no \(needle)")
    }
    let token = documents[document].tokenOffsets.lastIndex { $0 <= start } ?? 0
    return UInt32(documents[document].firstPosition + token)
  }

  func text(ofSegment index: Int) -> String {
    text(document: segments[index].document, bytes: segments[index].bytes)
  }
}

/// Equal but for rounding.
func isClose(_ value: Double?, _ expected: Double, within tolerance: Double = 1e-9) -> Bool {
  guard let value else { return false }
  return abs(value - expected) <= tolerance
}

struct TestFailure: Error { var text: String }

/// An answer whose tokens are words; `weights(word)` are its `[head][position weight]`.
func trace(
  _ text: String, headWeights: [Double], weights: (String, Int) throws -> [[PositionWeight]]
) rethrows -> AnswerTrace {
  let offsets = wordOffsets(text)
  let bytes = Array(text.utf8)
  let tokens = try zip(offsets, offsets.dropFirst()).enumerated().map { index, range in
    let word = String(decoding: bytes[range.0..<range.1], as: UTF8.self)
    return AnswerTrace.Token(bytes: range.0..<range.1, weights: try weights(word, index))
  }
  return AnswerTrace(text: text, headWeights: headWeights, tokens: tokens)
}

/// The city in eight sentences, one of them with a number.
let cityText = """
  The city lies on a wide river. Its market opens every morning at six.
  Fishermen bring their boats to the old harbour. The tower was built in 1648.
  A fire burned the library in 1702. Children play in the northern park.

  The bridge has eleven arches and needs repair. Nobody remembers who paid for it.
  """
