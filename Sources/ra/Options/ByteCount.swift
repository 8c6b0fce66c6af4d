// Sizes on the command line.

import ArgumentParser
import Platform

/// `123`, `800M`, `4G`, `1.5GiB`: units are powers of 1024.
struct ByteCount: ExpressibleByArgument, Sendable {
  let bytes: Int

  init?(argument: String) {
    var text = Substring(argument.uppercased())
    for suffix in ["IB", "B"] where text.hasSuffix(suffix) && text.count > suffix.count {
      text = text.dropLast(suffix.count)
      break
    }
    var factor = 1.0
    if let unit = text.last, let power = ["K", "M", "G", "T"].firstIndex(of: String(unit)) {
      factor = pow(1024, Double(power + 1))
      text = text.dropLast()
    }
    guard let number = Double(text), number * factor >= 1, number * factor < 1e18 else { return nil }
    bytes = Int(number * factor)
  }
}
