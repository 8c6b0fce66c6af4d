// SnapKV: what the end of the prompt attends to is what the answer will need.

import AttentionKernels
public import RetrievalAttention
import VectorIndex

/// Settings of `AttentionPolicy.snapKV(_:)`: at the end of a prompt, the keys that its last queries attend to (Li et
/// al., *SnapKV: LLM Knows What You are Looking for Before Generation*, arXiv 2404.14469).
///
/// Each key is voted for by the softmax weights of the last tokens' queries, summed; votes are pooled over neighbors,
/// and the highest `budget - window` keys before those tokens are kept, with the tokens and all that is generated.
/// Prompts are read with exact attention, as in the paper. The votes of a group of query heads are summed, so that
/// the group keeps one set; the paper's models have no groups. At the end of a further prompt keys are chosen anew
/// among all of the context, as if it had been one prompt.
public struct SnapKVSettings: PolicySettings {
  /// How votes are pooled, as written in text.
  public enum Pooling: String, CaseIterable, Sendable, Hashable {
    case max, mean
  }

  /// Keys that are kept of a prompt, the window's included.
  public var budget = 2048
  /// Last tokens of the prompt, which vote and are kept (the paper's observation window).
  public var windowCount = 32
  /// Neighbors over which votes are pooled.
  public var kernelSize = 7
  public var pooling = Pooling.max
  public var denseLayers: [Int] = []

  public init() {}

  public static let name = "snapkv"
  public static let summary = "Keys that the end of the prompt attends to, and generated tokens: SnapKV."
  public static let paper: String? = "2404.14469"
  public static let tradeOff = """
    Keys that the end of the prompt passes over are lost for the whole answer. A group of query heads keeps one set.
    """
  public static let parameters: [PolicyParameter<SnapKVSettings>] = [
    .integer("budget", \.budget, 1...Int(UInt32.max), "Keys that are kept of a prompt."),
    .integer("window", \.windowCount, 1...4096, symbol: "L_obs", "Last tokens of the prompt, which vote."),
    .integer("kernel", \.kernelSize, 1...1023, "Neighbors over which votes are pooled, odd."),
    .choice("pool", \.pooling, "How votes are pooled."),
    .denseLayers(\.denseLayers),
  ]

  public func validate() throws(AttentionError) {
    try validateParameters()
    guard kernelSize % 2 == 1 else {
      throw .invalidSetting(name: "kernel", value: "\(kernelSize)", requirement: "odd")
    }
  }

  public func makeHead(rows: HeadRows, place: HeadPlace) throws(AttentionError) -> any HeadPolicy {
    SnapKVHead(rows: rows, groupSize: place.layer.groupSize, settings: self)
  }
}

/// Attends to the keys chosen at the end of the last prompt and to all later ones.
final class SnapKVHead: ObservingHead, UpdatedHead, MeasuredHead {
  /// What was chosen at the end of one prompt.
  private struct Choice {
    /// Rows before `windowBegin`, ascending.
    var rows: [UInt32]
    var windowBegin: Int
    /// Rows at the end of the prompt.
    var end: Int
  }

  let rows: HeadRows
  private let groupSize: Int
  private let settings: SnapKVSettings
  private var recent: RecentQueries
  private var choices: [Choice] = []

  init(rows: HeadRows, groupSize: Int, settings: SnapKVSettings) {
    self.rows = rows
    self.groupSize = groupSize
    self.settings = settings
    recent = RecentQueries(
      capacity: settings.windowCount, groupSize: groupSize, dimension: rows.dimension)
  }

  var sampleByteCount: Int { recent.byteCount }
  var indexByteCount: Int { choices.reduce(0) { $0 + $1.rows.count * 4 } }

  func wants(position: Int, batchEnd: Int) -> Bool { position >= batchEnd - settings.windowCount }
  func observe(_ token: ObservedToken, workspace: Workspace) { recent.record(token, workspace: workspace) }
  func needsUpdate(_ moment: UpdateMoment) -> Bool { moment == .endOfPrompt }

  func truncate(to count: Int) throws(AttentionError) {
    rows.removeLast(to: count)
    recent.removeAll(from: count)
    choices.removeAll { $0.end > count }
  }

  func update(_ moment: UpdateMoment, askPosition: Int, workspace: Workspace) {
    let scratch = workspace.scope()
    let end = rows.count
    let windowBegin = max(0, end - settings.windowCount)
    let kept = max(0, settings.budget - settings.windowCount)
    guard windowBegin > kept else {
      choices.append(Choice(rows: (0..<windowBegin).map { UInt32($0) }, windowBegin: windowBegin, end: end))
      return
    }
    let (votes, pooled) = unsafe (scratch.list(windowBegin), scratch.list(windowBegin))
    votes.fill(0)
    unsafe recent.forEachToken(in: windowBegin..<end, groupSize: groupSize, rows: rows, workspace: workspace)
    {
      position, scores, stride in
      for h in 0..<groupSize {
        unsafe workspace.kernels.softmax(scores + h * stride, count: position + 1)
        unsafe workspace.kernels.unsafeAddScaled(
          scores + h * stride, by: 1, to: votes.base, count: windowBegin)
      }
    }
    pool(votes, into: pooled)
    let heap = unsafe scratch.indices(kept)
    let found = unsafe HighestScores.select(kept, of: pooled.base, count: windowBegin, into: heap)
    unsafe choices.append(
      Choice(
        rows: ListView(heap, count: found).sorted(), windowBegin: windowBegin, end: end))
  }

  /// The largest or the mean vote within half a kernel on both sides; beyond the ends there are no votes.
  private func pool(_ votes: ListView<Float>, into pooled: ListView<Float>) {
    let (votes, count, pooled) = unsafe (votes.base, votes.count, pooled.base)
    let reach = settings.kernelSize / 2
    for i in 0..<count {
      let range = max(0, i - reach)..<min(count, i + reach + 1)
      var result: Float = 0
      switch settings.pooling {
      case .max: for j in range { result = unsafe max(result, votes[j]) }
      case .mean:
        for j in range { unsafe result += votes[j] }
        result /= Float(settings.kernelSize)
      }
      unsafe pooled[i] = result
    }
  }

  func attend(_ step: HeadStep) -> ReadStatistics.Head {
    let (queries, states, workspace) = (step.queries, step.states, step.workspace)
    guard let choice = choices.last else {
      states.attend(queries, to: 0..<rows.count, of: rows, workspace: workspace)
      return ReadStatistics.Head(retrieved: rows.count)
    }
    unsafe choice.rows.withUnsafeList {
      unsafe states.attend(queries, to: $0, of: rows, workspace: workspace)
    }
    states.attend(queries, to: choice.windowBegin..<rows.count, of: rows, workspace: workspace)
    return ReadStatistics.Head(retrieved: choice.rows.count, fixed: rows.count - choice.windowBegin)
  }
}
