// Cascading KV cache: a window whose far end thins out by importance.

import AttentionKernels
import Platform
public import RetrievalAttention
import VectorIndex

/// Settings of `AttentionPolicy.cascade(_:)`: a fixed number of keys in cascaded buffers, each of which takes half of
/// what the one before lets go (Willette et al., *Training-Free Exponential Context Extension via Cascading KV Cache*,
/// arXiv 2406.17808).
///
/// Of two keys that compete the one survives whose exponential moving average of attention is higher; see
/// `CascadeBuffers`. Every generated token's attention enters the averages, the highest of a group of query heads; of a
/// prompt only every 8th token's does, at an eighth of the cost. The buffers see prompts in strides. With `prefill` a
/// prompt's tokens attend to sink and buffers as they are before a batch of at most 512 tokens, and to the batch
/// itself, as in the paper; without, to everything. Positions stay what they were. Defaults are those with which the
/// authors' code runs a cache of 2048 keys.
public struct CascadeSettings: PolicySettings {
  /// Keys in all buffers together, without the sink.
  public var budget = 2048
  /// Buffers (the paper's N sub-caches).
  public var bufferCount = 4
  /// First tokens that are kept.
  public var sinkCount = 64
  /// How much of an average remains when a token is read.
  public var decay: Float = 0.9999
  /// Tokens of a prompt that enter the buffers together.
  public var stride = 512
  /// Whether prompts too attend to the buffers alone.
  public var prefill = false
  public var denseLayers: [Int] = []

  /// Of a prompt, every how many-th token's attention enters the averages.
  static let sampling = 8

  public init() {}

  public static let name = "cascade"
  public static let summary =
    "A window that thins out with age, keeping what got attention: Cascading KV cache."
  public static let paper: String? = "2406.17808"
  public static let tradeOff = """
    Of keys further back fewer and fewer are kept, and what got no attention in time is lost. Prompts are read \
    exactly but with prefill=true, as in the paper.
    """
  public static let parameters: [PolicyParameter<CascadeSettings>] = [
    .integer("budget", \.budget, 1...Int(UInt32.max), symbol: "|C|", "Keys in all buffers together."),
    .integer("buffers", \.bufferCount, 1...64, symbol: "N", "Buffers."),
    .integer("sink", \.sinkCount, 0...Int(UInt32.max), "First tokens that are kept."),
    .real("decay", \.decay, 0...1, symbol: "gamma", "How much of an average remains when a token is read."),
    .integer(
      "stride", \.stride, 1...4096, symbol: "S", "Tokens of a prompt that enter the buffers together."),
    .flag("prefill", \.prefill, "Whether prompts too attend to the buffers alone."),
    .denseLayers(\.denseLayers),
  ]

  public var readsPromptsExactly: Bool { !prefill }

  public func validate() throws(AttentionError) {
    try validateParameters()
    guard budget >= bufferCount else {
      throw .invalidSetting(
        name: "budget", value: "\(budget)", requirement: "at least the number of buffers, \(bufferCount)")
    }
  }

  public func makeHead(rows: HeadRows, place: HeadPlace) throws(AttentionError) -> any HeadPolicy {
    CascadeHead(rows: rows, groupSize: place.layer.groupSize, settings: self)
  }
}

/// Attends to the sink and to the rows in the buffers.
final class CascadeHead: BatchReadingHead, UpdatedHead, MeasuredHead, EvictingHead {
  let rows: HeadRows
  private let groupSize: Int
  private let settings: CascadeSettings
  private var history: StateHistory<CascadeBuffers>
  /// Rows that the batch of a prompt attends to which is being read, without its own.
  private var promptRows = RowBuffer<UInt32>()

  init(rows: HeadRows, groupSize: Int, settings: CascadeSettings) {
    self.rows = rows
    self.groupSize = groupSize
    self.settings = settings
    // A budget larger than all rows there can be would only waste memory.
    let capacity = min(settings.budget / settings.bufferCount, rows.capacity)
    history = StateHistory(CascadeBuffers(capacity: capacity, bufferCount: settings.bufferCount))
  }

  var indexByteCount: Int { history.current.count * 8 }
  func needsUpdate(_ moment: UpdateMoment) -> Bool { moment == .endOfPrompt }
  func checkTruncation(to count: Int) throws(AttentionError) { try history.check(count) }

  func truncate(to count: Int) throws(AttentionError) {
    try checkTruncation(to: count)
    rows.removeLast(to: count)
    history.restore(count)
  }

  func update(_ moment: UpdateMoment, askPosition: Int, workspace: Workspace) {
    if history.current.rowCount < rows.count {
      history.advance { state in take(rows.count, into: &state) }
    }
    history.mark()
  }

  /// Takes rows up to `end` that no query has judged.
  private func take(_ end: Int, into state: inout CascadeBuffers) {
    while state.rowCount < end {
      if state.rowCount < settings.sinkCount {
        state.skip(to: min(end, settings.sinkCount))
      } else {
        state.insert(state.rowCount, average: 0)
      }
    }
  }

