// Time of a decode step at several depths, ours beside the host's, in one process.

package import AttentionKernels
package import Evaluation
import Generation
package import LlamaHost
import RetrievalAttention

/// Measures the time of a decode step at each depth with each attention.
///
/// All attentions decode the same tokens after the same context, in turns of a few tokens, so that whatever else
/// the machine does hits all alike; then the tokens are taken back. The context is read once for the host, once
/// for ours and once for each further policy, and continued from one depth to the next. Tokens come from the text:
/// nothing is sampled.
///
/// Rows of the index that would be inserted while decoding are not: the median would not show them.
package final class DecodeBenchmark {
  /// What is measured.
  package struct Settings: Sendable {
    /// Tokens in the context; 0 stands for a context of one token.
    package var depths = [0, 2048, 8192]
    /// Decode steps of each attention at each depth, in all rounds together, 1...``maximumTokens``.
    package var tokens = 96
    /// Turns that each attention gets at a depth; more than `tokens` are cut to `tokens`.
    package var rounds = 4
    /// Exact attention reads the context of the first retrieval among them; every other has one of its own.
    package var attentions: [EvaluatedAttention] = [.host, .exact, .retrieval()]
    /// How our contexts store keys and values; the host's are f16.
    package var format = KeyValueFormat()
    /// Repeat the first ``syntheticPeriod`` tokens beyond that depth instead of reading a text.
    package var isSynthetic = false
    /// Tokens of a synthetic context that are read; deeper ones are copies.
    package var syntheticPeriod = 4096
    /// Further steps at each depth whose outputs are compared with exact ones, for ``DecodeResult/outputError``; not
    /// timed.
    package var checkedTokens = 2

    package init() {}
  }

  /// The most decode steps: sliding-window layers can take back so many.
  package static let maximumTokens = 1024
  /// What has been measured, ascending in depth; complete after ``run(onPhase:onDepth:)``, partial when that threw.
  package private(set) var results: [DecodeResult] = []

  private let settings: Settings
  private let depths: [Int]
  let tokens: [Int32]
  private let perRound: Int
  private let model: LlamaModel
  private let pool: ThreadPool
  private let host: HostRunner?
  /// Ours, with all that is measured over their contexts.
  let guests: [GuestRunner]
  private let subjects: [Subject]

  /// One attention and who computes it.
  private struct Subject {
    let name: String
    /// nil for the host.
    let guest: GuestRunner?
    /// Whether the guest's policy is put aside.
    let isExact: Bool
  }

  /// Tokens of text that `settings` need.
  package static func requiredTokens(_ settings: Settings) -> Int {
    let deepest = max(1, settings.depths.max() ?? 0)
    return (settings.isSynthetic ? min(deepest, settings.syntheticPeriod) : deepest) + settings.tokens + 1
  }

  /// Prepares the contexts.
  ///
  /// Throws ``Generation/GenerationError/invalidCount(name:value:requirement:)`` for settings that make no sense,
  /// ``Generation/GenerationError/textTooShort(tokens:required:)``, and what runners throw.
  package init(model: LlamaModel, pool: ThreadPool, tokens: [Int32], settings: Settings = Settings()) throws {
    depths = try TokenCounts.checked(settings.depths, name: "depth", minimum: 0)
    guard (1...Self.maximumTokens).contains(settings.tokens) else {
      throw GenerationError.invalidCount(
        name: "tokens", value: settings.tokens, requirement: "in 1...\(Self.maximumTokens)")
    }
    guard settings.rounds > 0 else {
      throw GenerationError.invalidCount(name: "rounds", value: settings.rounds, requirement: "positive")
    }
    guard (1...TokenCounts.maximum).contains(settings.syntheticPeriod) else {
      throw GenerationError.invalidCount(
        name: "synthetic period", value: settings.syntheticPeriod,
        requirement: "in 1...\(TokenCounts.maximum)")
    }
    let required = Self.requiredTokens(settings)
    guard tokens.count >= required else {
      throw GenerationError.textTooShort(tokens: tokens.count, required: required)
    }
    self.model = model
    self.pool = pool
    self.settings = settings
    self.tokens = tokens
    let attentions = settings.attentions
    // The first step of a turn finds the caches full of another attention's keys; it is not counted.
    perRound = 1 + (settings.tokens + settings.rounds - 1) / settings.rounds
    let planned = max(1, depths.last ?? 0) + perRound
    host =
      attentions.contains(where: \.isHost)
      ? try HostRunner(
        model: model, pool: pool, contextLength: planned, keepsWholeCache: false,
        allowsFilling: settings.isSynthetic) : nil
    func guest(_ policy: AttentionPolicy) throws -> GuestRunner {
      let runner = try GuestRunner(
        model: model, pool: pool, policy: policy, plannedTokens: planned, format: settings.format)
      runner.indexesDecodedTokens = false
      return runner
    }
    // Exact attention over the rows of retrieval: memory for one context, and the same prompt read once.
    let sharing =
      attentions.firstIndex { $0.policy?.retrieval != nil } ?? attentions.firstIndex(where: \.isExact)
    let shared = try sharing.flatMap { attentions[$0].policy }.map(guest)
    var guests = [shared].compactMap(\.self)
    subjects = try attentions.enumerated().map { number, attention in
      guard let policy = attention.policy else {
        return Subject(name: attention.name, guest: nil, isExact: false)
      }
      if number == sharing || attention.isExact {
        return Subject(name: attention.name, guest: shared, isExact: attention.isExact)
      }
      guests.append(try guest(policy))
      return Subject(name: attention.name, guest: guests.last, isExact: false)
    }
    self.guests = guests
  }

  /// Measures all depths.
  ///
  /// Cancelling the task stops it within a layer with `CancellationError`; ``results`` then has what was measured.
  ///
  /// - Parameter onDepth: told the results of each depth as they come.
  package func run(
    onPhase: (BenchmarkPhase) -> Void = { _ in }, onDepth: ([DecodeResult]) -> Void = { _ in }
  ) throws {
    results = []
    try model.warmUp(pool: pool, tokens: tokens)
    for depth in depths {
      try extend(to: max(1, depth), onPhase: onPhase)
      var measurements = subjects.map { Measurement(subject: $0) }
      defer {
        let new = measurements.compactMap { result($0, depth: depth) }
        results += new
        onDepth(new)
      }
      try measure(&measurements, depth: depth, onPhase: onPhase)
    }
  }

  /// Reads or repeats tokens until every context has `count` of them.
  private func extend(to count: Int, onPhase: (BenchmarkPhase) -> Void) throws {
    let real = settings.isSynthetic ? min(count, settings.syntheticPeriod) : count
    func read(_ runner: any SequenceRunner, name: String) throws {
      let begin = runner.tokenCount
      guard begin < real else { return }
      try withoutActuallyEscaping(onPhase) { tell in
        _ = try runner.prefill(Array(tokens[begin..<real])) {
          tell(.prefill(name: name, done: begin + $0, total: real))
        }
      }
    }
    if let host {
      try read(host, name: "host")
      if count > real { try host.fill(to: count) }
    }
    for guest in guests {
      try read(guest, name: guests.count > 1 ? guest.attentionName : "ours")
      if count > real { try guest.replicate(to: count, period: real, first: unrepeated) }
    }
  }

  /// What is known about one attention at one depth.
  private struct Measurement {
    var subject: Subject
    var samples = TimeSamples()
    var reads = ReadStatistics()
    let profile = DecodeProfile()
    var window = WindowActivity()
    /// Relative L2 distances of outputs.
    var errors: [Double] = []
  }

  private func measure(
    _ measurements: inout [Measurement], depth: Int, onPhase: (BenchmarkPhase) -> Void
  ) throws {
    let total = measurements.count * settings.tokens
    var done = 0
    for _ in 0..<settings.rounds {
      for index in measurements.indices {
        let missing = settings.tokens - measurements[index].samples.values.count
        guard missing > 0 else { continue }
        try turn(&measurements[index], steps: min(missing + 1, perRound)) {
          done += 1
          onPhase(.decode(depth: depth, done: done, total: total))
        }
      }
    }
    for index in measurements.indices { try check(&measurements[index]) }
  }

  /// Compares the outputs of some more steps with exact ones.
  private func check(_ measurement: inout Measurement) throws {
    guard let guest = measurement.subject.guest, !measurement.subject.isExact, settings.checkedTokens > 0
    else { return }
    let begin = guest.tokenCount
    var errors: [Double] = []
    let statistics = guest.engine.statistics
    guest.options.observer = AttentionObserver(onHead: { errors += $0.outputErrors })
    defer {
      guest.options.observer = nil
      guest.engine.statistics = statistics
    }
    for step in 0..<min(settings.checkedTokens, perRound) {
      _ = try guest.decode(tokens[firstToken(after: begin) + step])
    }
    try guest.truncate(to: begin)
    measurement.errors = errors
  }

  /// Tokens at the beginning that are not copied.
  private var unrepeated: Int {
    let retrieval = settings.attentions.lazy.compactMap { $0.policy?.retrieval }.first ?? RetrievalSettings()
    return min(retrieval.sinkCount, settings.syntheticPeriod - 1)
  }

  /// The token of the text that comes next. After copies the text goes on where the last, possibly cut, copy ends.
  private func firstToken(after count: Int) -> Int {
    settings.isSynthetic && count > settings.syntheticPeriod
      ? unrepeated + (count - unrepeated) % (settings.syntheticPeriod - unrepeated) : count
  }

  /// One attention decodes `steps` tokens, the first of them uncounted, and takes them back.
  private func turn(_ measurement: inout Measurement, steps: Int, onStep: () -> Void) throws {
    let guest = measurement.subject.guest
    guard let runner: any SequenceRunner = guest ?? host else { return }
    guest?.options.isExact = measurement.subject.isExact
    guest?.engine.statistics = measurement.reads
    let begin = runner.tokenCount
    defer { if let guest { measurement.reads = guest.engine.statistics } }
    let first = firstToken(after: begin)
    var window = WindowActivity()
    let clock = ContinuousClock()
    for step in 0..<steps {
      let start = clock.now
      _ = try runner.decode(tokens[first + step])
      let time = clock.now - start
      // The first step finds the caches full of another attention's keys.
      guest?.options.observer = AttentionObserver(profile: measurement.profile)
      if step == 0, let guest { window = guest.host.windowReading.activity }
      if step > 0 {
        measurement.samples.append(time)
        onStep()
      }
    }
    if let guest {
      measurement.window.add(guest.host.windowReading.activity.since(window))
      guest.options = CallOptions()
      try guest.truncate(to: begin)
    } else {
      try host?.truncate(to: begin)
    }
  }

  private static func devices(_ host: GuestHost) -> [DeviceUse]? {
    guard !host.deviceMemory.isEmpty else { return nil }
    let now = ComputeDevice.all()
    return host.deviceMemory.map { use in
      DeviceUse(
        device: use.device, heldBytes: use.total + (host.windowReading.byteCounts[use.device] ?? 0),
        freeBytes: now.first { $0.name == use.device }?.freeBytes)
    }
  }

  private func result(_ measurement: Measurement, depth: Int) -> DecodeResult? {
    guard let spread = measurement.samples.spread else { return nil }
    let isHost = measurement.subject.guest == nil
    return DecodeResult(
      policy: measurement.subject.name,
      configuration: isHost ? HostConfiguration.flashAttentionOff : nil, depth: depth,
      synthetic: settings.isSynthetic && depth > settings.syntheticPeriod,
      tokens: measurement.samples.values.count, millisecondsPerToken: spread.median,
      tokensPerSecond: 1000 / spread.median, spread: spread,
      keysRead: isHost ? nil : measurement.reads.keysRead,
      keysReadWithStatic: isHost ? nil : measurement.reads.keysReadWithStatic,
      bytesPerToken: isHost ? nil : measurement.reads.bytesPerToken,
      outputError: OutputError(measurement.errors),
      memory: measurement.subject.guest?.memory, peakResidentBytes: SystemMemory.peakResidentBytes,
      devices: measurement.subject.guest.flatMap { Self.devices($0.host) },
      window: measurement.window.layers > 0 ? measurement.window : nil,
      stages: StageTimes(
        measurement.profile, steps: measurement.samples.values.count,
        milliseconds: measurement.samples.values.reduce(0, +) / Double(measurement.samples.values.count),
        threads: pool.threadCount))
  }
}
