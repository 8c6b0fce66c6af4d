public import ArgumentParser
public import Evaluation
import Foundation
import Generation
import LlamaHost
import RetrievalAttention
import VectorIndex

struct FidelityCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "fidelity",
    abstract: "Measure how far an attention policy is from full attention, on your model and text.",
    discussion: """
      Reads a context with exact attention, and once more as the policy reads it where that is another way, then decodes the tokens that follow it in the text one by one, with \
      exact attention, with the policy and with the host. The distance between host and exact attention, which \
      compute the same thing, is the noise floor of the measurement. With --kv-type q8 the distance has the rounding in \
      it: exact attention reads f16.
      """)

  @OptionGroup var modelOptions: ModelOptions
  @OptionGroup(title: "Retrieval") var retrieval: RetrievalOptions
  @OptionGroup var store: StoreOptions
  @OptionGroup var limit: ContextLimitOptions

  @Option(help: ArgumentHelp("The text to measure on.", valueName: "file"), completion: .file())
  var text: String

  @Option(help: ArgumentHelp("Tokens of context to read first.", valueName: "tokens"))
  var context: Int

  @Option(help: ArgumentHelp("Tokens to decode and compare.", valueName: "tokens"))
  var tokens = 128

  @Option(
    help: """
      The policy to measure: NAME[:key=value,...] of the policies that ra attention list shows.
      """, completion: .attention, transform: AttentionChoice.init(parsing:))
  var attention = AttentionChoice.policy(.retrieval(RetrievalSettings()))

  @Option(help: "What it is compared with: exact (our full attention) or host (llama.cpp's).")
  var reference = FidelityMeasurement.Reference.exact

  @Option(help: ArgumentHelp("Skip this many tokens of the text first.", valueName: "tokens"))
  var skip = 0

  @Option(
    help: ArgumentHelp(
      "Measure with these tolerances too, over the same index; repeatable.", valueName: "error"))
  var also: [Float] = []

  @Option(
    help: ArgumentHelp(
      "Read the context with these prefill tolerances too, each from its beginning; repeatable.",
      valueName: "price"))
  var alsoPrefill: [Float] = []

  @Flag(help: "Leave out the host and with it the noise floor, to save time.")
  var noNoiseFloor = false

  @Flag(help: "Also measure the host's attention with flash attention against the host without.")
  var hostNoise = false

  @Flag(
    help: """
      Also tell what each layer's heads lose: distance of their output from exact attention, and the share of attention \
      weights on keys that were read. JSON has every head.
      """)
  var heads = false

  @Option(
    help: ArgumentHelp(
      """
      Tell how the divergence goes on along the decoded tokens, in blocks of so many, with keys and values of decoded \
      tokens from the policy's own attention and, beside it, from exact attention.
      """, valueName: "tokens"))
  var curve: Int?

  @Flag(help: "Write JSON.")
  var json = false

  func validate() throws {
    try checkCount("--context", context)
    try checkCount("--tokens", tokens)
    if skip < 0 { throw ValidationError("--skip is \(skip), but must be zero or positive.") }
    if attention == .host {
      throw ValidationError("--attention host is the reference; give a policy that ra attention list shows.")
    }
    try retrieval.check([attention])
    if !also.isEmpty, !attention.isRetrieval {
      throw ValidationError("--also gives tolerances of --attention retrieval.")
    }
    if noNoiseFloor, hostNoise || reference == .host {
      throw ValidationError(
        "--no-noise-floor leaves out the host, which --host-noise and --reference host need.")
    }
    if let curve {
      try checkCount("--curve", curve)
      if hostNoise || heads || reference == .host || !also.isEmpty || !alsoPrefill.isEmpty {
        throw ValidationError(
          "--curve compares with exact attention, without --heads, --host-noise, --also and --also-prefill.")
      }
    }
    if !alsoPrefill.isEmpty, !attention.isRetrieval {
      throw ValidationError("--also-prefill gives tolerances of --attention retrieval.")
    }
    for tolerance in alsoPrefill where !(tolerance >= 0) {
      throw ValidationError("--also-prefill is \(tolerance), but must be zero or positive.")
    }
    for tolerance in also where !(tolerance >= 0) {
      throw ValidationError("--also is \(tolerance), but must be zero or positive.")
    }
  }

  func run() async throws {
    let command = self
    try await withInterruption { try command.measure() }
  }

  private func measure() throws {
    let console = Console()
    let input = try TextFile.read(text)
    let (model, pool) = try modelOptions.load(console, for: .tokens(context + tokens))
    try limit.check(tokens: context + tokens, model: model, console)
    _ = try console.takesOver(model, pool, isForced: true)
    let all = try model.tokenizer.tokenize(input, addSpecial: true, parseSpecial: false)
    guard let policy = try retrieval.policy(attention) else { return }
    if let curve {
      return try measureCurve(curve, policy, model, pool, Array(all.dropFirst(skip)), console)
    }
    var settings = FidelityMeasurement.Settings(contextTokens: context, decodeTokens: tokens, policy: policy)
    settings.format = store.format
    settings.comparesHost = !noNoiseFloor
    settings.comparesHostPaths = hostNoise
    let measurement = try FidelityMeasurement(
      model: model, pool: pool, tokens: Array(all.dropFirst(skip)), settings: settings
    ) { console.progress($0) }
    var reports = [try measurement.measure(against: reference, observesHeads: heads)]
    for tolerance in also {
      guard let settings = policy.retrieval else { break }
      var search = settings.search
      search.tolerance = tolerance
      reports.append(try measurement.measure(against: reference, search: search, observesHeads: heads))
    }
    var readings = measurement.reading.map { [$0] } ?? []
    for tolerance in alsoPrefill {
      readings.append(try measurement.measureReading(prefillTolerance: tolerance))
    }
    console.clear()
    if json {
      for reading in readings.dropFirst(measurement.reading == nil ? 0 : 1) {
        var report = reports[0]
        report.reading = reading
        reports.append(report)
      }
      if reports.count == 1 { try console.json(reports[0]) } else { try console.json(reports) }
    } else {
      console.output(table(reports) + readingTable(readings) + "\n")
    }
  }

  private func measureCurve(
    _ blockTokens: Int, _ policy: AttentionPolicy, _ model: LlamaModel, _ pool: ThreadPool,
    _ tokens: [Int32], _ console: Console
  ) throws {
    var settings = FidelityCurve.Settings(
      contextTokens: context, decodeTokens: self.tokens, blockTokens: blockTokens, policy: policy)
    settings.format = store.format
    settings.comparesHost = !noNoiseFloor
    let curve = try FidelityCurve(model: model, pool: pool, tokens: tokens, settings: settings) {
      console.progress($0)
    }
    console.clear()
    if json { return try console.json(curve) }
    console.output(curve.table + "\n")
  }

  private func table(_ reports: [FidelityReport]) -> String {
    var lines = [
      "context \(context) tokens, \(tokens) decoded, compared with \(reference.rawValue) attention",
      "",
      "policy       tolerance   mean KL    p99 KL   top-1   keys read  with static   bytes/token  perplexity",
    ]
    for report in reports {
      lines.append(
        String(
          format: "%@ %9@ %9.5f %9.5f %7.3f %9.1f %% %9.1f %% %13@ %11.3f",
          report.policy.padding(toLength: 12, withPad: " ", startingAt: 0),
          report.tolerance.map { String(format: "%.2g", $0) } ?? "-", report.meanKL, report.p99KL,
          report.top1,
          report.keysRead * 100, report.keysReadWithStatic * 100, formatted(report.bytesPerToken),
          report.perplexity))
    }
    for report in reports { lines += headLines(report) }
    func row(_ name: String, _ divergence: Divergence) -> String {
      String(
        format: "%@ %9.5f %9.5f %7.3f", name.padding(toLength: 22, withPad: " ", startingAt: 0),
        divergence.meanKL,
        divergence.p99KL, divergence.top1)
    }
    if let first = reports.first {
      if let noise = first.noiseFloor { lines.append(row("noise: host to exact", noise)) }
      if let noise = first.hostNoise { lines.append(row("noise: host to flash", noise)) }
      lines.append("")
      lines.append(String(format: "reference perplexity %.3f", first.referencePerplexity))
    }
    return lines.joined(separator: "\n")
  }

  /// What reading with chosen keys has lost; nothing where there was none.
  private func readingTable(_ readings: [PromptReadingReport]) -> String {
    guard !readings.isEmpty else { return "" }
    let lines = readings.map { reading in
      String(
        format: "%9.2g %9.5f %9.5f %7.3f %9.1f %% %11.3f %9.1f %7.2f", reading.prefillTolerance,
        reading.meanKL, reading.p99KL, reading.top1, reading.keysRead * 100, reading.perplexity,
        reading.seconds, reading.exactSeconds / reading.seconds)
    }
    let heading = [
      "", "", "read with chosen keys, decoded exactly, against read exactly",
      "tolerance   mean KL    p99 KL   top-1   keys read  perplexity   seconds   times as fast",
    ]
    return (heading + lines).joined(separator: "\n")
  }

  /// A line for each layer; none where no heads were observed.
  private func headLines(_ report: FidelityReport) -> [String] {
    guard let heads = report.heads else { return [] }
    let name = report.policy + (report.tolerance.map { String(format: " %.2g", $0) } ?? "")
    var lines = ["", "\(name): layer  output error  worst head  mass read"]
    for (layer, (errors, masses)) in zip(heads.outputError, heads.recoveredMass).enumerated() {
      let known = errors.compactMap { $0 }
      guard let worst = known.max(), let error = HeadErrors.mean([errors]) else { continue }
      let mass = HeadErrors.mean([masses]).map { String(format: "%9.1f %%", $0 * 100) } ?? "        -"
      lines.append(
        String(repeating: " ", count: name.count + 2)
          + String(format: "%5d %13.4f %11.4f", layer, error, worst) + mass)
    }
    return lines
  }

  private func formatted(_ bytes: Double) -> String {
    String(format: "%.2f MB", bytes / 1_048_576)
  }
}

