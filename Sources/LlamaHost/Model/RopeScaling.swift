// Positions beyond those that a model was trained for, by turning queries and keys more slowly.

import CLlama

/// How angles of RoPE are scaled, in place of what the model's file says.
///
///     var options = LlamaModel.Options()
///     options.ropeScaling = RopeScaling(method: .yarn, factor: 4)
///
/// The host turns queries and keys, for a guest's attention as for its own. Keys that were turned in one way mean
/// nothing to queries that were turned in another one: a context belongs to the scaling that it was begun with.
public struct RopeScaling: Sendable, Hashable, Codable {
  /// Which angles become smaller.
  public enum Method: String, Sendable, Codable, CaseIterable {
    /// None of them, whatever the model's file says.
    case none
    /// All of them alike (position interpolation, arXiv 2306.15595).
    case linear
    /// Those of the slow pairs, which turn less than once within the original context; scores are sharpened a little
    /// (YaRN, arXiv 2309.00071).
    case yarn
  }

  public var method: Method
  /// By how much the context becomes longer, 1 or more: the paper's s. 1 for ``Method/none``.
  public var factor: Float
  /// Tokens of the context that the angles were trained for, for ``Method/yarn``: the paper's L. Nil for what the file
  /// says.
  public var originalContextLength: Int?

  /// A scaling, which is compared with the model when that is loaded.
  public init(method: Method, factor: Float = 1, originalContextLength: Int? = nil) {
    self.method = method
    self.factor = factor
    self.originalContextLength = originalContextLength
  }

  /// The largest factor that is taken for one.
  public static let largestFactor: Float = 1024

  /// The scaling as it is for a model, with everything that the file tells; nil for one that changes nothing.
  ///
  /// - Throws: ``LlamaError/ropeScalingNotUsable(_:reason:)``.
  func resolved(for file: GGUFFile) throws(LlamaError) -> RopeScaling? {
    func failure(_ reason: String) -> LlamaError { .ropeScalingNotUsable(self, reason: reason) }
    guard factor >= 1, factor <= Self.largestFactor else {
      throw failure("its factor must be between 1 and \(Int(Self.largestFactor))")
    }
    if let length = originalContextLength, !LlamaContext.positionRange.contains(length) || length == 0 {
      throw failure(
        "its original context must be between 1 and \(LlamaContext.positionRange.upperBound) tokens")
    }
    if file.learnedPositionCount != nil { throw failure("the model has learned a table of positions") }
    // The host chooses between the two sets by lengths that scaling changes.
    if file.hasTwoRopeFactors { throw failure("the model has two sets of RoPE factors of its own") }
    var result = self
    switch method {
    case .none:
      if file.ownRopeScaling == nil { return nil }
      (result.factor, result.originalContextLength) = (1, nil)
    case .linear: result.originalContextLength = nil
    case .yarn: result.originalContextLength = originalContextLength ?? file.originalContextLength
    }
    return result
  }

  /// Tokens of a context that it makes of the original one of a model.
  func contextLength(original: Int) -> Int {
    // A factor is at most 1024 and a length fits into 32 bits.
    Int(Double(originalContextLength ?? original) * Double(factor))
  }

  /// Asks the host for it.
  func apply(to parameters: inout llama_context_params) {
    unsafe parameters.rope_freq_scale = 1 / factor
    switch method {
    case .none: unsafe parameters.rope_scaling_type = LLAMA_ROPE_SCALING_TYPE_NONE
    case .linear: unsafe parameters.rope_scaling_type = LLAMA_ROPE_SCALING_TYPE_LINEAR
    case .yarn:
      unsafe parameters.rope_scaling_type = LLAMA_ROPE_SCALING_TYPE_YARN
      unsafe parameters.yarn_orig_ctx = UInt32(clamping: originalContextLength ?? 0)
    }
    // A file may ask for a part of YaRN by itself.
    unsafe parameters.yarn_ext_factor = method == .yarn ? 1 : 0
  }
}

extension LlamaModel {
  /// YaRN by the smallest whole factor that makes room for a context; nil for a model that cannot be given one.
  public func ropeScaling(forContext tokens: Int) -> RopeScaling? {
    guard description.ropeLayout != nil, let original = file.originalContextLength, original > 0 else {
      return nil
    }
    let factor = max(1, (tokens + original - 1) / original)
    return try? RopeScaling(method: .yarn, factor: Float(factor)).resolved(for: file)
  }
}

extension RopeScaling: CustomStringConvertible {
  /// `yarn by 2.0 from 32768 tokens`
  public var description: String {
    guard method != .none else { return "none" }
    return "\(method.rawValue) by \(factor)"
      + (originalContextLength.map { " from \($0) tokens" } ?? "")
  }
}

extension GGUFFile {
  /// The kind of scaling that the model was made with, such as `yarn`; nil when its angles are as they were trained.
  var ownRopeScaling: String? {
    guard let architecture else { return nil }
    let kind = string("\(architecture).rope.scaling.type")
    return kind == "none" ? nil : kind ?? number("\(architecture).rope.scaling.factor").map { _ in "linear" }
  }

  /// Tokens of a context that a model's positions are for, when they are scaled so.
  public func contextLength(scaled scaling: RopeScaling?) -> Int? {
    guard let architecture, let trained = integer("\(architecture).context_length") else { return nil }
    guard let scaling else { return trained }
    return scaling.contextLength(original: originalContextLength ?? trained)
  }
}
