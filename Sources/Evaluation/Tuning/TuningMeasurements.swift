// What a tuning measures besides its curves: all layers alike, and how far it is.

import Platform
import RetrievalAttention

/// KL and bytes with one tolerance for all layers, at several tolerances.
struct UniformCurve {
  var start: TuningContext.Measurement
  var points: [TuningContext.Measurement]
  /// Of the points, ascending.
  var tolerances: [Float]

  /// The last point, of the highest tolerance, that meets a KL; nil when none does. A KL that is lower at a higher
  /// tolerance is noise, and is not counted on.
  private func cheapest(for divergence: Double) -> Int? {
    LayerCurve.rising(points.map(\.divergence)).lastIndex { $0 <= divergence }
  }

  /// Bytes of the cheapest point that meets a KL.
  func leastBytes(for divergence: Double) -> Double {
    cheapest(for: divergence).map { points[$0].bytes } ?? .infinity
  }

  /// The tolerance of the cheapest point that meets a KL; the lowest when none does.
  func tolerance(for divergence: Double) -> Float { tolerances[cheapest(for: divergence) ?? 0] }

  /// Bytes at which a KL is reached, by interpolation in the logarithms; nil outside of what was measured.
  func bytes(at divergence: Double) -> Double? {
    let sorted = points.sorted { $0.divergence < $1.divergence }
    for (low, high) in zip(sorted, sorted.dropFirst())
    where low.divergence <= divergence && divergence <= high.divergence {
      guard high.divergence > low.divergence, low.divergence > 0 else { return low.bytes }
      let place = log(divergence / low.divergence) / log(high.divergence / low.divergence)
      return low.bytes * pow(high.bytes / low.bytes, place)
    }
    return nil
  }
}

/// Counts measurements for whoever waits.
struct MeasurementProgress {
  private var done = 0
  private let total: Int
  private let tell: (RetrievalTuning.Phase) -> Void

  init(total: Int, tell: @escaping (RetrievalTuning.Phase) -> Void) {
    self.total = total
    self.tell = tell
  }

  mutating func measure(
    _ context: TuningContext, _ settings: RetrievalSettings
  ) throws -> TuningContext.Measurement {
    try Task.checkCancellation()
    let result = try context.measure(settings)
    count()
    return result
  }

  mutating func observe(
    _ context: TuningContext, _ settings: RetrievalSettings, steps: Int
  ) throws -> TuningContext.LayerObservation {
    try Task.checkCancellation()
    let result = try context.observe(settings, steps: steps)
    count()
    return result
  }

  private mutating func count() {
    done += 1
    tell(.measuring(done: done, total: total))
  }
}
