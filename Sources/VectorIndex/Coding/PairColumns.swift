// Two elements of many rows, and the nearest of sixteen words for each: the inner loop of coding.

import AttentionKernels

/// Points of two elements, in columns, so that a vector of them is compared with a word at a time.
struct PairColumns: ~Copyable {
  let count: Int
  /// The nearest word of each point, `[count]`, after ``assign(words:kernels:)``.
  private(set) var codes: RowBuffer<UInt8>
  // Rounded up to whole vectors; what lies behind the points is zero.
  private var xs: RowBuffer<Float>
  private var ys: RowBuffer<Float>

  /// Kernels take so many points, or a multiple.
  private static let lanes = 16
  private static let wordCount = ResidualCodes.wordCount

  init(count: Int) {
    self.count = count
    let padded = (count + Self.lanes - 1) / Self.lanes * Self.lanes
    codes = RowBuffer(capacity: padded)
    xs = RowBuffer(capacity: padded)
    ys = RowBuffer(capacity: padded)
    unsafe codes.grow(by: padded).update(repeating: 0, count: padded)
    unsafe xs.grow(by: padded).update(repeating: 0, count: padded)
    unsafe ys.grow(by: padded).update(repeating: 0, count: padded)
  }

  /// Takes elements `first` and `second` (zero for nil) of rows that lie `stride` apart.
  mutating func gather(_ rows: UnsafePointer<Float>, stride: Int, first: Int, second: Int?) {
    for i in 0..<count { unsafe xs.base[i] = rows[i &* stride &+ first] }
    if let second {
      for i in 0..<count { unsafe ys.base[i] = rows[i &* stride &+ second] }
    } else {
      unsafe ys.base.update(repeating: 0, count: count)
    }
  }

  /// Finds the nearest word for each point; the first of equal ones.
  ///
  /// - Parameter words: `[2, 16]`.
  mutating func assign(words: UnsafePointer<Float>, kernels: Kernels) {
    unsafe kernels.unsafeNearestWords(
      x: xs.base, y: ys.base, count: codes.count, words: words, codes: codes.base)
  }

  /// Sixteen words for the points, by Lloyd's algorithm from evenly spaced ones; zeros when there are none.
  ///
  /// - Parameter words: takes them, `[2, 16]`.
  mutating func cluster(iterations: Int, words: UnsafeMutablePointer<Float>, kernels: Kernels) {
    unsafe words.update(repeating: 0, count: 2 * Self.wordCount)
    guard count > 0 else { return }
    for j in 0..<Self.wordCount {
      unsafe words[j] = xs.base[j * count / Self.wordCount]
      unsafe words[Self.wordCount + j] = ys.base[j * count / Self.wordCount]
    }
    for _ in 0..<iterations {
      unsafe assign(words: words, kernels: kernels)
      unsafe moveToMeans(words)
    }
  }

  /// Moves each word to the mean of its points; one without any stays.
  private func moveToMeans(_ words: UnsafeMutablePointer<Float>) {
    // Sums of both elements, and the number of points, of each word.
    unsafe withUnsafeTemporaryAllocation(of: Float.self, capacity: 3 * Self.wordCount) { buffer in
      guard let sums = buffer.baseAddress else { return }
      unsafe sums.initialize(repeating: 0, count: 3 * Self.wordCount)
      for i in 0..<count {
        let j = unsafe Int(codes.base[i])
        unsafe sums[j] += xs.base[i]
        unsafe sums[Self.wordCount + j] += ys.base[i]
        unsafe sums[2 * Self.wordCount + j] += 1
      }
      for j in 0..<Self.wordCount {
        let count = unsafe sums[2 * Self.wordCount + j]
        guard count > 0 else { continue }
        unsafe words[j] = sums[j] / count
        unsafe words[Self.wordCount + j] = sums[Self.wordCount + j] / count
      }
    }
  }
}
