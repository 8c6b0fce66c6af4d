import Foundation
import Serving
import Testing

@Suite struct JSONNumberTests {
  /// Every number of three digits, and those beside it, against arithmetic.
  @Test(arguments: [
    (0, 0), (0, 9), (0, 10), (1, 12), (7, 123), (-5, 5), (-120, -7), (99, 101), (10, 99), (200, 1999),
    (-1, 0),
  ])
  func rangesOfIntegersAreExact(low: Int, high: Int) throws {
    let grammar = try GrammarText(schema: #"{"type":"integer","minimum":\#(low),"maximum":\#(high)}"#)
    for value in Array(-130...130) + [198, 199, 200, 201, 999, 1000, 1998, 1999, 2000, 20_000] {
      #expect(try grammar.accepts("\(value)") == (low...high).contains(value), "\(value) in \(low)...\(high)")
    }
    for text in ["", "-0", "00", "01", "+1", "1.0"] { #expect(try !grammar.accepts(text), "\(text)") }
  }

  /// Bounds with digits behind the point, tens of thousandths on both sides of them.
  @Test(
    arguments: [
      (#""minimum":0.5"#, 0.5, nil, true), (#""exclusiveMinimum":0"#, 0, nil, false),
      (#""maximum":1.25"#, nil, 1.25, true), (#""exclusiveMaximum":-0.1"#, nil, -0.1, false),
      (#""minimum":-0.05,"maximum":0.1"#, -0.05, 0.1, true),
      (#""exclusiveMinimum":-1.5,"exclusiveMaximum":2"#, -1.5, 2, false),
      (#""minimum":0,"maximum":1"#, 0, 1, true), (#""minimum":9.99,"maximum":10.01"#, 9.99, 10.01, true),
    ] as [(String, Double?, Double?, Bool)])
  func rangesOfNumbersAreExact(bounds: String, low: Double?, high: Double?, isInclusive: Bool) throws {
    let grammar = try GrammarText(schema: #"{"type":"number",\#(bounds)}"#)
    for base in [low, high, 0, 1, -1, 10, 100.5, -100.5, 3.25].compactMap(\.self) {
      for step in -3...3 {
        // In ten thousandths, so that the number is the one that its digits say.
        let units = Int((base * 10_000).rounded()) + step
        let digits = String(format: "%04d", abs(units) % 10_000)
        let text = (units < 0 ? "-" : "") + "\(abs(units) / 10_000).\(digits)"
        let value = Double(units) / 10_000
        let isAbove = low.map { isInclusive ? value >= $0 : value > $0 } ?? true
        let isBelow = high.map { isInclusive ? value <= $0 : value < $0 } ?? true
        // A zero with a sign is no text of ours.
        #expect(try grammar.accepts(text) == (isAbove && isBelow), "\(text) with \(bounds)")
      }
    }
    for text in ["", "-0", "1.", ".5", "00.5", "1e3"] { #expect(try !grammar.accepts(text), "\(text)") }
  }

  @Test(arguments: [
    ("integer", "3", 3.0), ("integer", "7", 7), ("integer", "10", 10), ("integer", "1000", 1000),
    ("integer", "0.5", 1), ("integer", "1.5", 3), ("number", "0.25", 0.25), ("number", "0.01", 0.01),
    ("number", "5", 5), ("number", "12500", 12500),
  ])
  func multiplesAreExact(type: String, step: String, value: Double) throws {
    let grammar = try GrammarText(schema: #"{"type":"\#(type)","multipleOf":\#(step)}"#)
    for number in [
      0, 1, 2, 3, 5, 6, 7, 9, 10, 12, 14, 20, 21, 100, 105, 999, 1000, 2000, 12_500, 37_500, 123_456,
    ] {
      let isMultiple = (Double(number) / value).rounded() * value == Double(number)
      #expect(try grammar.accepts("\(number)") == isMultiple, "\(number) of \(step)")
      if number > 0 { #expect(try grammar.accepts("-\(number)") == isMultiple, "-\(number) of \(step)") }
    }
    if type == "number", value < 1 {
      #expect(try grammar.accepts("1.25"))
      #expect(try grammar.accepts("0.30") == (value == 0.01))
      #expect(try !grammar.accepts("0.125"))
    }
  }

  @Test func stepsAndBoundsHoldTogether() throws {
    let grammar = try GrammarText(
      schema: #"{"type":"integer","multipleOf":6,"minimum":10,"exclusiveMaximum":36}"#)
    for number in 0...40 { #expect(try grammar.accepts("\(number)") == [12, 18, 24, 30].contains(number)) }
  }

  @Test func openRangesReachFar() throws {
    let least = try GrammarText(schema: #"{"type":"integer","minimum":18}"#)
    for (value, expected) in [(17, false), (18, true), (99_999, true), (123_456_789_012, true), (-18, false)]
    {
      #expect(try least.accepts("\(value)") == expected)
    }
    let positive = try GrammarText(schema: #"{"type":"number","exclusiveMinimum":0}"#)
    for (text, expected) in [
      ("0", false), ("0.0", false), ("0.000001", true), ("12345.678", true), ("-1", false),
    ] {
      #expect(try positive.accepts(text) == expected, "\(text)")
    }
  }

  @Test func impossibleNumbersAreRefused() throws {
    for (schema, word) in [
      (#"{"type":"integer","minimum":5,"maximum":4}"#, "minimum 5"),
      (#"{"type":"number","exclusiveMinimum":1,"exclusiveMaximum":1}"#, "no number"),
      (#"{"type":"integer","minimum":0.2,"maximum":0.8}"#, "no number"),
      (#"{"type":"integer","minimum":1e300}"#, "no number"), (#"{"type":"number","minimum":"1"}"#, "minimum"),
      (#"{"type":"integer","multipleOf":0}"#, "multipleOf"),
      (#"{"type":"integer","multipleOf":997}"#, "multipleOf"),
      (#"{"type":"integer","multipleOf":7,"minimum":8,"maximum":13}"#, "no number"),
      (#"{"type":"number","exclusiveMinimum":true}"#, "exclusiveMinimum"),
    ] {
      do {
        let grammar = try JSONGrammar.grammar(schema: JSONValue(parsing: Data(schema.utf8)))
        Issue.record("\(schema) gave \(grammar)")
      } catch let problem as JSONSchemaProblem {
        #expect("\(problem)".contains(word), "\(problem)")
      }
    }
  }
}
