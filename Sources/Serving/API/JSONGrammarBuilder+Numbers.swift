// Bounds and steps of numbers, digit by digit.
//
// A number is written from its first digit to its last. What may follow depends on how many digits are still to come
// before the point, on whether the number so far equals the beginning of a bound, and on what is left of it when it is
// divided by the step. Each combination that leads anywhere is a rule.

/// Which numbers a schema allows.
private struct NumberRange {
  /// A bound, and whether it is allowed itself.
  struct Bound: Hashable {
    var value: DecimalText
    var isInclusive: Bool
  }

  /// What the rest of a number depends on.
  struct State: Hashable {
    /// Digits to come before the point; behind it, minus one minus the digits that stand there.
    var place: Int
    /// Whether the number so far is the beginning of the bound.
    var isAtLow, isAtHigh: Bool
    /// What the digits so far leave over when divided by the step, all that may follow being zeros.
    var rest: Int
  }

  /// Bounds of the magnitude.
  var low, high: Bound?
  /// Numbers are multiples of it, in units of the last digit.
  var step: Int?
  /// Most digits before and behind the point.
  var digits, fractionDigits: Int
  /// A digit's value in units of the last one, modulo the step, by how many digits stand behind it.
  var weights: [Int] = []
}

extension JSONGrammarBuilder {
  /// Digits of the largest number without a bound; with a step fewer, since each place has rules of its own.
  private static let mostDigits = (free: 15, stepped: 12)
  /// Most places and rests that are looked at.
  private static let mostStates = 20_000
  private static let largestStep = 128

  /// A rule for the numbers that `fields` allow.
  mutating func number(_ fields: JSONObject, at place: String, isInteger: Bool) -> String {
    var low: NumberRange.Bound?
    var high: NumberRange.Bound?
    for key in ["minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"] {
      guard let value = fields[key] else { continue }
      guard let number = DecimalText(value) else { return fail(place, "\(key) must be a number") }
      let bound = NumberRange.Bound(value: number, isInclusive: !key.hasPrefix("exclusive"))
      // Of two bounds on one side the tighter one counts, and the exclusive one of equals.
      if key.hasSuffix("inimum") {
        guard let old = low, number < old.value || number == old.value && !old.isInclusive else {
          low = bound
          continue
        }
      } else {
        guard let old = high, old.value < number || number == old.value && !old.isInclusive else {
          high = bound
          continue
        }
      }
    }
    if let low, let high, high.value < low.value {
      return fail(place, "minimum \(low.value.description) is above maximum \(high.value.description)")
    }
    guard low != nil || high != nil || fields["multipleOf"] != nil else {
      return use(isInteger ? "integer" : "number")
    }
    var range = NumberRange(digits: Self.mostDigits.free, fractionDigits: isInteger ? 0 : 16)
    if !isInteger {
      let longest = max(low?.value.fraction.count ?? 0, high?.value.fraction.count ?? 0)
      range.fractionDigits = max(range.fractionDigits, min(40, longest + 1))
    }
    if let value = fields["multipleOf"] {
      guard set(step: value, of: &range, isInteger: isInteger) else {
        return fail(
          place,
          "multipleOf must be 1 to \(Self.largestStep), with the point anywhere or zeros behind, not \(value.text)"
        )
      }
    }
    return signed(range, low, high)
      ?? fail(place, "no number is within its bounds and steps of at most 15 digits")
  }

  /// Takes note of a step; returns whether it can be kept.
  private func set(step value: JSONValue, of range: inout NumberRange, isInteger: Bool) -> Bool {
    guard let number = DecimalText(value), !number.isZero, !number.isNegative, number.fraction.count <= 12,
      number.whole.count <= 12
    else { return false }
    let digits = number.whole + number.fraction
    var step = digits.reduce(0) { $0 * 10 + Int($1) }
    var places = number.fraction.count
    // Whole numbers that are multiples of 0.5 are all of them; of 1.5, those of 3.
    if isInteger {
      var unit = 1
      for _ in 0..<places { unit *= 10 }
      func divisor(_ left: Int, _ right: Int) -> Int { right == 0 ? left : divisor(right, left % right) }
      step /= divisor(step, unit)
      places = 0
    }
    var small = step
    while small % 10 == 0 { small /= 10 }
    guard small <= Self.largestStep else { return false }
    range.step = step
    range.fractionDigits = places
    range.digits = Self.mostDigits.stepped
    var weight = 1 % step
    for _ in 0...range.digits + places {
      range.weights.append(weight)
      weight = weight * 10 % step
    }
    return true
  }

  /// The numbers of both signs; nil for none.
  private mutating func signed(
    _ range: NumberRange, _ low: NumberRange.Bound?, _ high: NumberRange.Bound?
  ) -> String? {
    var parts: [String] = []
    if low?.value.isNegative ?? true {
      var negative = range
      let isBelow = high?.value.isNegative ?? false
      // Zero has no sign.
      negative.low =
        isBelow
        ? high.map { .init(value: $0.value.magnitude, isInclusive: $0.isInclusive) }
        : .init(value: .zero, isInclusive: false)
      negative.high = low.map { .init(value: $0.value.magnitude, isInclusive: $0.isInclusive) }
      if let rule = magnitudes(negative) { parts.append("\"-\" \(rule)") }
    }
    if !(high?.value.isNegative ?? false) {
      var positive = range
      positive.low = low?.value.isNegative ?? true ? nil : low
      positive.high = high
      if let rule = magnitudes(positive) { parts.append(rule) }
    }
    return parts.isEmpty ? nil : add(parts.joined(separator: " | "))
  }

