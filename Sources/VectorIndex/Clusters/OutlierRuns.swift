// Where the rows stand that are in no cluster.

/// The outliers of each segment that has any: one run of rows behind its last cluster.
struct OutlierRuns: ~Copyable {
  /// `[runs, 2]`: the segment's last cluster, rising, and the first row of the run, which ends where the next cluster
  /// starts.
  var places = RowBuffer<UInt32>()

  var count: Int { places.count / 2 }
  var byteCount: Int { places.byteCount }

  func cluster(_ run: Int) -> Int { Int(places[2 * run]) }
  func begin(_ run: Int) -> Int { Int(places[2 * run + 1]) }

  mutating func append(after cluster: Int, begin: Int) {
    places.append(UInt32(cluster))
    places.append(UInt32(begin))
  }
}