extension FidelityMeasurement.Reference: ExpressibleByArgument {}

extension Console {
  fileprivate func progress(_ phase: FidelityMeasurement.Phase) {
    switch phase {
    case .prefill(let done, let total): progress("reading", done: done, total: total, unit: "tokens")
    case .hostPrefill(let done, let total):
      progress("reading with the host", done: done, total: total, unit: "tokens")
    case .decode(let policy, let done, let total):
      progress("decoding, \(policy)", done: done, total: total, unit: "tokens")
    }
  }
}

extension FidelityCurve {
  fileprivate var table: String {
    func number(_ value: Double?) -> String { value.map { String(format: "%9.5f", $0) } ?? "        -" }
    let heading = [
      "context \(context) tokens, then decoded, \(policy) compared with exact attention", "",
      "decoded before   mean KL  isolated     noise   top-1  with static      loss     exact",
    ]
    let lines = blocks.map { block in
      String(format: "%14d ", block.firstToken) + number(block.meanKL) + " " + number(block.isolatedKL) + " "
        + number(block.noiseKL)
        + String(
          format: " %7.3f %10.1f %% %9.4f %9.4f", block.top1, block.keysReadWithStatic * 100, block.loss,
          block.exactLoss)
    }
    return (heading + lines).joined(separator: "\n")
  }
}
