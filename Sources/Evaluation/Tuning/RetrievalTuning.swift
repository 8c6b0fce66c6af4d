// Finds how many first and last tokens to read always, and a tolerance for each layer: the fewest bytes for a KL.

package import Generation
package import LlamaHost
package import RetrievalAttention
import VectorIndex

/// Tunes retrieval for a model on a text.
///
/// First, sink and window: in a context of a few thousand tokens large ones are most of what is read, and an index can
/// look up what is worth it there as well. Larger ones than those that tuning begins with are tried with one tolerance
/// for all layers, and the pair stays whose bytes are fewest at the KL that is aimed at.
///
/// Then the tolerances, for which two things are measured. How far the output of each layer's heads is from exact
/// attention, and what it reads, at several tolerances: both are plain numbers even where the error is small. And what
/// the output of the model makes of the error of a group of layers, in KL, when it alone is very coarse: next to exact
/// attention KL cannot be measured, because any change at all, even of the order of a sum, is amplified by the host's
/// 8-bit activations to a noise floor. KL being quadratic in small errors, a group's KL at any tolerance is its
/// sensitivity times its squared error, and the KL of groups adds up. The tolerances of fewest bytes are then where
/// every group gives the same KL for another byte. What was chosen is measured as a whole, and the budget corrected for
/// what did not add up.
package final class RetrievalTuning {
  package struct Settings: Sendable {
    /// Tokens to read, and to decode behind them.
    package var contextTokens = 4096
    package var decodeTokens = 96
    /// Mean KL to aim at, in nats; nil: what the settings that tuning begins with give on the same text.
    package var targetKL: Double?
    /// Neighboring layers that are tuned together: fewer measurements, and less noise in each.
    package var groupSize = 2
    /// What tuning begins with.
    package var retrieval = RetrievalSettings()
    /// Multiples of its sink and window that are tried: 4 for both four times as large.
    package var staticFactors = [1, 2, 4, 8]

    package init() {}
  }

  /// A text and its name.
  package struct Text: Sendable {
    package var name: String
    package var tokens: [Int32]

    package init(name: String, tokens: [Int32]) {
      self.name = name
      self.tokens = tokens
    }
  }

  /// How far tuning is.
  package enum Phase: Sendable {
    case reading(text: String, done: Int, total: Int)
    case measuring(done: Int, total: Int)
  }

  /// Tolerances of the curves, as multiples of the one that tuning begins with.
  private static let levels: [Double] = [0.25, 0.5, 1, 2, 4, 8, 16, 32]
  /// Multiples at which groups are coarse alone: far enough from exact to rise above the noise.
  private static let coarseLevels: [Double] = [32, 128]
  /// Tokens in which heads are watched.
  private static let observedSteps = 16
  /// Corrections of the budget.
  private static let corrections = 4
  /// Multiples of the tolerance at which all layers alike are measured, to say what the profile is worth.
  private static let uniformLevels: [Double] = [0.5, 0.7, 1, 1.4, 2, 2.8]

  private let model: LlamaModel
  private let settings: Settings
  private let host: GuestHost
  private let onPhase: (Phase) -> Void

  /// Throws ``Generation/GenerationError/invalidCount(name:value:requirement:)`` and
  /// ``RetrievalAttention/AttentionError/invalidSetting(name:value:requirement:)`` for settings that make no sense, and
  /// ``Generation/GenerationError/unsupportedModel(_:)``.
  package init(
    model: LlamaModel, pool: ThreadPool, settings: Settings, onPhase: @escaping (Phase) -> Void = { _ in }
  ) throws {
    for (name, value) in [
      ("context", settings.contextTokens), ("tokens", settings.decodeTokens),
      ("group size", settings.groupSize),
    ] + settings.staticFactors.map({ ("factor", $0) }) where value <= 0 {
      throw GenerationError.invalidCount(name: name, value: value, requirement: "positive")
    }
    guard settings.retrieval.search.tolerance > 0 else {
      throw AttentionError.invalidSetting(
        name: "tolerance", value: "\(settings.retrieval.search.tolerance)",
        requirement: "positive to be tuned")
    }
    if let target = settings.targetKL, !(target > 0 && target.isFinite) {
      throw AttentionError.invalidSetting(name: "target KL", value: "\(target)", requirement: "positive")
    }
    self.model = model
    self.settings = settings
    self.onPhase = onPhase
    host = try GuestHost(model: model, pool: pool)
  }

  /// Tunes on one text and says what the profile is worth there and on another.
  ///
  /// Cancelling the task stops it within a layer with `CancellationError`. Throws
  /// ``Generation/GenerationError/textTooShort(tokens:required:)`` and what runners throw.
  package func tune(on text: Text, validatingOn other: Text?) throws -> RetrievalProfile {
    for text in [text, other].compactMap({ $0 }) {
      let required = settings.contextTokens + settings.decodeTokens
      guard text.tokens.count >= required else {
        throw GenerationError.textTooShort(tokens: text.tokens.count, required: required)
      }
    }
    let candidates = Self.candidates(settings)
    let contexts = try read(text, candidates)
    var progress = MeasurementProgress(
      total: groups(contexts[0]).count * Self.coarseLevels.count + Self.coarseLevels.count
        + Self.levels.count + 2 + Self.corrections + candidates.count * Self.uniformLevels.count
        + (other == nil ? 0 : Self.uniformLevels.count + 1), tell: onPhase)
    let uniform = try uniformCurve(contexts[0], candidates[0], &progress)
    let target = settings.targetKL ?? uniform.start.divergence
    var best = (start: candidates[0], context: contexts[0], curve: uniform)
    for (candidate, context) in zip(candidates, contexts).dropFirst() {
      let curve = try uniformCurve(context, candidate, &progress)
      if curve.leastBytes(for: target) < best.curve.leastBytes(for: target) {
        best = (candidate, context, curve)
      }
    }
    let (tolerances, found) = try allocate(
      best.context, best.start, target: target, alike: best.curve.tolerance(for: target), &progress)
    var profile = RetrievalProfile(
      model: "\(model.description)", sinkCount: best.start.sinkCount, windowCount: best.start.windowCount,
      layerTolerances: tolerances, targetKL: target,
      calibration: outcome(text, uniform: uniform, profile: found), validation: nil)
    if let other {
      let tuned = profile.applied(to: settings.retrieval)
      let contexts = try read(other, [settings.retrieval, tuned])
      let uniform = try uniformCurve(contexts[0], settings.retrieval, &progress)
      let found = try progress.measure(contexts[1], tuned)
      profile.validation = outcome(other, uniform: uniform, profile: found)
    }
    return profile
  }

  /// What tuning begins with first, then larger sinks and windows that leave something to index.
  private static func candidates(_ settings: Settings) -> [RetrievalSettings] {
    let start = settings.retrieval
    let room = settings.contextTokens - start.minimumIndexedCount
    return [start]
      + Set(settings.staticFactors).sorted().compactMap { factor in
        guard factor > 1, start.sinkCount + start.windowCount <= room / factor else { return nil }
        var candidate = start
        candidate.sinkCount *= factor
        candidate.windowCount *= factor
        return candidate
      }
  }

  private func read(_ text: Text, _ candidates: [RetrievalSettings]) throws -> [TuningContext] {
    try TuningContext.read(
      host: host, tokens: Array(text.tokens.prefix(settings.contextTokens + settings.decodeTokens)),
      contextTokens: settings.contextTokens, settings: candidates
    ) { onPhase(.reading(text: text.name, done: $0, total: settings.contextTokens)) }
  }

  private func groups(_ context: TuningContext) -> [[Int]] {
    let layers = context.indexedLayers
    return stride(from: 0, to: layers.count, by: settings.groupSize).map {
      Array(layers[$0..<min(layers.count, $0 + settings.groupSize)])
    }
  }

  /// The settings with tolerances of their own for some layers and zero, exact, for the others.
  private static func withTolerances(
    _ tolerances: [Int: Double], layerCount: Int, start: RetrievalSettings
  ) -> RetrievalSettings {
    var changed = start
    changed.layerTolerances = (0..<layerCount).map { Float(tolerances[$0] ?? 0) }
    // An exact layer must not be cut short.
    changed.search.maximumRetrieved = .max
    return changed
  }

  /// - Parameter alike: the tolerance with which all layers alike come to the target; tried as well.
  private func allocate(
    _ context: TuningContext, _ start: RetrievalSettings, target: Double, alike: Float,
    _ progress: inout MeasurementProgress
  ) throws -> (tolerances: [Float], found: TuningContext.Measurement) {
    let groups = groups(context)
    let floor = try progress.measure(
      context, Self.withTolerances([:], layerCount: context.layerCount, start: start)
    ).divergence
    let curves = try curves(context, start, groups: groups, floor: floor, &progress)
    // Below the floor nothing can be told apart; a tenth of it is asked for even then.
    var budget = max(target - floor, 0.1 * floor)
    var best: (tolerances: [Float], found: TuningContext.Measurement)?
    for attempt in 0...Self.corrections {
      var tolerances = [Float](repeating: alike, count: context.layerCount)
      if attempt > 0 {
        let chosen = ToleranceAllocation.tolerances(for: curves, budget: budget)
        for (group, tolerance) in zip(groups, chosen) {
          for layer in group { tolerances[layer] = Float(tolerance) }
        }
      }
      var tuned = start
      tuned.layerTolerances = tolerances
      let found = try progress.measure(context, tuned)
      // The fewest bytes that meet the target, or what comes closest.
      let isBetter =
        best.map { best in
          switch (found.divergence <= target, best.found.divergence <= target) {
          case (true, true): found.bytes < best.found.bytes
          case (true, false): true
          case (false, true): false
          case (false, false): found.divergence < best.found.divergence
          }
        } ?? true
      if isBetter { best = (tolerances, found) }
      guard attempt > 0 else { continue }
      budget *= min(
        4, max(0.25, max(target - floor, 0.1 * floor) / max(found.divergence - floor, 0.05 * floor, 1e-9)))
    }
    guard let best else { preconditionFailure("nothing was measured") }
    return best
  }

  /// KL above the noise floor and bytes of each group, at ``levels``.
  private func curves(
    _ context: TuningContext, _ settings: RetrievalSettings, groups: [[Int]], floor: Double,
    _ progress: inout MeasurementProgress
  ) throws -> [LayerCurve] {
    let start = settings.search.tolerance
    func observe(_ level: Double) throws -> TuningContext.LayerObservation {
      var uniform = settings
      uniform.search.tolerance = start * Float(level)
      return try progress.observe(context, uniform, steps: Self.observedSteps)
    }
    let levels = try Self.levels.map(observe)
    let coarse = try Self.coarseLevels.map(observe)
    return try groups.map { group in
      func squaredError(_ observation: TuningContext.LayerObservation) -> Double {
        group.reduce(0) { $0 + observation.squaredErrors[$1] }
      }
      var divergence = 0.0
      for level in Self.coarseLevels {
        let alone = Dictionary(uniqueKeysWithValues: group.map { ($0, Double(start) * level) })
        divergence +=
          try progress.measure(
            context, Self.withTolerances(alone, layerCount: context.layerCount, start: settings)
          ).divergence - floor
      }
      // A group that seems to do no harm at all may still do a little, below what can be measured.
      let least = 0.05 * floor * Double(Self.coarseLevels.count)
      let error = coarse.reduce(0) { $0 + squaredError($1) }
      let sensitivity = max(divergence, least) / max(error, 1e-12)
      return LayerCurve(
        tolerances: Self.levels.map { $0 * Double(start) },
        divergences: levels.map { sensitivity * squaredError($0) },
        bytes: levels.map { observation in group.reduce(0) { $0 + observation.bytes[$1] } })
    }
  }

  // MARK: All layers alike

  private func uniformCurve(
    _ context: TuningContext, _ settings: RetrievalSettings, _ progress: inout MeasurementProgress
  ) throws -> UniformCurve {
    var points: [TuningContext.Measurement] = []
    var start: TuningContext.Measurement?
    for level in Self.uniformLevels {
      var uniform = settings
      uniform.layerTolerances = []
      uniform.search.tolerance *= Float(level)
      let point = try progress.measure(context, uniform)
      points.append(point)
      if level == 1 { start = point }
    }
    guard let start else { preconditionFailure("the levels must have 1") }
    return UniformCurve(
      start: start, points: points,
      tolerances: Self.uniformLevels.map { settings.search.tolerance * Float($0) })
  }

  private func outcome(
    _ text: Text, uniform: UniformCurve, profile: TuningContext.Measurement
  ) -> RetrievalProfile.Outcome {
    RetrievalProfile.Outcome(
      text: text.name, context: settings.contextTokens, tokens: settings.decodeTokens,
      uniformKL: uniform.start.divergence, uniformBytes: uniform.start.bytes, profileKL: profile.divergence,
      profileBytes: profile.bytes, uniformBytesAtProfileKL: uniform.bytes(at: profile.divergence))
  }
}
