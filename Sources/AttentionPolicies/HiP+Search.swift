// HiP's search: spans of keys are halved, and the best halves kept, until each is one block.

import AttentionKernels
import RetrievalAttention
import VectorIndex

extension HiPSettings {
  /// Blocks that a search keeps.
  var keptBlocks: Int { max(1, k / blockSize) }
}

extension HiPHead {
  /// Blocks between sink and window when there are so many rows.
  func blockCount(rows: Int) -> Int {
    max(0, rows - settings.sinkCount - settings.windowCount) / settings.blockSize
  }

  /// Finds as many blocks of `blocks`, more than that, as `found` has room for, each once: a span is worth the highest
  /// score of its middle block's keys with any of the queries.
  ///
  /// - Parameter found: takes their numbers.
  /// - Returns: the keys that were scored.
  func search(_ queries: FloatRows, blocks: Int, found: ListView<UInt32>, workspace: Workspace) -> Int {
    let scratch = workspace.scope()
    let kept = found.count
    // Spans of blocks [begin, end), before and after halving.
    let spans = unsafe scratch.indices(2 * kept)
    let pairs = unsafe scratch.rows(4 * kept)
    let halves = unsafe pairs.base
    let scores = unsafe scratch.list(2 * kept)
    let best = unsafe scratch.indices(kept)
    for span in 0..<kept {
      unsafe spans[2 * span] = UInt32(span * blocks / kept)
      unsafe spans[2 * span + 1] = UInt32((span + 1) * blocks / kept)
    }
    var scored = 0
    while (0..<kept).contains(where: { unsafe spans[2 * $0 + 1] - spans[2 * $0] > 1 }) {
      var count = 0
      for span in 0..<kept {
        let (begin, end) = unsafe (spans[2 * span], spans[2 * span + 1])
        let middle = begin + (end - begin) / 2
        for (first, last) in [(begin, middle), (middle, end)] where first < last {
          unsafe halves[2 * count] = first
          unsafe halves[2 * count + 1] = last
          count += 1
        }
      }
      judge(queries, halves: pairs.first(2 * count), scores: scores, workspace: workspace)
      scored += count * settings.blockSize
      let chosen = unsafe HighestScores.select(kept, of: scores.base, count: count, into: best)
      for i in 0..<chosen {
        unsafe spans[2 * i] = halves[2 * Int(best[i])]
        unsafe spans[2 * i + 1] = halves[2 * Int(best[i]) + 1]
      }
    }
    for span in 0..<kept { found[span] = unsafe spans[2 * span] }
    return scored
  }

  /// Writes the highest score of the keys of each span's middle block.
  private func judge(
    _ queries: FloatRows, halves: ListView<UInt32>, scores: ListView<Float>, workspace: Workspace
  ) {
    let scratch = workspace.scope()
    let (halves, count, scores) = unsafe (halves.base, halves.count / 2, scores.base)
    let size = settings.blockSize
    let selected = unsafe scratch.indices(count * size)
    for i in 0..<count {
      let block = unsafe Int(halves[2 * i] + (halves[2 * i + 1] - halves[2 * i]) / 2)
      for j in 0..<size { unsafe selected[i * size + j] = UInt32(settings.sinkCount + block * size + j) }
    }
    let keyScores = unsafe scratch.floats(queries.count * count * size)
    unsafe workspace.kernels.unsafeDot(
      queries, with: rows.keys, .listed(selected, count: count * size),
      scores: keyScores)
    unsafe scores.update(repeating: -.infinity, count: count)
    for query in 0..<queries.count {
      let own = unsafe keyScores + query * count * size
      for i in 0..<count {
        for j in 0..<size { unsafe scores[i] = max(scores[i], own[i * size + j]) }
      }
    }
  }
}
