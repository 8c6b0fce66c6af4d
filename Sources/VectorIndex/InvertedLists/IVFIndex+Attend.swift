// Decoding: score the lists, read the best ones of every query head once for the whole group.

public import AttentionKernels

extension IVFIndex {
  /// Cost: a dot product with each list's representative, and the rows of at most `probes * group.count` lists.
  ///
  /// Representatives are in the count's bytes and scored keys, not in its centroids, which are those with values.
  public func attend(_ call: IndexCall, states: StatePointers) -> ReadCount {
    let (group, rows, workspace, recorder) = (call.group, call.rows, call.workspace, call.recorder)
    let scratch = workspace.scope()
    let lists = listCount
    let g = group.count
    guard search.probes > 0, lists > 0, g > 0 else { return ReadCount() }
    let probes = min(search.probes, lists - outlierListCount) + outlierListCount
    let d = dimension
    let kernels = workspace.kernels
    let selected = unsafe scratch.rows(lists)
    if probes < lists {
      select(probes, for: group, marks: selected, workspace: workspace)
    } else {
      selected.fill(1)
    }

    let kernelScratch = unsafe scratch.floats(Kernels.attendScratchCount(queryCount: g))
    var read = ReadCount()
    var list = 0
    while list < lists {
      guard selected[list] != 0 else {
        list += 1
        continue
      }
      // Lists that are neighbors in memory are read in one go.
      let begin = unsafe Int(starts.base[list])
      while list < lists, selected[list] != 0 { list += 1 }
      let end = unsafe Int(starts.base[list])
      unsafe kernels.unsafeAttend(
        group.rows(dimension: d), to: rows.keyValues.from(begin), .first(end - begin), states: states,
        scratch: kernelScratch)
      recorder?.read(begin..<end)
      read.retrieved += end - begin
    }
    read.scored = read.retrieved
    read.bytes = read.retrieved * rows.bytesPerRow + lists * MemoryLayout<UInt32>.size
    if probes < lists {
      read.scored += lists
      read.bytes += lists * (2 * d + Self.statisticsByteCount - MemoryLayout<UInt32>.size)
    }
    return read
  }

  /// Sets `marks` `[lists]` to 1 for the union of each query's best lists, 0 elsewhere.
  func select(
    _ probes: Int, for group: QueryGroup, marks: ListView<UInt32>, workspace: Workspace
  ) {
    let scratch = workspace.scope()
    let lists = listCount
    let d = dimension
    let scores = unsafe scratch.list(group.count * lists)
    unsafe workspace.kernels.unsafeDot(
      group.rows(dimension: d), with: PackedRows(representatives.base, stride: d), .first(lists),
      scores: scores.base)
    for query in 0..<group.count {
      unsafe workspace.kernels.unsafeAddScaled(
        logMass.base, by: 1, to: scores.base + query * lists, count: lists)
    }
    workspace.markHighest(probes, of: scores, queryCount: group.count, marks: marks)
  }
}
