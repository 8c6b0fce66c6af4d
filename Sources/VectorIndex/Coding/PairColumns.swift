// Two elements of many rows, and the nearest of sixteen words for each: the inner loop of coding.

/// Points of two elements, in columns, so that sixteen are compared with a word at a time.
struct PairColumns: ~Copyable {
  let count: Int
  /// The nearest word of each point, `[count]`, after ``assign(x:y:)``.
  private(set) var codes: RowBuffer<UInt8>
  // Rounded up to whole vectors; what lies behind the points is zero.
  private var xs: RowBuffer<Float>
  private var ys: RowBuffer<Float>

  private static let lanes = 16

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
  mutating func assign(x: SIMD16<Float>, y: SIMD16<Float>) {
    for start in Swift.stride(from: 0, to: count, by: Self.lanes) {
      let px = unsafe UnsafeRawPointer(xs.base + start).loadUnaligned(as: SIMD16<Float>.self)
      let py = unsafe UnsafeRawPointer(ys.base + start).loadUnaligned(as: SIMD16<Float>.self)
      var nearest = SIMD16<Float>(repeating: .infinity)
      var numbers = SIMD16<Int32>(repeating: 0)
      for j in 0..<16 {
        let dx = px - x[j]
        let dy = py - y[j]
        let distances = dx * dx + dy * dy
        let isNearer = distances .< nearest
        nearest.replace(with: distances, where: isNearer)
        numbers.replace(with: Int32(j), where: isNearer)
      }
      unsafe UnsafeMutableRawPointer(codes.base + start).storeBytes(
        of: SIMD16<UInt8>(truncatingIfNeeded: numbers), as: SIMD16<UInt8>.self)
    }
  }

  /// Sixteen words for the points, by Lloyd's algorithm from evenly spaced ones; zeros when there are none.
  mutating func cluster(iterations: Int) -> (x: SIMD16<Float>, y: SIMD16<Float>) {
    var x = SIMD16<Float>(repeating: 0)
    var y = SIMD16<Float>(repeating: 0)
    guard count > 0 else { return (x, y) }
    for j in 0..<16 {
      x[j] = unsafe xs.base[j * count / 16]
      y[j] = unsafe ys.base[j * count / 16]
    }
    for _ in 0..<iterations {
      assign(x: x, y: y)
      var sumX = SIMD16<Float>(repeating: 0)
      var sumY = SIMD16<Float>(repeating: 0)
      var counts = SIMD16<Float>(repeating: 0)
      for i in 0..<count {
        let j = unsafe Int(codes.base[i])
        unsafe sumX[j] += xs.base[i]
        unsafe sumY[j] += ys.base[i]
        counts[j] += 1
      }
      for j in 0..<16 where counts[j] > 0 {
        x[j] = sumX[j] / counts[j]
        y[j] = sumY[j] / counts[j]
      }
    }
    return (x, y)
  }
}
