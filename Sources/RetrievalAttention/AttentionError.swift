// What can go wrong between a host and the attention engine. Each case carries the value that was refused.

public enum AttentionError: Error, Equatable, Sendable {
  /// A batch that does not continue where the last one ended.
  case unexpectedPosition(layer: Int, expected: Int, actual: Int)
  case unknownLayer(Int, layerCount: Int)
  /// A batch whose shape differs from the layer's.
  case shapeMismatch(layer: Int, name: String, expected: Int, actual: Int)
  /// The reserved rows are used up.
  case capacityExceeded(tokens: Int, capacity: Int)
  /// More memory than the machine has left, in bytes; `inEightBits` is what keys and values of eight bits would need,
  /// nil where that is what was asked for.
  case insufficientMemory(tokens: Int, required: Int, available: Int, inEightBits: Int?)
  /// The system refused to reserve address space.
  case reservationFailed(bytes: Int, code: Int32)
  /// Rows that are in the index already cannot be dropped.
  case cannotTruncate(to: Int, indexed: Int)
  /// A policy that evicts keys remembers what it kept at some positions only.
  case cannotRestore(to: Int, known: [Int])
  case invalidSetting(name: String, value: String, requirement: String)
}

extension AttentionError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .unexpectedPosition(let layer, let expected, let actual):
      "layer \(layer) was given position \(actual) where \(expected) comes next"
    case .unknownLayer(let layer, let count):
      "layer \(layer) is outside the model's \(count) layers"
    case .shapeMismatch(let layer, let name, let expected, let actual):
      "layer \(layer) has \(name) \(expected), but the batch has \(actual)"
    case .capacityExceeded(let tokens, let capacity):
      "\(tokens) tokens do not fit in a store reserved for \(capacity)"
    case .insufficientMemory(let tokens, let required, let available, _):
      """
      keys and values of \(tokens) tokens need \(formatBytes(required)), but only \(formatBytes(available)) of \
      memory are available
      """
    case .reservationFailed(let bytes, let code):
      "the system refused to reserve \(formatBytes(bytes)) of address space (error \(code)); is there a memory limit?"
    case .cannotTruncate(let position, let indexed):
      "cannot go back to position \(position): \(indexed) positions are in the index"
    case .cannotRestore(let position, let known):
      """
      cannot go back to position \(position): keys have been evicted since, and what was kept is known at \
      \(known.map(String.init).joined(separator: ", ")) only
      """
    case .invalidSetting(let name, let value, let requirement):
      "\(name) is \(value), but must be \(requirement)"
    }
  }
}

/// Bytes in the unit that suits their size: `512 B`, `1.5 MB`, `23.0 GB` (powers of 1024).
public func formatBytes(_ bytes: Int) -> String {
  var value = Double(bytes)
  var unit = 0
  let units = ["B", "KB", "MB", "GB", "TB", "PB"]
  while abs(value) >= 1024, unit < units.count - 1 {
    value /= 1024
    unit += 1
  }
  if unit == 0 { return "\(bytes) B" }
  return "\((value * 10).rounded() / 10) \(units[unit])"
}
