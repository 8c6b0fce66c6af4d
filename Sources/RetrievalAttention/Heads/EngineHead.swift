// A head as the engine has it: what it can do is asked once, when it is made.

import AttentionModel

/// One KV head of a layer with its capabilities.
///
/// A class: a step hands heads from task to task, and copies of a struct would count references to all of these.
final class EngineHead {
  let policy: any HeadPolicy
  let windowed: (any WindowedHead)?
  let divided: (any DividedHead)?
  let blocked: (any BlockedHead)?
  let planning: (any PlanningHead)?
  let fixedRows: (any FixedRowsHead)?
  let observing: (any ObservingHead)?
  let batchReading: (any BatchReadingHead)?
  let updated: (any UpdatedHead)?
  let measured: (any MeasuredHead)?
  let evicting: (any EvictingHead)?
  let tunable: (any TunableHead)?
  let rewindable: (any RewindableHead)?
  let prompting: (any PromptHead)?
  /// Whether it takes several generated tokens at once.
  let takesDrafts: Bool
  /// Nil also for kinds of index that have no format on disk.
  let storable: (any StorableHead)?

  init(_ policy: any HeadPolicy) {
    self.policy = policy
    windowed = policy as? any WindowedHead
    divided = policy as? any DividedHead
    blocked = policy as? any BlockedHead
    planning = policy as? any PlanningHead
    fixedRows = policy as? any FixedRowsHead
    observing = policy as? any ObservingHead
    batchReading = policy as? any BatchReadingHead
    updated = policy as? any UpdatedHead
    measured = policy as? any MeasuredHead
    evicting = policy as? any EvictingHead
    tunable = policy as? any TunableHead
    rewindable = policy as? any RewindableHead
    prompting = policy as? any PromptHead
    takesDrafts = policy is any DraftHead || policy is any WindowedHead
    storable = (policy as? any StorableHead).flatMap { $0.isStorable ? $0 : nil }
  }

  var rows: HeadRows { policy.rows }
  var shareCount: Int { planning?.shareCount ?? 0 }
  var takesBlocks: Bool { blocked?.takesBlocks ?? false }

  func firstVisibleRow(for row: Int) -> Int { windowed?.firstVisibleRow(for: row) ?? 0 }
  func partCount(workers: Int) -> Int { divided?.partCount(workers: workers) ?? 1 }
  func wants(position: Int, batchEnd: Int) -> Bool {
    observing?.wants(position: position, batchEnd: batchEnd) ?? false
  }
  func needsUpdate(_ moment: UpdateMoment) -> Bool { updated?.needsUpdate(moment) ?? false }

  /// Takes rows that were checked to fit; a window drops what nobody will see again first.
  func append(
    _ new: HalfPrecisionRows, keyStride: Int, valueStride: Int, count: Int, firstPosition: Int
  ) {
    windowed?.willAppend(rows: count)
    do {
      try unsafe rows.append(
        keys: new.keys, keyStride: keyStride, values: new.values, valueStride: valueStride, rows: count,
        firstPosition: firstPosition)
    } catch {
      // The engine compared with the capacity, and every policy keeps at least the rows it said it would.
      preconditionFailure("rows that were checked do not fit: \(error)")
    }
  }

  func checkTruncation(to count: Int) throws(AttentionError) { try evicting?.checkTruncation(to: count) }
}