  /// Numbers without a sign; nil for none.
  private mutating func magnitudes(_ range: NumberRange) -> String? {
    var known: [NumberRange.State: String?] = [:]
    var parts: [String] = []
    let least = max(1, range.low?.value.whole.count ?? 1)
    let highest = range.high.map { max(1, $0.value.whole.count) } ?? range.digits
    guard least <= min(highest, range.digits) else { return nil }
    for count in least...min(highest, range.digits) {
      let state = NumberRange.State(
        place: count, isAtLow: range.low != nil && count == least,
        isAtHigh: range.high != nil && count == highest,
        rest: 0)
      // No zeros in front.
      if let rule = choices(of: count == 1 ? 0...9 : 1...9, range, state, &known) { parts.append(rule) }
    }
    return parts.isEmpty ? nil : add(parts.joined(separator: " | "))
  }

  /// What follows the digits so far; nil when nothing can.
  private mutating func rule(
    _ range: NumberRange, _ state: NumberRange.State, _ known: inout [NumberRange.State: String?]
  ) -> String? {
    if let rule = known[state] { return rule }
    guard known.count < Self.mostStates else { return nil }
    let rule = definition(range, state, &known).map { text in
      // Short ones are as short as a name.
      guard text.utf8.count <= 24 else { return add(text) }
      return text.contains("|") ? "( \(text) )" : text
    }
    known[state] = .some(rule)
    return rule
  }

  private mutating func definition(
    _ range: NumberRange, _ state: NumberRange.State, _ known: inout [NumberRange.State: String?]
  ) -> String? {
    let isFree = !state.isAtLow && !state.isAtHigh && range.step == nil
    let behind = -1 - state.place
    if isFree {
      let fraction = range.fractionDigits > 0 ? "( \".\" [0-9]{1,\(range.fractionDigits)} )?" : ""
      if state.place >= 0 { return (state.place > 0 ? "[0-9]{\(state.place)} " : "") + fraction }
      return behind < range.fractionDigits ? "[0-9]{0,\(range.fractionDigits - behind)}" : "\"\""
    }
    if state.place > 0 { return choices(of: 0...9, range, state, &known) }
    let written = max(0, behind)
    let ends = canEnd(range, state, written)
    var next = state
    next.place = -1 - written
    let more = written < range.fractionDigits ? choices(of: 0...9, range, next, &known) : nil
    guard let more else { return ends ? "\"\"" : nil }
    let part = state.place == 0 ? "\".\" ( \(more) )" : more
    return ends ? "( \(part) )?" : "( \(part) )"
  }

  /// Whether a number with `written` digits behind the point may end there.
  private func canEnd(_ range: NumberRange, _ state: NumberRange.State, _ written: Int) -> Bool {
    guard state.rest == 0 else { return false }
    if state.isAtLow, let low = range.low, written < low.value.fraction.count || !low.isInclusive {
      return false
    }
    if state.isAtHigh, let high = range.high, written >= high.value.fraction.count, !high.isInclusive {
      return false
    }
    return true
  }

  /// The next digit, one of `digits`, with all that may follow each.
  private mutating func choices(
    of digits: ClosedRange<Int>, _ range: NumberRange, _ state: NumberRange.State,
    _ known: inout [NumberRange.State: String?]
  ) -> String? {
    let isWhole = state.place > 0
    let behind = -1 - state.place
    var parts: [(first: Int, last: Int, rule: String)] = []
    for digit in digits {
      var next = state
      // Behind the point places go on to count down.
      next.place = state.place - 1
      if state.isAtLow, let low = range.low {
        let limit = Int(isWhole ? low.value.digit(before: state.place - 1) : low.value.digit(behind: behind))
        guard digit >= limit else { continue }
        next.isAtLow = digit == limit
      }
      if state.isAtHigh, let high = range.high {
        let limit = Int(
          isWhole ? high.value.digit(before: state.place - 1) : high.value.digit(behind: behind))
        guard digit <= limit else { continue }
        next.isAtHigh = digit == limit
      }
      if let step = range.step {
        let place = isWhole ? state.place - 1 + range.fractionDigits : range.fractionDigits - 1 - behind
        next.rest = (state.rest + digit * range.weights[place]) % step
        // What is left over must be less than all that can follow.
        guard place >= 13 || (step - next.rest) % step < (0..<place).reduce(1, { value, _ in value * 10 })
        else {
          continue
        }
      }
      guard let rule = rule(range, next, &known) else { continue }
      if let last = parts.last, last.rule == rule, last.last == digit - 1 {
        parts[parts.count - 1].last = digit
      } else {
        parts.append((digit, digit, rule))
      }
    }
    guard !parts.isEmpty else { return nil }
    return parts.map { part in
      let digits = part.first == part.last ? "\"\(part.first)\"" : "[\(part.first)-\(part.last)]"
      return part.rule == "\"\"" || part.rule.isEmpty ? digits : "\(digits) \(part.rule)"
    }.joined(separator: " | ")
  }
}
