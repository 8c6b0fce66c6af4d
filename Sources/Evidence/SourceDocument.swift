// A document of a context, and which positions of the context its bytes have.

/// A text that was read into a context, with the place of each of its tokens.
///
/// The tokens are those at the context's positions ``positions``. The token at `firstPosition + i` has the UTF-8 bytes
/// `tokenOffsets[i]..<tokenOffsets[i + 1]` of ``text``: a token may be empty, and may begin or end within a character.
/// Bytes in front of the first offset and behind the last one belong to no token.
public struct SourceDocument: Sendable, Equatable {
  /// What readers know it by, for example the name of its file. The suffix helps to tell code from prose.
  public let name: String
  /// The text as citations are to quote it.
  public let text: String
  /// The context's position of the first token, from 0 on.
  public let firstPosition: Int
  /// UTF-8 offsets into ``text``, ascending; one more than there are tokens.
  public let tokenOffsets: [Int]

  /// - Throws: ``EvidenceError`` unless offsets ascend within the text and positions are 32-bit numbers.
  public init(name: String, text: String, firstPosition: Int, tokenOffsets: [Int]) throws(EvidenceError) {
    guard !tokenOffsets.isEmpty else { throw .noOffsets(document: name) }
    var text = text
    text.makeContiguousUTF8()
    let bytes = text.utf8.count
    var previous = 0
    for (index, offset) in tokenOffsets.enumerated() {
      guard offset >= previous, offset <= bytes else {
        throw .badOffset(document: name, index: index, offset: offset, textBytes: bytes)
      }
      previous = offset
    }
    let count = tokenOffsets.count - 1
    guard firstPosition >= 0, firstPosition <= Int(UInt32.max) - count else {
      throw .badPositions(document: name, first: firstPosition, count: count)
    }
    self.name = name
    self.text = text
    self.firstPosition = firstPosition
    self.tokenOffsets = tokenOffsets
  }

  /// The context's positions that its tokens have.
  public var positions: Range<Int> { firstPosition..<firstPosition + tokenOffsets.count - 1 }
}
