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
///
/// Rows are within what the context says that there is; that nobody evaluates meanwhile is up to whoever keeps them.
@safe public struct Logits {
  /// Tokens that have logits: those asked for, in batch order.
  public let rowCount: Int
  /// Logits of a row.
  public let vocabularySize: Int
  private let start: UnsafePointer<Float>?

  init(start: UnsafePointer<Float>?, rowCount: Int, vocabularySize: Int) {
    unsafe self.start = unsafe start
    self.rowCount = unsafe start == nil ? 0 : rowCount
    self.vocabularySize = vocabularySize
  }

  /// `[vocabularySize]`. Traps for a row that was not asked for.
  public subscript(row: Int) -> LogitRow {
    precondition(row >= 0 && row < rowCount, "row \(row) of \(rowCount)")
    return unsafe LogitRow(start! + row * vocabularySize, count: vocabularySize)
  }

  /// The logits of the last token. Traps when none were asked for.
  public var last: LogitRow { self[rowCount - 1] }
}

/// The logits of one token, `[vocabularySize]`: valid as long as the ``Logits`` that it is of. Copy with `Array(row)`
/// what is to be kept.
@safe public struct LogitRow: RandomAccessCollection {
  @usableFromInline let base: UnsafePointer<Float>
  /// Tokens of the vocabulary.
  public let count: Int

  init(_ base: UnsafePointer<Float>, count: Int) {
    unsafe self.base = unsafe base
    self.count = count
  }

  /// Tokens are counted from 0.
  @inlinable public var startIndex: Int { 0 }
  /// Behind the last token.
  @inlinable public var endIndex: Int { count }

  /// Of the token of this number. Traps for one that the vocabulary does not have.
  @inlinable
  public subscript(token: Int) -> Float {
    precondition(token >= 0 && token < count, "token \(token) of \(count)")
    return unsafe base[token]
  }

  /// Calls `body` with the memory, which is good until it returns.
  @inlinable
  public func withContiguousStorageIfAvailable<Result>(
    _ body: (UnsafeBufferPointer<Float>) throws -> Result
  ) rethrows -> Result? {
    try unsafe body(UnsafeBufferPointer(start: base, count: count))
  }

  /// Goes through the logits without asking again how many there are.
  @safe public struct Iterator: IteratorProtocol {
    @usableFromInline var place: UnsafePointer<Float>
    @usableFromInline let end: UnsafePointer<Float>

    @inlinable
    init(_ row: LogitRow) {
      unsafe place = unsafe row.base
      unsafe end = unsafe row.base + row.count
    }

    /// The logit of the next token, nil behind the last one.
    @inlinable
    public mutating func next() -> Float? {
      guard unsafe place != end else { return nil }
      defer { unsafe place += 1 }
      return unsafe place.pointee
    }
  }

  /// From the first token on.
  @inlinable public func makeIterator() -> Iterator { Iterator(self) }
}

/// Logits of a batch that was evaluated in several, put together in memory of their own.
@safe final class CollectedLogits {
  private var memory = unsafe UnsafeMutableBufferPointer<Float>(start: nil, count: 0)

  deinit { unsafe memory.deallocate() }

  /// Makes room; what was there is gone if there was less.
  func reserve(_ count: Int) {
    guard unsafe memory.count < count else { return }
    unsafe memory.deallocate()
    unsafe memory = .allocate(capacity: count)
  }

  /// Copies a row to its place among rows as long.
  func set(_ row: Int, to logits: LogitRow) {
    unsafe precondition(row >= 0 && (row + 1) * logits.count <= memory.count, "no room for row \(row)")
    unsafe (memory.baseAddress! + row * logits.count).update(from: logits.base, count: logits.count)
  }

  /// All of them; valid until rows are set again.
  func logits(rowCount: Int, vocabularySize: Int) -> Logits {
    unsafe precondition(rowCount * vocabularySize <= memory.count, "\(rowCount) rows of \(vocabularySize)")
    return unsafe Logits(
      start: UnsafePointer(memory.baseAddress), rowCount: rowCount, vocabularySize: vocabularySize)
  }
}
