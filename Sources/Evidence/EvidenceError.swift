// What may be wrong with documents and traces, with the value that is.

/// Why documents or the trace of an answer cannot be used. Nothing has changed where one is thrown.
public enum EvidenceError: Error, Equatable, Sendable {
  /// The offsets of a document's tokens are empty: there is one more offset than tokens.
  case noOffsets(document: String)
  /// An offset lies outside of the document's text, or before the one in front of it.
  case badOffset(document: String, index: Int, offset: Int, textBytes: Int)
  /// A document's first position is negative, or its last one is no 32-bit number.
  case badPositions(document: String, first: Int, count: Int)
  /// Two documents have positions in common.
  case overlappingDocuments(String, String)
  /// The weights of heads are empty, all zero, or one of them is negative or not finite.
  case badHeadWeights([Double])
  /// A token has lists of weights for another number of heads than there are head weights.
  case wrongHeadCount(Int, expected: Int)
  /// A weight of attention is negative or not finite.
  case badWeight(Float, position: UInt32)
  /// A token's range lies outside of the answer, or before the one in front of it.
  case badTokenRange(Range<Int>, token: Int, answerBytes: Int)
  /// The answer is finished and takes no more text.
  case finished
}

extension EvidenceError: CustomStringConvertible {
  /// What is wrong and what to do, in sentences.
  public var description: String {
    switch self {
    case .noOffsets(let document):
      "The document '\(document)' has no token offsets. Give one more offset than it has tokens."
    case .badOffset(let document, let index, let offset, let bytes):
      """
      Token offset \(index) of the document '\(document)' is \(offset). Offsets must ascend and lie within the \
      \(bytes) bytes of its text.
      """
    case .badPositions(let document, let first, let count):
      """
      The document '\(document)' has \(count) positions from \(first) on. Positions must be 0 to \(UInt32.max).
      """
    case .overlappingDocuments(let first, let second):
      "The documents '\(first)' and '\(second)' share positions. Give each the positions of its own tokens."
    case .badHeadWeights(let weights):
      "The head weights \(weights) cannot be used. Give at least one, none negative, and not all of them zero."
    case .wrongHeadCount(let count, let expected):
      "A token has weights of \(count) heads, but there are \(expected) head weights. Give a list for each."
    case .badWeight(let weight, let position):
      "The weight \(weight) at position \(position) is no share of attention. Give a finite number from 0 on."
    case .badTokenRange(let range, let token, let bytes):
      """
      Token \(token) has the bytes \(range.lowerBound) to \(range.upperBound). Ranges must ascend and lie within the \
      \(bytes) bytes of the answer.
      """
    case .finished: "The answer is finished and takes no more text. Begin another one for another answer."
    }
  }
}
