// HiP while a prompt is read: a block of one query head's tokens searches together.

import AttentionKernels
import RetrievalAttention
import VectorIndex

extension HiPHead: PromptHead {
  var choosesForPrompts: Bool {
    settings.prefill && blockCount(rows: rows.count) > settings.keptBlocks
  }

  func readsAllKeys(position: Int, promptEnd: Int) -> Bool { false }
  func willReadPrompt(batchTokens: Int, continues: Bool) {}

  func attend(_ tile: PromptTile) -> Int {
    tile.attendByHead(blockTokens: HiPSettings.queryBlock) { tile in
      let blocks = blockCount(rows: tile.commonRows)
      let kept = settings.keptBlocks
      guard blocks > kept else { return tile.attendCausally(from: 0, of: rows) }
      let scratch = tile.workspace.scope()
      let found = unsafe scratch.rows(kept)
      let scored = search(tile.queries, blocks: blocks, found: found, workspace: tile.workspace)
      let (sink, size) = (settings.sinkCount, settings.blockSize)
      let selected = unsafe scratch.rows(sink + kept * size)
      for row in 0..<sink { selected[row] = UInt32(row) }
      for (number, block) in found.sorted().enumerated() {
        for row in 0..<size { selected[sink + number * size + row] = UInt32(sink + Int(block) * size + row) }
      }
      return unsafe scored * tile.tokenCount
        + tile.attend(to: .listed(selected.base, count: selected.count), of: rows)
        + tile.attendCausally(from: sink + blocks * size, of: rows)
    }
  }
}
