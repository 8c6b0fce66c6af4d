// How many tokens a context is made for, and whether there is memory for them.

import AttentionKernels
package import RetrievalAttention

extension Context {
  /// Tokens for which address space is reserved beyond what is planned, so that a conversation can go on.
  private static let spareCapacity = 1 << 18

  /// An empty context with room for `plannedTokens` and, unless address space is limited, for a long conversation
  /// behind them.
  convenience init(shape: ModelShape, policy: AttentionPolicy, plannedTokens: Int) throws {
    let engine = try Self.withCapacity(for: plannedTokens) {
      try AttentionEngine(shape: shape, policy: policy, capacity: $0)
    }
    self.init(engine: engine, tokens: [])
  }

  /// Makes an engine with room to spare, or, under a limit of address space, with room for what is planned.
  static func withCapacity(
    for plannedTokens: Int, _ make: (Int) throws -> AttentionEngine
  ) throws -> AttentionEngine {
    let (comfortable, overflow) = plannedTokens.addingReportingOverflow(spareCapacity)
    // More than the engine takes is its error to tell.
    guard !overflow, comfortable <= Int(UInt32.max) else { return try make(plannedTokens) }
    do {
      return try make(comfortable)
    } catch AttentionError.reservationFailed {
      return try make(plannedTokens)
    }
  }

  /// Throws for a number of tokens that no context has.
  static func checkPlan(_ plannedTokens: Int) throws {
    guard plannedTokens > 0 else {
      throw GenerationError.invalidCount(
        name: "planned tokens", value: plannedTokens, requirement: "positive")
    }
  }

  /// Throws when so many tokens cannot fit in memory, with their index.
  package static func checkMemory(shape: ModelShape, tokens: Int) throws {
    let (bytes, overflow) = shape.bytesPerTokenWithIndex.multipliedReportingOverflow(by: tokens)
    let required = overflow ? Int.max : bytes
    guard let available = SystemMemory.availableBytes, required > available else { return }
    var small = shape
    small.format = KeyValueFormat(keys: .int8, values: .int8)
    let (smallBytes, smallOverflow) = small.bytesPerTokenWithIndex.multipliedReportingOverflow(by: tokens)
    throw AttentionError.insufficientMemory(
      tokens: tokens, required: required, available: available,
      inEightBits: small.format == shape.format || smallOverflow ? nil : smallBytes)
  }
}
