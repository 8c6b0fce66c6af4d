// A logarithmic axis: its range and its ticks.

import Platform

/// Covers all positive values of some data, from a tick to a tick.
struct LogAxis {
  struct Tick {
    var value: Double
    var isLabeled: Bool
    var label: String
  }

  private(set) var ticks: [Tick] = []
  private let low: Double
  private let high: Double

  /// 0.1 to 10 without a positive value.
  init(_ values: [Double]) {
    let usable = values.filter { $0 > 0 && $0.isFinite }
    let (least, most) = (usable.min() ?? 0.1, usable.max() ?? 10)
    var candidates: [(value: Double, digit: Int)] = []
    for power in Int(floor(log10(least)))...Int(ceil(log10(most))) {
      for digit in [1, 2, 5] { candidates.append((Double(digit) * pow(10, Double(power)), digit)) }
    }
    // 1e-9: a value at a tick may miss it by rounding.
    let first = candidates.lastIndex { $0.value <= least * (1 + 1e-9) } ?? 0
    var last = candidates.firstIndex { $0.value >= most * (1 - 1e-9) } ?? candidates.count - 1
    if last == first { last = min(first + 1, candidates.count - 1) }
    let shown = candidates[first...last]
    low = log10(shown.first?.value ?? 0.1)
    high = log10(shown.last?.value ?? 10)
    // Beyond three decades, labels at 2 and 5 run into each other.
    ticks = shown.map {
      Tick(value: $0.value, isLabeled: $0.digit == 1 || shown.count <= 10, label: Self.label($0.value))
    }
  }

  /// Where a value lies, 0...1; those outside at the end they are beyond.
  func place(_ value: Double) -> Double {
    guard value > 0, high > low else { return 0 }
    return min(1, max(0, (log10(value) - low) / (high - low)))
  }

  /// "0.002", "50", "20k", "1M".
  static func label(_ value: Double) -> String {
    for (unit, name) in [(1e9, "G"), (1e6, "M"), (1e3, "k")] where value >= unit * (1 - 1e-9) {
      return "\(Int((value / unit).rounded()))\(name)"
    }
    if value >= 1 - 1e-9 { return "\(Int(value.rounded()))" }
    let digits = Int(ceil(-log10(value) - 1e-9))
    // All ticks have one digit, so this is exact.
    let digit = Int((value * pow(10, Double(digits))).rounded())
    return digits > 4 ? "\(digit)e-\(digits)" : "0." + String(repeating: "0", count: digits - 1) + "\(digit)"
  }
}
