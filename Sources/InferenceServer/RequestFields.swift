// The fields of a request, each checked, with errors that name the field.

import Hummingbird
import Serving

/// A JSON object from a client. `null` counts as absent.
struct RequestFields {
  let fields: JSONObject
  /// Where the object stands in the request, for errors.
  private let path: String

  init(_ body: ByteBuffer) throws(APIError) {
    let value: JSONValue
    do {
      value = try JSONValue(parsing: body.readableBytesView)
    } catch {
      throw APIError(.badRequest, "The body is \(error)", code: "invalid_json")
    }
    guard let fields = value.object else {
      throw APIError(.badRequest, "The body must be a JSON object, not \(value.kind).", code: "invalid_json")
    }
    self.fields = fields
    path = ""
  }

  private init(_ fields: JSONObject, path: String) {
    self.fields = fields
    self.path = path
  }

  /// The value of a field, nil for an absent one or `null`.
  subscript(_ name: String) -> JSONValue? {
    guard let value = fields[name], value != .null else { return nil }
    return value
  }

  func name(_ field: String) -> String { path.isEmpty ? field : "\(path).\(field)" }

  func mismatch(_ field: String, _ expected: String) -> APIError {
    .invalid(name(field), "'\(name(field))' must be \(expected), not \(self[field]?.kind ?? "absent").")
  }

  func string(_ field: String) throws(APIError) -> String? {
    guard let value = self[field] else { return nil }
    guard let text = value.string else { throw mismatch(field, "a string") }
    return text
  }

  func flag(_ field: String) throws(APIError) -> Bool? {
    guard let value = self[field] else { return nil }
    guard case .bool(let flag) = value else { throw mismatch(field, "true or false") }
    return flag
  }

  func integer(_ field: String, _ range: ClosedRange<Int>) throws(APIError) -> Int? {
    guard let value = self[field] else { return nil }
    let expected = "an integer from \(range.lowerBound) to \(range.upperBound)"
    guard let number = value.integer else { throw mismatch(field, expected) }
    guard range.contains(number) else {
      throw .invalid(name(field), "'\(name(field))' must be \(expected), not \(number).")
    }
    return number
  }

  func number(_ field: String, _ range: ClosedRange<Double>) throws(APIError) -> Double? {
    guard let value = self[field] else { return nil }
    let number: Double
    switch value {
    case .integer(let integer): number = Double(integer)
    case .number(let double): number = double
    default: throw mismatch(field, "a number from \(range.lowerBound) to \(range.upperBound)")
    }
    guard range.contains(number) else {
      throw .invalid(
        name(field),
        "'\(name(field))' must be from \(range.lowerBound) to \(range.upperBound), not \(number).")
    }
    return number
  }

  func object(_ field: String) throws(APIError) -> RequestFields? {
    guard let value = self[field] else { return nil }
    guard let fields = value.object else { throw mismatch(field, "an object") }
    return RequestFields(fields, path: name(field))
  }

  func objects(_ field: String) throws(APIError) -> [RequestFields]? {
    guard let value = self[field] else { return nil }
    guard let elements = value.array else { throw mismatch(field, "a list of objects") }
    var objects: [RequestFields] = []
    for (index, element) in elements.enumerated() {
      let place = "\(name(field))[\(index)]"
      guard let fields = element.object else {
        throw .invalid(place, "'\(place)' must be an object, not \(element.kind).")
      }
      objects.append(RequestFields(fields, path: place))
    }
    return objects
  }

  /// Refuses fields that would change the answer if they could be served.
  func refuse(_ unsupported: String...) throws(APIError) {
    for field in unsupported {
      switch self[field] {
      case nil, .bool(false)?, .array([])?, .object([:])?: continue
      default:
        throw APIError(
          .badRequest, "'\(name(field))' is not supported by this server.", parameter: name(field),
          code: "unsupported_parameter")
      }
    }
  }
}
