// One setting of a policy as it is written in text: name, bounds, and where it is kept.

/// A setting of a policy of type `Settings`, read and written as text.
public struct PolicyParameter<Settings>: Sendable {
  /// As in `name=value`.
  public let name: String
  /// What the paper calls it.
  public let symbol: String?
  public let summary: String
  /// The values that are allowed, for people.
  public let range: String
  /// The value as text.
  public let text: @Sendable (Settings) -> String
  /// Takes a value from text; false when it is not allowed, and then nothing has changed.
  public let set: @Sendable (inout Settings, String) -> Bool
  /// Whether the value is allowed.
  public let isValid: @Sendable (Settings) -> Bool
}

extension PolicyParameter {
  /// A whole number in a range.
  public static func integer(
    _ name: String, _ path: any WritableKeyPath<Settings, Int> & Sendable, _ range: ClosedRange<Int>,
    symbol: String? = nil, _ summary: String
  ) -> PolicyParameter {
    PolicyParameter(
      name: name, symbol: symbol, summary: summary,
      range: range.upperBound == .max
        ? "\(range.lowerBound)..." : "\(range.lowerBound)...\(range.upperBound)",
      text: { "\($0[keyPath: path])" },
      set: { settings, text in
        guard let value = Int(text), range.contains(value) else { return false }
        settings[keyPath: path] = value
        return true
      },
      isValid: { range.contains($0[keyPath: path]) })
  }

  /// A number in a range.
  public static func real(
    _ name: String, _ path: any WritableKeyPath<Settings, Float> & Sendable, _ range: ClosedRange<Float>,
    symbol: String? = nil, _ summary: String
  ) -> PolicyParameter {
    PolicyParameter(
      name: name, symbol: symbol, summary: summary,
      range: range.upperBound == .greatestFiniteMagnitude
        ? "\(range.lowerBound)..." : "\(range.lowerBound)...\(range.upperBound)",
      text: { "\($0[keyPath: path])" },
      set: { settings, text in
        guard let value = Float(text), range.contains(value) else { return false }
        settings[keyPath: path] = value
        return true
      },
      isValid: { range.contains($0[keyPath: path]) })
  }

  /// A whole number of 64 bits, for random choices.
  public static func seed(
    _ name: String, _ path: any WritableKeyPath<Settings, UInt64> & Sendable, _ summary: String
  ) -> PolicyParameter {
    PolicyParameter(
      name: name, symbol: nil, summary: summary, range: "0...\(UInt64.max)",
      text: { "\($0[keyPath: path])" },
      set: { settings, text in
        guard let value = UInt64(text) else { return false }
        settings[keyPath: path] = value
        return true
      },
      isValid: { _ in true })
  }

  /// True or false.
  public static func flag(
    _ name: String, _ path: any WritableKeyPath<Settings, Bool> & Sendable, _ summary: String
  ) -> PolicyParameter {
    PolicyParameter(
      name: name, symbol: nil, summary: summary, range: "true|false",
      text: { "\($0[keyPath: path])" },
      set: { settings, text in
        guard let value = Bool(text) else { return false }
        settings[keyPath: path] = value
        return true
      },
      isValid: { _ in true })
  }

  /// A number for each layer, or none.
  public static func layerValues(
    _ name: String, _ path: any WritableKeyPath<Settings, [Float]> & Sendable, _ summary: String
  ) -> PolicyParameter {
    @Sendable func isAllowed(_ value: Float) -> Bool { value >= 0 && value.isFinite }
    return PolicyParameter(
      name: name, symbol: nil, summary: summary, range: "number+number+..., one a layer, or none",
      text: { settings in
        let values = settings[keyPath: path]
        return values.isEmpty ? "none" : values.map { "\($0)" }.joined(separator: "+")
      },
      set: { settings, text in
        if text == "none" {
          settings[keyPath: path] = []
          return true
        }
        // A plus sign may also belong to an exponent: 1e+10.
        let values = text.replacing("e+", with: "e").split(separator: "+", omittingEmptySubsequences: false)
          .map { Float($0) }
        guard values.allSatisfy({ $0.map(isAllowed) ?? false }) else { return false }
        settings[keyPath: path] = values.compactMap { $0 }
        return true
      },
      isValid: { $0[keyPath: path].allSatisfy(isAllowed) })
  }

  /// One of the words of an enumeration.
  public static func choice<Value: RawRepresentable<String> & CaseIterable & SendableMetatype>(
    _ name: String, _ path: any WritableKeyPath<Settings, Value> & Sendable, _ summary: String
  ) -> PolicyParameter {
    PolicyParameter(
      name: name, symbol: nil, summary: summary,
      range: Value.allCases.map(\.rawValue).joined(separator: "|"),
      text: { $0[keyPath: path].rawValue },
      set: { settings, text in
        guard let value = Value(rawValue: text) else { return false }
        settings[keyPath: path] = value
        return true
      },
      isValid: { _ in true })
  }

  /// Layers that attend exactly.
  public static func denseLayers(_ path: any WritableKeyPath<Settings, [Int]> & Sendable) -> PolicyParameter {
    let layers = 0...9999
    return PolicyParameter(
      name: "dense", symbol: nil, summary: "Layers that attend exactly.",
      range: "layer+layer+... of \(layers.lowerBound)...\(layers.upperBound), or none",
      text: { settings in
        let dense = settings[keyPath: path]
        return dense.isEmpty ? "none" : dense.map { "\($0)" }.joined(separator: "+")
      },
      set: { settings, text in
        if text == "none" {
          settings[keyPath: path] = []
          return true
        }
        var dense: [Int] = []
        for part in text.split(separator: "+", omittingEmptySubsequences: false) {
          guard let layer = Int(part), layers.contains(layer) else { return false }
          dense.append(layer)
        }
        settings[keyPath: path] = dense
        return true
      },
      isValid: { $0[keyPath: path].allSatisfy { layers.contains($0) } })
  }
}
