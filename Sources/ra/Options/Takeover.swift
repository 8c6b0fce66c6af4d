// Who computes attention, and what is told of it: the same for all commands that load a model.

import Evaluation
import Generation
import LlamaHost

extension Console {
  /// Whether attention is ours: probes the model once, and tells what there is to know of it.
  ///
  /// - Parameter isForced: something was asked for that llama.cpp's own attention does not do.
  /// - Returns: false for a model that only llama.cpp's own attention can run, after a sentence that says why.
  /// - Throws: ``GenerationError/unsupportedModel(_:)`` when that is not what was asked for, or would not do either.
  func takesOver(_ model: LlamaModel, _ pool: ThreadPool, isForced: Bool) throws -> Bool {
    let report = try model.takeover(pool: pool)
    for warning in report.warnings { note("note: \(warning)") }
    if report.isSupported { return true }
    let reasons = report.reasons.map(\.description)
    guard !isForced, !report.reasons.contains(where: \.preventsGeneration) else {
      throw GenerationError.unsupportedModel(reasons)
    }
    note("llama.cpp's own attention is used: " + reasons.joined(separator: "; "))
    return false
  }

  /// Those of several attentions that a model can be run with.
  ///
  /// - Parameter isForced: they were asked for; else they are only what is compared when nobody says.
  func possible(
    _ attentions: [EvaluatedAttention], of model: LlamaModel, _ pool: ThreadPool, isForced: Bool
  ) throws -> [EvaluatedAttention] {
    guard attentions.contains(where: { $0.policy != nil }) else { return attentions }
    return try takesOver(model, pool, isForced: isForced) ? attentions : [.host]
  }
}
