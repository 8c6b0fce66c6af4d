// What an answer took, for scripts and for people.

import Evidence
import Foundation
import Generation
import LlamaHost
import RetrievalAttention

/// What `ra generate --json` writes.
struct GenerationReport: Encodable {
  var text: String
  /// What the model thought before; nil for nothing.
  var reasoning: String?
  var stopReason: TextGenerator.StopReason
  var attention: String
  var seed: UInt32
  var promptTokens: Int
  var generatedTokens: Int
  var prefillSeconds: Double
  var prefillTokensPerSecond: Double
  var decodeTokensPerSecond: Double
  var indexSeconds: Double
  var keysRead: Double?
  var keysReadWithStatic: Double?
  var bytesPerToken: Double?
  var drafts: DraftStatistics
  /// The passages that the answer came from; missing where nobody asked for them.
  var evidence: EvidenceRecord?
  var memory: MemoryUse
  /// Empty when all layers are on the CPU.
  var devices: [DeviceReport] = []
  /// Why devices did not attend to the prompt, though they were to.
  var prefillRefusal: String?
  /// The same of first and last tokens, while others were generated.
  var windowRefusal: String?
  /// What devices did for those; nil when the CPU attended to them.
  var windowOnDevices: WindowActivity?
  /// What devices did for the prompt; nil when the CPU attended to it.
  var prefillOnDevices: PromptActivity?

  init(_ result: TextGenerator.Result, seed: UInt32) {
    let statistics = result.statistics
    text = result.text
    reasoning = result.reasoning.isEmpty ? nil : result.reasoning
    stopReason = result.stopReason
    self.seed = seed
    attention = statistics.attention
    promptTokens = statistics.promptTokens
    generatedTokens = statistics.generatedTokens
    prefillSeconds = statistics.prefillSeconds
    prefillTokensPerSecond = statistics.prefillTokensPerSecond
    decodeTokensPerSecond = statistics.decodeTokensPerSecond
    indexSeconds = statistics.indexSeconds
    keysRead = statistics.reads?.keysRead
    keysReadWithStatic = statistics.reads?.keysReadWithStatic
    bytesPerToken = statistics.reads?.bytesPerToken
    drafts = statistics.drafts
    memory = statistics.memory
  }

  /// All measurements, a line each.
  var measurements: String {
    var lines = [
      "attention  \(attention)",
      String(
        format: "prefill    %d tokens in %.1f s, %.0f tokens/s", promptTokens, prefillSeconds,
        prefillTokensPerSecond),
      String(format: "decode     %d tokens, %.1f tokens/s", generatedTokens, decodeTokensPerSecond),
    ]
    if let keysRead, let keysReadWithStatic, let bytesPerToken {
      lines.append(
        String(
          format:
            "read       %.1f %% of the keys and values a step looked up, %.1f %% with first and last tokens (%@)",
          keysRead * 100, keysReadWithStatic * 100, formatBytes(Int(bytesPerToken))))
    }
    if drafts.proposed > 0 {
      lines.append(
        "drafts     \(drafts.accepted) of \(drafts.proposed) right, \(formatCount(drafts.steps, "step"))")
    }
    if indexSeconds > 0 {
      lines.append(
        String(
          format: "index      built in %.2f s, %.1f %% of prefill", indexSeconds,
          indexSeconds / prefillSeconds * 100))
    }
    var parts: [String] = []
    if memory.store > 0 { parts.append("keys and values \(formatBytes(memory.store))") }
    if memory.index > 0 { parts.append("index \(formatBytes(memory.index))") }
    if let resident = memory.resident { parts.append("process \(formatBytes(resident))") }
    if !parts.isEmpty { lines.append("memory     " + parts.joined(separator: ", ")) }
    lines += devices.map { "device     " + $0.summary }
    if let prefillOnDevices { lines.append("prompt     " + prefillOnDevices.summary) }
    if let windowOnDevices { lines.append("window     " + windowOnDevices.summary) }
    if let windowRefusal {
      lines.append("device     first and last tokens were attended to on the CPU: \(windowRefusal)")
    }
    if let prefillRefusal {
      lines.append("device     the prompt was attended to on the CPU: \(prefillRefusal)")
    }
    return lines.joined(separator: "\n")
  }
}

extension GenerationReport {
  /// What is told behind an answer.
  ///
  /// - Parameters:
  ///   - kept: tokens in front of the prompt that were there already.
  ///   - isQuiet: leaves the line out of what it took.
  func note(_ option: StatisticsOption, kept: Int = 0, isQuiet: Bool = false) -> String? {
    let taken = option.stats ? measurements : isQuiet ? nil : line(kept: kept)
    let lines = [taken, ending].compactMap { $0 }
    return lines.isEmpty ? nil : lines.joined(separator: "\n")
  }

  /// What it took, in a line.
  private func line(kept: Int) -> String {
    var line = "\(formatTokens(promptTokens)) read in \(Self.seconds(prefillSeconds))"
    if kept > 0 { line += " (\(formatTokens(kept)) were there)" }
    line += ", \(formatTokens(generatedTokens)) written"
    if decodeTokensPerSecond > 0 { line += String(format: " at %.0f a second", decodeTokensPerSecond) }
    if let keysRead, keysRead > 0, let keysReadWithStatic {
      line += String(format: ", each from %.0f %% of the text", max(1, keysReadWithStatic * 100))
    }
    return line
  }

  /// Why the answer ends before its end; nil where it does not.
  var ending: String? {
    switch stopReason {
    case .endOfText: nil
    case .length:
      "The answer was cut after \(formatTokens(generatedTokens)); a larger --max-tokens lets it go on."
    case .repetition:
      """
      The answer went in circles and was stopped; --repetition-penalty 1.1 or --temperature 0.7 may help, and \
      --allow-repetition lets it go on.
      """
    case .cancelled: "The answer was stopped after \(formatTokens(generatedTokens))."
    }
  }

  private static func seconds(_ seconds: Double) -> String {
    seconds < 10 ? String(format: "%.1f s", seconds) : formatDuration(seconds)
  }
}
