// Numbers and biases that both kinds of completion understand alike.

import Hummingbird
import Serving

extension CompletionParameters {
  /// Most biases of a request: each is added at every token.
  private static let mostBiases = 10_000

  /// Checks the name that a request calls the model by.
  static func checkModel(
    _ fields: RequestFields, _ model: ModelCard, _ settings: ServerSettings
  ) throws(APIError) {
    guard let name = try fields.string("model"), settings.isModelStrict, name != "default",
      !model.isCalled(name)
    else { return }
    throw .unknownModel(name, model)
  }

  /// The first of some names of the limit that is given; -1 is as many tokens as fit.
  ///
  /// - Parameter allowed: 0 asks for nothing but that the prompt be read.
  static func maximumTokens(
    _ fields: RequestFields, _ names: [String], _ allowed: PartialRangeFrom<Int>
  ) throws(APIError) -> Int? {
    for name in names {
      guard let number = try fields.integer(name, -1...Int(Int32.max)) else { continue }
      if number == -1 { return .max }
      guard allowed.contains(number) else {
        throw .invalid(
          name,
          "'\(name)' must be an integer from \(allowed.lowerBound) to \(Int32.max), or -1, not \(number).")
      }
      return number
    }
    return nil
  }

  /// OpenAI's map of tokens to numbers, or llama-server's list of pairs; texts stand for all of their tokens, and false
  /// forbids.
  static func logitBias(_ fields: RequestFields) throws(APIError) -> [LogitBias] {
    let biases: [LogitBias]
    switch fields["logit_bias"] {
    case nil: return []
    case .object(let map)?:
      var list: [LogitBias] = []
      for (key, value) in map.sorted(by: { $0.key < $1.key }) {
        let target = Int32(key).map(LogitBias.Target.token) ?? .text(key)
        list.append(LogitBias(target, try bias(value, "logit_bias.\(key.prefix(40))")))
      }
      biases = list
    case .array(let pairs)?:
      var list: [LogitBias] = []
      for (index, pair) in pairs.enumerated() {
        let place = "logit_bias[\(index)]"
        guard let pair = pair.array, pair.count == 2 else {
          throw .invalid(place, "'\(place)' must be a list of a token and its bias.")
        }
        let value = try bias(pair[1], place)
        if let text = pair[0].string {
          list.append(LogitBias(.text(text), value))
        } else if let token = pair[0].integer.flatMap(Int32.init(exactly:)) {
          list.append(LogitBias(.token(token), value))
        } else {
          throw .invalid(place, "'\(place)' must begin with a token or a string, not \(pair[0].kind).")
        }
      }
      biases = list
    default: throw fields.mismatch("logit_bias", "an object or a list of pairs")
    }
    guard biases.count <= mostBiases else {
      throw .invalid(
        "logit_bias", "'logit_bias' has \(biases.count) entries, but at most \(mostBiases) are taken.")
    }
    return biases
  }

  private static func bias(_ value: JSONValue, _ place: String) throws(APIError) -> Float {
    let number: Double
    switch value {
    case .bool(false): return -.infinity
    case .integer(let integer): number = Double(integer)
    case .number(let double): number = double
    default: throw .invalid(place, "'\(place)' must be a number or false, not \(value.kind).")
    }
    guard abs(number) <= 1_000_000 else {
      throw .invalid(place, "'\(place)' must be from -1000000 to 1000000, not \(number).")
    }
    return Float(number)
  }
}
