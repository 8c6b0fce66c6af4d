// GBNF for the decimal texts of a range of integers.

/// Integers from a lower to an upper bound, as a grammar of their digits.
package enum IntegerRange {
  /// Digits of the largest number when there is no bound.
  private static let digits = 15

  /// A GBNF alternation of the integers in `low...high`; nil bounds are 15 digits away.
  package static func pattern(low: Int?, high: Int?) -> String {
    let limit = power(digits) - 1
    let low = low ?? -limit
    let high = high ?? limit
    var parts: [String] = []
    if low < 0 {
      let negative = positive(max(1, -high), -low)
      parts += negative.map { "\"-\" \($0)" }
    }
    if high >= 0 { parts += positive(max(0, low), high) }
    return parts.joined(separator: " | ")
  }

  private static func power(_ exponent: Int) -> Int { (0..<exponent).reduce(1) { value, _ in value * 10 } }

  /// Alternatives for `low...high`, both zero or positive, split where the number of digits changes.
  private static func positive(_ low: Int, _ high: Int) -> [String] {
    var parts: [String] = []
    var start = low
    while start <= high {
      let count = String(start).count
      let end = min(high, power(count) - 1)
      parts += sameLength(Array(String(start)), Array(String(end)))
      start = end + 1
    }
    return parts
  }

  /// Alternatives for the digit strings between two of the same length.
  private static func sameLength(_ low: [Character], _ high: [Character]) -> [String] {
    guard let first = low.first, let last = high.first else { return [""] }
    let rest = low.count - 1
    if low.dropFirst().allSatisfy({ $0 == "0" }), high.dropFirst().allSatisfy({ $0 == "9" }) {
      return [(first == last ? "\"\(first)\"" : "[\(first)-\(last)]") + any(rest)]
    }
    if first == last {
      return sameLength(Array(low.dropFirst()), Array(high.dropFirst())).map { "\"\(first)\" \($0)" }
    }
    let nines = [Character](repeating: "9", count: rest)
    let zeros = [Character](repeating: "0", count: rest)
    var parts = sameLength(Array(low.dropFirst()), nines).map { "\"\(first)\" \($0)" }
    if let begin = first.wholeNumberValue, let end = last.wholeNumberValue, begin + 1 <= end - 1 {
      parts.append("[\(begin + 1)-\(end - 1)]" + any(rest))
    }
    parts += sameLength(zeros, Array(high.dropFirst())).map { "\"\(last)\" \($0)" }
    return parts
  }

  private static func any(_ count: Int) -> String { count == 0 ? "" : " [0-9]{\(count)}" }
}
