// JSON of unknown shape: requests are checked field by field, for errors that name the field.

import Foundation
package import OrderedCollections

/// The fields of a JSON object in the order of its text.
package typealias JSONObject = OrderedDictionary<String, JSONValue>

/// A JSON value.
package enum JSONValue: Sendable, Hashable {
  case null
  case bool(Bool)
  case integer(Int)
  case number(Double)
  case string(String)
  case array([JSONValue])
  /// In the order of the text: schemas show it to models.
  case object(JSONObject)

  /// Parses one JSON document in UTF-8. Of fields with the same name the last one counts.
  ///
  /// - Throws: ``JSONProblem`` with the reason and the place.
  package init(parsing bytes: some Sequence<UInt8>) throws(JSONProblem) {
    var parser = JSONParser(Array(bytes))
    self = try parser.parse()
  }

  /// What it is, for messages.
  package var kind: String {
    switch self {
    case .null: "null"
    case .bool: "a boolean"
    case .integer: "an integer"
    case .number: "a number"
    case .string: "a string"
    case .array: "an array"
    case .object: "an object"
    }
  }

  package var object: JSONObject? {
    if case .object(let fields) = self { fields } else { nil }
  }

  package var array: [JSONValue]? {
    if case .array(let elements) = self { elements } else { nil }
  }

  package var string: String? {
    if case .string(let text) = self { text } else { nil }
  }

  package var integer: Int? {
    switch self {
    case .integer(let value): value
    case .number(let value): Int(exactly: value)
    default: nil
    }
  }

  /// The value as compact JSON text.
  package var text: String {
    switch self {
    case .array(let elements): return "[" + elements.map(\.text).joined(separator: ",") + "]"
    case .object(let fields):
      return "{" + fields.map { JSONValue.string($0).text + ":" + $1.text }.joined(separator: ",") + "}"
    default:
      let encoder = JSONEncoder()
      encoder.outputFormatting = .withoutEscapingSlashes
      // Every case can be encoded: numbers that came from JSON are finite.
      guard let data = try? encoder.encode(self) else { return "null" }
      return String(decoding: data, as: UTF8.self)
    }
  }
}

/// Bytes that are no JSON.
package struct JSONProblem: Error, Equatable, CustomStringConvertible {
  package var reason: String

  package var description: String { "not valid JSON: \(reason)" }
}

extension JSONValue: Encodable {
  package func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    switch self {
    case .null: try container.encodeNil()
    case .bool(let value): try container.encode(value)
    case .integer(let value): try container.encode(value)
    case .number(let value): try container.encode(value)
    case .string(let value): try container.encode(value)
    case .array(let value): try container.encode(value)
    case .object(let value):
      // Encoders make dictionaries objects, and of ordered ones lists.
      try container.encode(Dictionary(uniqueKeysWithValues: value.map { ($0, $1) }))
    }
  }
}
