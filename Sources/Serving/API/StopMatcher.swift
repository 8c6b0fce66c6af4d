// Stop sequences may begin in one token and end in another, so text is held back while it could be one.

/// Cuts a stream of text at the first stop sequence.
///
/// The text that comes out, concatenated, is the text that went in up to the earliest end of a match, without the
/// matched sequence. Cost: bytes held back times stop sequences, for each piece.
package struct StopMatcher: Sendable {
  private let stops: [[UInt8]]
  private var pending: [UInt8] = []
  /// Whether a stop sequence has come; everything after it is dropped.
  package private(set) var isStopped = false
  /// The stop sequence that has come.
  package private(set) var found: String?

  /// - Parameter stops: texts to stop at; empty ones are ignored.
  package init(stops: [String]) {
    self.stops = stops.map { Array($0.utf8) }.filter { !$0.isEmpty }
  }

  /// The text that is certain to belong to the answer.
  package mutating func append(_ text: String) -> String {
    guard !isStopped else { return "" }
    guard !stops.isEmpty else { return text }
    pending += Array(text.utf8)
    // The match that ends first wins; of those, the one that starts first.
    var match: Range<Int>?
    var matched: [UInt8] = []
    for stop in stops {
      guard let start = Self.firstIndex(of: stop, in: pending) else { continue }
      let found = start..<start + stop.count
      if let best = match, (best.upperBound, best.lowerBound) <= (found.upperBound, found.lowerBound) {
        continue
      }
      match = found
      matched = stop
    }
    if let match {
      isStopped = true
      found = String(decoding: matched, as: UTF8.self)
      defer { pending = [] }
      return String(decoding: pending[..<match.lowerBound], as: UTF8.self)
    }
    let held = stops.reduce(0) { max($0, Self.overlap(of: pending, with: $1)) }
    defer { pending.removeFirst(pending.count - held) }
    return String(decoding: pending[..<(pending.count - held)], as: UTF8.self)
  }

  /// What was held back, at the end of the text.
  package mutating func finish() -> String {
    defer { pending = [] }
    return isStopped ? "" : String(decoding: pending, as: UTF8.self)
  }

  private static func firstIndex(of needle: [UInt8], in bytes: [UInt8]) -> Int? {
    guard bytes.count >= needle.count else { return nil }
    return (0...bytes.count - needle.count).first { bytes[$0..<$0 + needle.count].elementsEqual(needle) }
  }

  /// The longest proper beginning of `stop` that `bytes` ends with.
  private static func overlap(of bytes: [UInt8], with stop: [UInt8]) -> Int {
    let longest = min(bytes.count, stop.count - 1)
    guard longest > 0 else { return 0 }
    return stride(from: longest, through: 1, by: -1).first { bytes.suffix($0).elementsEqual(stop.prefix($0)) }
      ?? 0
  }
}
