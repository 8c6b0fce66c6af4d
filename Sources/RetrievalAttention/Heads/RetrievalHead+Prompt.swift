// Reading a prompt through the index: rows that it stands for by clusters chosen for a tile, all others exactly.

import AttentionKernels
import Platform
import VectorIndex

extension RetrievalHead: PromptHead {
  /// Rows that are drafted together: as many as a batch has, or a segment.
  private var draftedTogether: Int { min(512, settings.segmentCount) }
  /// Tokens whose queries a draft learns from.
  private static let draftTrainingTokens = 32

  package var choosesForPrompts: Bool {
    settings.prefillTolerance > 0 && clusters != nil && draftedEnd > settings.sinkCount
      && rows.count > settings.prefillStart
  }

  package func readsAllKeys(position: Int, promptEnd: Int) -> Bool {
    position >= promptEnd - Self.exactLastTokens || learns(from: position, promptEnd: promptEnd)
  }

  /// The last tokens of a prompt are its question, and what its answer follows from.
  private static let exactLastTokens = 64

  /// Errors must not teach.
  private func learns(from position: Int, promptEnd: Int) -> Bool {
    guard position % TrainingSamples.stride == 0 else { return false }
    // Rows that the window still has room for, until the next segment is full.
    let left = settings.segmentCount + settings.windowCount + indexedEnd - rows.count
    return samples.isKept(position, at: min(promptEnd, rows.count + max(0, left)))
  }

  package func willReadPrompt(batchTokens: Int, continues: Bool) {
    guard continues, settings.prefillTolerance > 0, clusters != nil, draft == nil, isLongEnoughForDraft else {
      return
    }
    draft = ClusterIndex.draft(
      dimension: rows.dimension, seed: clusters?.build.seed ?? 0,
      search: search ?? ClusterIndex.SearchParameters())
  }

  /// The first row that is in no index and no draft.
  var draftedEnd: Int { indexedEnd + (draft?.rowCount ?? 0) }

  /// Whether the next batch may choose keys.
  private var isLongEnoughForDraft: Bool { rows.count + draftedTogether > settings.prefillStart }

  /// Rows that a draft could take now.
  var draftableRows: Int {
    guard draft != nil, isLongEnoughForDraft else { return 0 }
    let waiting = rows.count - settings.windowCount - draftedEnd
    return waiting >= draftedTogether ? waiting : 0
  }

  /// Takes rows that wait into the draft.
  func updateDraft(workspace: Workspace) {
    let count = draftableRows
    guard count > 0, let draft else { return }
    let scratch = workspace.scope()
    // Those who ask next stand right behind.
    let training = samples.trainingSet(
      askPosition: rows.count, rotary: rotary, keyOffsets: rows.keyOffsets, in: scratch
    ).thinned(to: Self.draftTrainingTokens, dimension: rows.dimension, in: scratch)
    let first = draftedEnd
    rows.willChange(from: first)
    unsafe draft.insert(
      NewRows(
        keys: rows.keys.from(first), values: rows.values.from(first), positions: rows.positions + first,
        count: count),
      all: rows.indexRows(from: indexedEnd, count: draft.rowCount + count), training: training,
      workspace: workspace)
  }

  package func attend(_ tile: PromptTile) -> Int {
    tile.attend(to: .first(settings.sinkCount), of: rows) + tile.attendCausally(from: draftedEnd, of: rows)
      + tile.queries.count * attendIndexed(tile, parts: indexedParts)
  }

  /// The indexes of the rows behind the sink, with their rows.
  private var indexedParts: [(index: ClusterIndex, rows: IndexRows)] {
    var parts: [(index: ClusterIndex, rows: IndexRows)] = []
    var first = settings.sinkCount
    for index in [clusters, draft] {
      guard let index, index.rowCount > 0 else { continue }
      parts.append((index, rows.indexRows(from: first, count: index.rowCount)))
      first += index.rowCount
    }
    return parts
  }

  /// Adds the attention to rows that indexes stand for. What is known of other rows tells what still matters; learned
  /// sinks are left out of that, so that rather more is read.
  ///
  /// - Returns: what was computed for each query.
  private func attendIndexed(_ tile: PromptTile, parts: [(index: ClusterIndex, rows: IndexRows)]) -> Int {
    let workspace = tile.workspace
    let scratch = workspace.scope()
    let queries = scaledQueries(of: tile, in: scratch)
    var scores: [ListView<Float>] = []
    for part in parts { scores.append(part.index.score(queries, in: scratch)) }
    var chosen = 0
    for (part, scores) in zip(parts, scores) {
      let choice = part.index.choose(
        scores, for: queries, tolerance: settings.prefillTolerance, in: scratch)
      chosen += choice.readCount
      part.index.attend(
        tile.queries, scale: tile.scale, to: choice, of: part.rows, states: tile.states, workspace: workspace)
    }
    return chosen
  }

  /// All of a tile's queries, scaled, with what their states hold: what one token copies from, its neighbors do not ask
  /// for.
  private func scaledQueries(of tile: PromptTile, in scratch: borrowing Scratch) -> TileQueries {
    let (d, count) = (rows.dimension, tile.queries.count)
    let queries = unsafe scratch.floats(count * d)
    let (maxima, sums) = unsafe (scratch.floats(count), scratch.floats(count))
    unsafe queries.update(from: tile.queries[0], count: count * d)
    unsafe maxima.update(from: tile.states.maxima, count: count)
    unsafe sums.update(from: tile.states.sums, count: count)
    unsafe scratch.kernels.unsafeScale(queries, by: tile.scale, count: count * d)
    return unsafe TileQueries(
      queries: FloatRows(queries, count: count, dimension: d), maxima: maxima, sums: sums)
  }
}
