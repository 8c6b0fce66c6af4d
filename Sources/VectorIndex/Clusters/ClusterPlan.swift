// What a call decides before it reads any key, and how the reading is divided.

import AttentionKernels

/// The plan of one call of ``ClusterIndex``: scored clusters, those whose keys are worth a look, and slices of both
/// that can be worked on at the same time. Or slices of all rows.
///
/// It lies in the scope that it was made in, and is good for as long. Slices change their own part of it.
@safe package struct ClusterPlan {
  /// Nil when all rows are read.
  let scan: ClusterScan?
  /// Numbers in the scan, counted from the beginning of their slice.
  let selected: ListView<UInt32>
  /// `[slices + 1]` scan numbers, then `[slices + 1]` offsets into ``selected``; or `[slices + 1]` rows.
  let bounds: ListView<UInt32>
  /// Slices that the work is divided into: by its amount alone, so that results do not depend on how many do it.
  package let sliceCount: Int
  let tables: ResidualCodes.Tables?
  /// What making the plan read.
  package let read: ReadCount

  /// Four of each KV head keep many cores busy; each costs a merge.
  package static let maximumSlices = 4
  /// Keys with codes, or a quarter of as many mean values, that make a slice.
  private static let sliceWeight = 1024
  private static let meanWeight = 4

  /// Numbers of clusters in the scan, or rows.
  func range(ofSlice slice: Int) -> Range<Int> { Int(bounds[slice])..<Int(bounds[slice + 1]) }

  func selection(ofSlice slice: Int) -> ListView<UInt32> {
    let offsets = bounds.from(sliceCount + 1)
    return selected.from(Int(offsets[slice])).first(Int(offsets[slice + 1] - offsets[slice]))
  }

  /// What one slice may use of something, so that all together use no more than that.
  func share(of whole: Int, slice: Int) -> Int {
    let (quotient, remainder) = whole.quotientAndRemainder(dividingBy: sliceCount)
    return quotient + (slice < remainder ? 1 : 0)
  }

  /// Of all rows.
  init(rowCount: Int, in scratch: borrowing Scratch) {
    scan = nil
    tables = nil
    read = ReadCount()
    sliceCount = min(Self.maximumSlices, max(1, rowCount / Self.sliceWeight))
    let bounds = unsafe scratch.rows(sliceCount + 1)
    for slice in 0...sliceCount { bounds[slice] = UInt32(rowCount * slice / sliceCount) }
    self.bounds = bounds
    selected = bounds
  }

  /// - Parameter selected: numbers in the scan, rising; counted from their slices afterwards.
  init(
    scan: ClusterScan, selected: ListView<UInt32>, tables: ResidualCodes.Tables?, read: ReadCount,
    in scratch: borrowing Scratch
  ) {
    self.scan = scan
    self.tables = tables
    self.read = read
    self.selected = selected
    var total = Self.meanWeight * scan.count
    for cluster in selected { unsafe total += scan.size(Int(cluster)) }
    sliceCount = min(Self.maximumSlices, max(1, total / Self.sliceWeight))
    let bounds = unsafe scratch.rows(2 * (sliceCount + 1))
    let offsets = bounds.from(sliceCount + 1)
    (bounds[0], offsets[0]) = (0, 0)
    var (slice, weight, next, first) = (0, 0, 0, 0)
    let (numbers, numberCount) = unsafe (selected.base, selected.count)
    for cluster in 0..<scan.count {
      weight += Self.meanWeight
      if next < numberCount, unsafe Int(numbers[next]) == cluster {
        unsafe weight += scan.size(cluster)
        unsafe numbers[next] = UInt32(cluster - first)
        next += 1
      }
      while slice + 1 < sliceCount, weight * sliceCount >= total * (slice + 1) {
        slice += 1
        first = cluster + 1
        (bounds[slice], offsets[slice]) = (UInt32(first), UInt32(next))
      }
    }
    (bounds[sliceCount], offsets[sliceCount]) = (UInt32(scan.count), UInt32(selected.count))
    self.bounds = bounds
  }
}

/// What one slice of a plan looks into.
@safe struct ClusterSlice {
  let scan: ClusterScan
  /// Numbers in the scan of the clusters whose keys are worth a look, rising.
  let selected: ListView<UInt32>
  /// Most keys to read.
  let limit: Int
  /// `[queries, clusters]`: what clusters weigh; afterwards, for the selected ones, what is left of them.
  let weights: ListView<Float>
}
