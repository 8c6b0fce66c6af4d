// Numbers of tokens that users give.

import Generation

/// Lists of token counts as users give them.
package enum TokenCounts {
  /// More than any machine can hold, and so little that sums do not overflow.
  package static let maximum = 1 << 30

  /// Ascending and without repetition.
  ///
  /// Throws ``Generation/GenerationError/invalidCount(name:value:requirement:)`` for an empty list or a value outside
  /// of `minimum...maximum`.
  package static func checked(_ counts: [Int], name: String, minimum: Int) throws -> [Int] {
    guard !counts.isEmpty else {
      throw GenerationError.invalidCount(name: "number of \(name)s", value: 0, requirement: "positive")
    }
    for count in counts where !(minimum...maximum).contains(count) {
      throw GenerationError.invalidCount(name: name, value: count, requirement: "in \(minimum)...\(maximum)")
    }
    return Set(counts).sorted()
  }
}
