import Foundation
import Serving
import Testing

@Suite struct JSONValueTests {
  private func parse(_ text: String) throws -> JSONValue { try JSONValue(parsing: text.utf8) }

  @Test func readsEveryKindOfValue() throws {
    let text = """
       { "a" : [ 1 , -2.5e3, 0, -0, 1E-2, 100000000000000000000 ], "b": { }, "c":[], "d": true, "e" :false,
      "f":null, "g": "\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude00ü", "g2": "\\u0000", "a2":1, "a2":2 }
      """
    let object = try #require(try parse(text).object)
    #expect(
      object["a"]
        == .array([
          .integer(1), .number(-2500), .integer(0), .integer(0), .number(0.01),
          .number(1e20),
        ]))
    #expect(object["b"] == .object([:]))
    #expect(object["c"] == .array([]))
    #expect(object["d"] == .bool(true))
    #expect(object["e"] == .bool(false))
    #expect(object["f"] == .null)
    #expect(object["g"] == .string("\"\\/\u{8}\u{C}\n\r\té😀ü"))
    #expect(object["g2"] == .string("\0"))
    #expect(object["a2"] == .integer(2))
  }

  @Test func refusesWhatIsNotJSON() {
    for text in [
      "", " ", "{", "[", "[1,]", "[,1]", "{\"a\"}", "{\"a\":}", "{a:1}", "{\"a\":1,}", "01", "1.", ".5", "+1",
      "-", "1e", "1e999",
      "tru", "nul", "truex", "1 2", "\"", "\"\\", "\"\\u12\"", "\"\\u12g4\"", "\"\\x\"", "\"\\ud800\"",
      "\"\\ud800\\u0041\"",
      "\"\\udc00\"", "\"a\nb\"", "'a'", "NaN", "Infinity", "\u{FEFF}1", "[1}", "{\"a\":1]",
    ] {
      #expect(throws: JSONProblem.self, "\(text)") { try parse(text) }
    }
    #expect(throws: JSONProblem.self) { try JSONValue(parsing: [0x22, 0xFF, 0x22]) }
    #expect(throws: JSONProblem.self) { try JSONValue(parsing: [0x22, 0xC3, 0x22]) }
    #expect(throws: JSONProblem.self) { try parse(String(repeating: "[", count: 100_000)) }
    #expect((try? parse(String(repeating: "[", count: 128) + String(repeating: "]", count: 128))) != nil)
  }

  /// What is written is what Foundation reads, and what Foundation writes is read.
  @Test func agreesWithFoundation() throws {
    let value = JSONValue.object([
      "text": .string("a\"b\\c\u{1}é😀\n"), "list": .array([.integer(-7), .number(0.1), .bool(false), .null]),
      "large": .integer(.max), "small": .integer(.min), "nested": .object(["x": .array([])]),
    ])
    #expect(try parse(value.text) == value)
    let read = try JSONSerialization.jsonObject(with: Data(value.text.utf8)) as? [String: Any]
    #expect(read?["text"] as? String == "a\"b\\c\u{1}é😀\n")
    #expect(read?["large"] as? Int == .max)
  }

  @Test func everyDamagedDocumentIsAnErrorOrAValue() throws {
    let text = Array(#"{"a":[1,-2.5e3,"x\u00e9\ud83d\ude00"],"b":{"c":null,"d":true}}"#.utf8)
    for index in text.indices {
      #expect(throws: JSONProblem.self) { try JSONValue(parsing: text[..<index]) }
      for byte in UInt8.min...UInt8.max {
        var damaged = text
        damaged[index] = byte
        if let value = try? JSONValue(parsing: damaged) { #expect(try parse(value.text).text == value.text) }
      }
    }
  }
}
