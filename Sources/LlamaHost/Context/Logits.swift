// Results of an evaluation.

/// Which tokens of a batch need logits. Each costs a pass over the vocabulary's matrix.
public enum Outputs: Sendable {
  /// Of no token, of the last one, or of each.
  case none, last, all

  /// How many of `tokenCount` tokens that is.
  func count(of tokenCount: Int) -> Int {
    switch self {
    case .none: 0
    case .last: min(1, tokenCount)
    case .all: tokenCount
    }
  }
}

/// Unnormalized log-probabilities of the next token, in the host's memory: valid until the context evaluates
/// again.
public struct Logits {
  /// Tokens that have logits: those asked for, in batch order.
  public let rowCount: Int
  /// Logits of a row.
  public let vocabularySize: Int
  private let start: UnsafePointer<Float>?

  init(start: UnsafePointer<Float>?, rowCount: Int, vocabularySize: Int) {
    self.start = start
    self.rowCount = start == nil ? 0 : rowCount
    self.vocabularySize = vocabularySize
  }

  /// `[vocabularySize]`. Traps for a row that was not asked for.
  public subscript(row: Int) -> UnsafeBufferPointer<Float> {
    precondition(row >= 0 && row < rowCount, "row \(row) of \(rowCount)")
    return UnsafeBufferPointer(start: start.map { $0 + row * vocabularySize }, count: vocabularySize)
  }

  /// The logits of the last token. Traps when none were asked for.
  public var last: UnsafeBufferPointer<Float> { self[rowCount - 1] }
}
