// Colors for shares, the same on light and dark pages.

import Platform

/// Eleven steps of the viridis scale, which keeps its order in gray and for color-blind people.
enum HeatColor {
  static let steps = [
    "#440154", "#482475", "#414487", "#355f8d", "#2a788e", "#21918c", "#22a884", "#44bf70", "#7ad151",
    "#bddf26",
    "#fde725",
  ]

  /// Step of a share, 0...1; what lies outside is the nearest.
  static func step(_ share: Double) -> Int {
    guard share.isFinite else { return 0 }
    return Int((min(1, max(0, share)) * Double(steps.count - 1)).rounded())
  }

  /// Style rules `.h0` to `.h10`: background, and ink that can be read on it.
  static var styles: String {
    steps.enumerated().map { number, color in
      ".h\(number){background:\(color);color:\(number < 6 ? "#fff" : "#111")}"
    }.joined(separator: "\n")
  }

  /// A logarithmic scale: which step a positive value has between two others.
  struct LogScale {
    let low: Double
    let high: Double

    /// Powers of ten around the positive values, the upper three decades of them; nil without any.
    init?(_ values: [Double]) {
      let positive = values.filter { $0 > 0 && $0.isFinite }
      guard let least = positive.min(), let most = positive.max() else { return nil }
      high = pow(10, ceil(log10(most) - 1e-9))
      low = min(high / 10, max(high / 1000, pow(10, floor(log10(least) + 1e-9))))
    }

    func step(_ value: Double) -> Int {
      guard value > 0 else { return 0 }
      return HeatColor.step((log10(value) - log10(low)) / (log10(high) - log10(low)))
    }
  }
}
