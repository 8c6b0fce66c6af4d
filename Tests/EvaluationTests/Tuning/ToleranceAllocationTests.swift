// Where bytes should go, on curves whose best split is known.

import Evaluation
import Foundation
import Generation
import RetrievalAttention
import Testing

@Suite struct ToleranceAllocationTests {
  private let levels = [0.001, 0.004, 0.016, 0.064]

  /// KL = weight * tolerance, bytes = -1000 * log(tolerance).
  private func curve(weight: Double) -> LayerCurve {
    LayerCurve(
      tolerances: levels, divergences: levels.map { weight * $0 }, bytes: levels.map { -1000 * log($0) })
  }

  @Test func interpolatesPowerLaws() {
    let curve = curve(weight: 2)
    for tolerance in [0.001, 0.002, 0.01, 0.064] {
      #expect(abs(curve.divergence(at: tolerance) / (2 * tolerance) - 1) < 1e-9)
      #expect(abs(curve.bytes(at: tolerance) + 1000 * log(tolerance)) < 1e-9)
    }
    #expect(curve.bytes(at: 1) == curve.bytes(at: 0.064))
  }

  /// With these curves marginal KL per byte is weight * tolerance: it must be alike, so tolerances go as 1 / weight.
  @Test func marginalDivergencePerByteIsAlike() {
    let weights = [1.0, 2, 4]
    let budget = 3 * 0.02
    let chosen = ToleranceAllocation.tolerances(for: weights.map { curve(weight: $0) }, budget: budget)
    for (weight, tolerance) in zip(weights, chosen) { #expect(abs(weight * tolerance / 0.02 - 1) < 0.08) }
    let total = zip(weights, chosen).reduce(0) { $0 + $1.0 * $1.1 }
    #expect(total <= budget * (1 + 1e-9) && total > 0.85 * budget)
  }

  /// No split on the same grid is cheaper: checked against all of them.
  @Test func isAsGoodAsEverySplit() {
    let curves = [
      LayerCurve(tolerances: levels, divergences: [1e-4, 3e-4, 2e-3, 9e-3], bytes: [900, 500, 300, 290]),
      LayerCurve(tolerances: levels, divergences: [5e-4, 9e-4, 1e-3, 2e-3], bytes: [400, 350, 100, 50]),
    ]
    for budget in [1e-3, 3e-3, 6e-3] {
      let chosen = ToleranceAllocation.tolerances(for: curves, budget: budget)
      func bytes(_ tolerances: [Double]) -> Double {
        zip(curves, tolerances).reduce(0) { $0 + $1.0.bytes(at: $1.1) }
      }
      func kl(_ tolerances: [Double]) -> Double {
        zip(curves, tolerances).reduce(0) { $0 + $1.0.divergence(at: $1.1) }
      }
      #expect(kl(chosen) <= budget * (1 + 1e-9))
      let grid = (0...64).map { 0.001 * pow(64, Double($0) / 64) }
      var least = Double.infinity
      for a in grid { for b in grid where kl([a, b]) <= budget { least = min(least, bytes([a, b])) } }
      // Lagrange finds the convex hull: at most one step of one curve away.
      #expect(bytes(chosen) <= least + 60, "\(bytes(chosen)) against \(least) for \(budget)")
    }
  }

  @Test func budgetsOutOfReach() {
    let curves = [curve(weight: 1), curve(weight: 5)]
    for tolerance in ToleranceAllocation.tolerances(for: curves, budget: 1e-12) {
      #expect(abs(tolerance - 0.001) < 1e-9)
    }
    for tolerance in ToleranceAllocation.tolerances(for: curves, budget: 100) {
      #expect(abs(tolerance - 0.064) < 1e-9)
    }
    #expect(ToleranceAllocation.tolerances(for: [], budget: 1).isEmpty)
  }

  @Test func noiseIsMadeMonotone() {
    let curve = LayerCurve(tolerances: levels, divergences: [2e-4, 1e-4, 0, 4e-4], bytes: [10, 12, 6, 7])
    #expect(abs(curve.divergences[0] - 1e-4) < 1e-8 && curve.divergences[0] == curve.divergences[2])
    #expect(curve.divergences[3] == 4e-4)
    #expect(curve.bytes == [11, 11, 6.5, 6.5])
  }

  @Test func profilesAreReadAndRefused() throws {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("ra-profile-\(UUID()).json").path
    defer { try? FileManager.default.removeItem(atPath: path) }
    let outcome = RetrievalProfile.Outcome(
      text: "a.txt", context: 10, tokens: 5, uniformKL: 0.1, uniformBytes: 100, profileKL: 0.1,
      profileBytes: 70,
      uniformBytesAtProfileKL: nil)
    let profile = RetrievalProfile(
      model: "m", sinkCount: 32, windowCount: 128, layerTolerances: [0.1, 0.2], targetKL: 0.1,
      calibration: outcome, validation: nil)
    try profile.json().write(to: URL(fileURLWithPath: path))
    #expect(try RetrievalProfile(contentsOf: path) == profile)
    let applied = profile.applied(to: RetrievalSettings())
    #expect(applied.layerTolerances == [0.1, 0.2])
    #expect(applied.sinkCount == 32 && applied.windowCount == 128)

    let text = String(decoding: try profile.json(), as: UTF8.self)
    for damaged in [
      "", "[]", text.replacingOccurrences(of: "\"version\" : 2", with: "\"version\" : 1"),
      String(text.dropLast(20)),
      text.replacingOccurrences(of: "layerTolerances", with: "tolerances"),
    ] {
      try Data(damaged.utf8).write(to: URL(fileURLWithPath: path))
      #expect(throws: GenerationError.self) { try RetrievalProfile(contentsOf: path) }
    }
    var empty = profile
    empty.windowCount = 0
    try empty.json().write(to: URL(fileURLWithPath: path))
    #expect(throws: GenerationError.self) { try RetrievalProfile(contentsOf: path) }
    var negative = profile
    negative.layerTolerances[1] = -1
    try negative.json().write(to: URL(fileURLWithPath: path))
    #expect(throws: GenerationError.self) { try RetrievalProfile(contentsOf: path) }
    #expect(throws: GenerationError.self) { try RetrievalProfile(contentsOf: "/nowhere.json") }
  }
}
