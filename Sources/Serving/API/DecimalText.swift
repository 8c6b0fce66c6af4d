// Numbers as the digits that stand in a JSON text: binary fractions would round bounds.

/// A decimal number, exactly.
struct DecimalText: Hashable {
  var isNegative: Bool
  /// Digits before the point, without zeros in front: none for less than one.
  var whole: [UInt8]
  /// Digits behind the point, without zeros at the end.
  var fraction: [UInt8]

  static let zero = DecimalText(isNegative: false, whole: [], fraction: [])

  var isZero: Bool { whole.isEmpty && fraction.isEmpty }

  /// Nil for what is no number, and for numbers of more than 400 digits.
  init?(_ value: JSONValue) {
    switch value {
    case .integer(let integer): self.init("\(integer)")
    case .number(let double): self.init("\(double)")
    default: return nil
    }
  }

  private init(isNegative: Bool, whole: [UInt8], fraction: [UInt8]) {
    self.isNegative = isNegative
    self.whole = whole
    self.fraction = fraction
  }

  /// A number as Swift describes it: `-12`, `0.5`, `1e-05`.
  private init?(_ text: String) {
    let parts = text.lowercased().split(separator: "e", omittingEmptySubsequences: false)
    guard let mantissa = parts.first, parts.count <= 2 else { return nil }
    let exponent = parts.count == 2 ? Int(parts[1]) : 0
    guard let exponent, abs(exponent) <= 400 else { return nil }
    let halves = mantissa.drop { $0 == "-" }.split(separator: ".", omittingEmptySubsequences: false)
    func digits(_ text: Substring) -> [UInt8] { text.compactMap { $0.wholeNumberValue.map(UInt8.init) } }
    var whole = halves.first.map(digits) ?? []
    var fraction = halves.count > 1 ? digits(halves[1]) : []
    for _ in 0..<max(0, exponent) { whole.append(fraction.isEmpty ? 0 : fraction.removeFirst()) }
    for _ in 0..<max(0, -exponent) { fraction.insert(whole.isEmpty ? 0 : whole.removeLast(), at: 0) }
    self.whole = Array(whole.drop { $0 == 0 })
    while fraction.last == 0 { fraction.removeLast() }
    self.fraction = fraction
    isNegative = mantissa.hasPrefix("-") && !(self.whole.isEmpty && fraction.isEmpty)
  }

  var magnitude: DecimalText { DecimalText(isNegative: false, whole: whole, fraction: fraction) }

  /// The digit before the point with `place` others behind it there.
  func digit(before place: Int) -> UInt8 { place < whole.count ? whole[whole.count - 1 - place] : 0 }

  /// The digit behind the point with `place` others in front of it there.
  func digit(behind place: Int) -> UInt8 { place < fraction.count ? fraction[place] : 0 }

  var description: String {
    func text(_ digits: [UInt8]) -> String { digits.map { "\($0)" }.joined() }
    return (isNegative ? "-" : "") + (whole.isEmpty ? "0" : text(whole))
      + (fraction.isEmpty ? "" : "." + text(fraction))
  }

  static func < (left: DecimalText, right: DecimalText) -> Bool {
    if left.isNegative != right.isNegative { return left.isNegative }
    if left.isNegative { return right.magnitude < left.magnitude }
    if left.whole.count != right.whole.count { return left.whole.count < right.whole.count }
    if left.whole != right.whole { return left.whole.lexicographicallyPrecedes(right.whole) }
    return left.fraction.lexicographicallyPrecedes(right.fraction)
  }
}
