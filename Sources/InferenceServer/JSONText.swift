// Answers as JSON text, with the names that OpenAI's clients expect.

import Foundation
import NIOCore

enum JSONText {
  /// `value` in snake case, with keys in order, so that equal answers are equal bytes.
  static func encode(_ value: some Encodable) -> ByteBuffer {
    let encoder = JSONEncoder()
    encoder.keyEncodingStrategy = .convertToSnakeCase
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    // Log-probabilities of impossible tokens; OpenAI writes -9999 for them.
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    do {
      return ByteBuffer(bytes: try encoder.encode(value))
    } catch {
      // Answers are made of strings, numbers and arrays of them, all of which can be encoded.
      preconditionFailure("an answer that cannot be encoded: \(error)")
    }
  }
}

/// Encodes nil as `null`, where clients expect the key.
@propertyWrapper
struct Nullable<Value: Encodable>: Encodable {
  var wrappedValue: Value?

  init(wrappedValue: Value?) { self.wrappedValue = wrappedValue }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    if let wrappedValue {
      try container.encode(wrappedValue)
    } else {
      try container.encodeNil()
    }
  }
}

extension Nullable: Sendable where Value: Sendable {}
