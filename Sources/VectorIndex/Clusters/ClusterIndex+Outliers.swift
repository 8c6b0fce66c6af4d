// Rows that are in no cluster, and are attended to by every call.

import AttentionKernels

extension ClusterIndex {
  /// Rows that are kept apart from the clusters, and attended to exactly by every call.
  public var outlierCount: Int {
    (0..<outliers.count).reduce(0) { $0 + outlierRows($1).count }
  }

  private func outlierRows(_ run: Int) -> Range<Int> {
    unsafe outliers.begin(run)..<Int(starts.base[outliers.cluster(run) + 1])
  }

  /// The rows of a cluster, without the outliers behind it.
  ///
  /// - Parameter run: 0 for the first cluster, and the same variable for those after it, in turn.
  func clusterRows(_ cluster: Int, run: inout Int) -> Range<Int> {
    let (begin, end) = (Int(starts[cluster]), Int(starts[cluster + 1]))
    guard run < outliers.count, outliers.cluster(run) == cluster else { return begin..<end }
    run += 1
    return begin..<outliers.begin(run - 1)
  }

  /// Makes room for outliers behind the last cluster, which is that of the segment they belong to.
  func appendOutliers(_ count: Int, clusters: Int) {
    guard count > 0 else { return }
    let begin = starts[starts.count - 1]
    outliers.append(after: clusterCount + clusters - 1, begin: Int(begin))
    starts[starts.count - 1] = begin + UInt32(count)
    if build.usesCodes { codes.skip(count) }
  }

  /// Attends to all outliers.
  func attendOutliers(
    _ group: QueryGroup, rows: IndexRows, states: StatePointers, workspace: Workspace, recorder: ReadRecorder?
  ) -> ReadCount {
    var read = ReadCount()
    for run in 0..<outliers.count {
      read += attend(
        group, to: outlierRows(run), of: rows, states: states, workspace: workspace, recorder: recorder)
    }
    return read
  }

  /// Attends to all rows of a range.
  func attend(
    _ group: QueryGroup, to range: Range<Int>, of rows: IndexRows, states: StatePointers,
    workspace: Workspace, recorder: ReadRecorder?
  ) -> ReadCount {
    let scratch = workspace.scope()
    unsafe workspace.kernels.unsafeAttend(
      group.rows(dimension: dimension), to: rows.keyValues.from(range.lowerBound), .first(range.count),
      states: states, scratch: scratch.floats(Kernels.attendScratchCount(queryCount: group.count)))
    recorder?.read(range)
    var read = ReadCount()
    read.retrieved = range.count
    read.scored = range.count
    return read
  }

  /// Lets the last clusters of segments end where their outliers begin.
  ///
  /// - Parameter scan: of which the ends are changed.
  func excludeOutliers(from scan: ClusterScan) {
    let (ids, ends, count) = unsafe (scan.ids, scan.ends, scan.count)
    for run in 0..<outliers.count {
      let cluster = UInt32(outliers.cluster(run))
      var (low, high) = (0, count)
      while low < high {
        let middle = (low + high) / 2
        if unsafe ids[middle] < cluster { low = middle + 1 } else { high = middle }
      }
      if low < count, unsafe ids[low] == cluster { unsafe ends[low] = UInt32(outliers.begin(run)) }
    }
  }
}