  /// Writes sink and buffered rows and returns how many there are.
  private func list(_ state: inout CascadeBuffers, into room: ListView<UInt32>) -> Int {
    let target = unsafe room.base
    let sink = min(settings.sinkCount, state.rowCount)
    for row in 0..<sink { unsafe target[row] = UInt32(row) }
    var count = sink
    state.forEach { entry in
      unsafe target[count] = entry.row
      count += 1
    }
    return count
  }

  func attend(_ step: HeadStep) -> ReadStatistics.Head {
    let (queries, states, workspace) = (step.queries, step.states, step.workspace)
    let scratch = workspace.scope()
    return history.advance { state in
      take(rows.count, into: &state)
      let selected = unsafe scratch.rows(settings.sinkCount + state.count)
      let count = list(&state, into: selected)
      let list = unsafe scratch.list(groupSize * count)
      unsafe states.attend(queries, to: selected.first(count), of: rows, scores: list, workspace: workspace)
      let scores = unsafe list.base
      for h in 0..<groupSize { unsafe workspace.kernels.softmax(scores + h * count, count: count) }
      var place = min(settings.sinkCount, rows.count)
      let sink = place
      state.forEach { entry in
        var weight: Float = 0
        for h in 0..<groupSize { weight = unsafe max(weight, scores[h * count + place]) }
        entry.average = settings.decay * entry.average + (1 - settings.decay) * weight
        place += 1
      }
      return ReadStatistics.Head(retrieved: count - sink, fixed: sink)
    }
  }

  func didPrefill(_ batch: HeadBatch, workspace: Workspace) {
    history.advance { state in
      // Rows that came without a batch, such as copies.
      take(batch.firstPosition, into: &state)
      for first in stride(from: 0, to: batch.tokenCount, by: settings.stride) {
        read(first..<min(first + settings.stride, batch.tokenCount), of: batch, into: &state, workspace)
      }
    }
  }

  /// Lets the buffers see some tokens of a prompt: their queries judge what is kept and one another, then their keys
  /// enter.
  private func read(
    _ tokens: Range<Int>, of batch: HeadBatch, into state: inout CascadeBuffers, _ workspace: Workspace
  ) {
    let scratch = workspace.scope()
    let begin = batch.firstPosition + tokens.lowerBound
    let end = batch.firstPosition + tokens.upperBound
    let selected = unsafe scratch.rows(settings.sinkCount + state.count + tokens.count)
    let kept = list(&state, into: selected)
    for row in begin..<end { selected[kept + row - begin] = UInt32(row) }
    let count = kept + tokens.count
    // Decayed sums of each head's weights, the same as one update after the other while nothing enters or leaves.
    let sums = unsafe scratch.floats(groupSize * count)
    unsafe sums.update(repeating: 0, count: groupSize * count)
    let d = rows.dimension
    let queries = unsafe scratch.floats(groupSize * d)
    let scores = unsafe scratch.floats(groupSize * count)
    let decay = pow(settings.decay, Float(CascadeSettings.sampling))
    var judged = 0
    for token in tokens where (batch.firstPosition + token) % CascadeSettings.sampling == 0 {
      unsafe batch.queries(token..<token + 1, into: queries, workspace: workspace)
      let seen = kept + batch.firstPosition + token - begin + 1
      unsafe workspace.kernels.unsafeDot(
        FloatRows(queries, count: groupSize, dimension: d), with: rows.keys, .listed(selected.first(seen)),
        scores: scores, scoreStride: count)
      unsafe workspace.kernels.unsafeScale(sums, by: decay, count: groupSize * count)
      for h in 0..<groupSize {
        unsafe workspace.kernels.softmax(scores + h * count, count: seen)
        unsafe workspace.kernels.unsafeAddScaled(
          scores + h * count, by: 1 - decay, to: sums + h * count, count: seen)
      }
      judged += 1
    }
    for h in 1..<max(1, groupSize) {
      for i in 0..<count { unsafe sums[i] = max(sums[i], sums[h * count + i]) }
    }
    let remaining = pow(decay, Float(judged))
    var place = min(settings.sinkCount, state.rowCount)
    state.forEach { entry in
      entry.average = unsafe remaining * entry.average + sums[place]
      place += 1
    }
    for row in begin..<end {
      if row < settings.sinkCount {
        state.skip(to: row + 1)
      } else {
        unsafe state.insert(row, average: sums[kept + row - begin])
      }
    }
  }
}

extension CascadeHead: PromptHead {
  /// Before that all rows are in the buffers.
  var choosesForPrompts: Bool { settings.prefill && rows.count > settings.sinkCount + settings.budget }
  func readsAllKeys(position: Int, promptEnd: Int) -> Bool { false }

  func willReadPrompt(batchTokens: Int, continues: Bool) {
    guard choosesForPrompts else { return }
    let before = rows.count - batchTokens
    promptRows.removeAll()
    history.advance { state in
      // Rows that came without a batch, such as copies.
      take(before, into: &state)
      let count = min(settings.sinkCount, state.rowCount) + state.count
      let room = unsafe ListView(promptRows.grow(by: count), count: count)
      _ = list(&state, into: room)
    }
  }

  func attend(_ tile: PromptTile) -> Int {
    tile.attend(to: unsafe .listed(promptRows.base, count: promptRows.count), of: rows)
      + tile.attendCausally(from: history.current.rowCount, of: rows)
  }
}
