// Decoding reads all weights between two visits to the same keys, so an index never finds them in a cache. A
// benchmark that asks it again and again would.

import Platform

/// Memory that is walked through before each timed call, to take the place of everything else in the caches.
final class CacheEviction {
  let byteCount: Int
  private var words: [UInt64]
  private var round: UInt64 = 0

  init(byteCount: Int) {
    self.byteCount = byteCount
    words = Array(repeating: 0, count: byteCount / MemoryLayout<UInt64>.size)
  }

  /// A quarter more than the largest cache; 64 MiB where its size is not known.
  static var defaultByteCount: Int {
    guard let largest = largestCache else { return 64 << 20 }
    return min(largest + largest / 4, 1 << 30)
  }

  private static var largestCache: Int? {
    #if canImport(Darwin)
      let sizes = ["hw.l2cachesize", "hw.l3cachesize", "hw.perflevel0.l2cachesize"].map { name in
        var size = 0
        var length = MemoryLayout<Int>.size
        return sysctlbyname(name, &size, &length, nil, 0) == 0 ? size : 0
      }
    #elseif canImport(Glibc)
      let sizes = [_SC_LEVEL2_CACHE_SIZE, _SC_LEVEL3_CACHE_SIZE, _SC_LEVEL4_CACHE_SIZE].map {
        sysconf(Int32($0))
      }
    #else
      let sizes: [Int] = []
    #endif
    return sizes.max().flatMap { $0 > 0 ? $0 : nil }
  }

  /// Writes one word of every cache line.
  func evict() {
    round &+= 1
    Self.touch(&words, round)
  }

  private static func touch(_ words: inout [UInt64], _ round: UInt64) {
    var place = 0
    while place < words.count {
      words[place] = words[place] &+ round
      place += 8
    }
  }
}
