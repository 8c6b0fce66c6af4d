public import ArgumentParser
public import Evaluation
import Foundation
import Generation
import LlamaHost
import RetrievalAttention

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
  @OptionGroup var progress: ProgressOption

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
      """
      Read the context as these policies do too, each from its beginning, and decode exactly behind it; separated by \
      commas or repeated: retrieval:prefill=1e-3, hip:prefill=true, cascade:prefill=true, xattention.
      """, valueName: "names"), completion: .attentions)
  var prefillAttention: [String] = []

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
      if hostNoise || heads || reference == .host || !also.isEmpty || !prefillAttention.isEmpty {
        throw ValidationError(
          "--curve compares with exact attention, without --heads, --host-noise, --also and --prefill-attention."
        )
      }
    }
    _ = try readingPolicies()
    for tolerance in also where !(tolerance >= 0) {
      throw ValidationError("--also is \(tolerance), but must be zero or positive.")
    }
  }

  func run() async throws {
    let command = self
    try await withInterruption { try command.measure() }
  }

  private func measure() throws {
    let console = progress.console
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
    for policy in try readingPolicies() { readings.append(try measurement.measureReading(policy)) }
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

  /// Throws `ValidationError` for one that reads prompts exactly.
  private func readingPolicies() throws -> [AttentionPolicy] {
    try prefillAttention.flatMap { PolicyRegistry.splitList($0) }.map { name in
      guard case .policy(let policy) = try AttentionChoice(parsing: name), !policy.readsPromptsExactly else {
        throw ValidationError(
          "--prefill-attention has '\(name)', which reads prompts exactly; try hip:prefill=true.")
      }
      return policy
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
