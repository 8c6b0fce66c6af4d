// How a run names itself in its results.

import Foundation
import LlamaHost

extension EvaluationHeader {
  init(model loaded: LlamaModel, threads: Int, settings: EvaluationSettings, filler: FillerText) {
    let model = loaded.description
    var hash = StableHash()
    for part in [
      "\(Self.currentVersion)", model.summary, "\(model.byteCount)", Self.digest(ofStart: model.path),
      filler.digest, "\(settings.seed)", "\(settings.questions)", "\(settings.readsQuestionsByToken)",
      "\(settings.raw)", "\(settings.fidelityTokens)",
    ] { hash.add(part) }
    // Only where there is one, so that files without stay what they are.
    if let scaling = loaded.ropeScaling { hash.add("scaling \(scaling)") }
    if settings.readsApart { hash.add("apart") }
    fingerprint = hash.description
    self.model = "\(model)" + (loaded.ropeScaling.map { ", RoPE scaled: \($0)" } ?? "")
    modelFile = URL(fileURLWithPath: model.path).lastPathComponent
    self.filler = settings.fillerName
    seed = settings.seed
    questionsPerContext = settings.questions
    questionReading = settings.readsQuestionsByToken ? "token" : "batch"
    readsApart = settings.readsApart ? true : nil
    raw = settings.raw
    fidelityTokens = settings.fidelityTokens
    machine = MachineDescription.current
    self.threads = threads
    started = Date.now.ISO8601Format()
  }

  /// Tells files of one size apart by their first megabyte, which has all settings of a GGUF file.
  private static func digest(ofStart path: String) -> String {
    var hash = StableHash()
    if let file = FileHandle(forReadingAtPath: path), let start = try? file.read(upToCount: 1 << 20) {
      hash.add(start)
    }
    return hash.description
  }
}
