import ArgumentParser
import AttentionKernels
import Evaluation
import Generation
import LlamaHost
import RetrievalAttention

struct DoctorCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "doctor",
    abstract: "Check whether a model's attention can be taken over, and prove it layer by layer.",
    discussion: """
      Compares every layer with llama.cpp's on a short text, and the model's answers on a longer one, behind a batch and, if \
      that is not far, behind the model's window. With --thorough also retrieval, a session that is saved and opened again, a \
      fork, and two contexts in one batch.
      """)

  @Argument(help: "The model: a GGUF file, or a name that ra models shows.", completion: .model)
  var model: String

  @Option(
    help: ArgumentHelp(
      "Tokens of the longer text. (default: 640, or more for a window up to 1088)", valueName: "tokens"))
  var depth: Int?

  @Flag(help: "Also check retrieval, sessions, forks and batches on the longer text.")
  var thorough = false

  @Flag(help: "Write the result as JSON.")
  var json = false

  @OptionGroup var progress: ProgressOption
  @OptionGroup var threading: ThreadOptions
  @OptionGroup var variant: VariantOptions
  @OptionGroup(title: "Devices") var devices: DeviceOptions

  func validate() throws {
    if let depth { try checkCount("--depth", depth) }
  }

  func run() async throws {
    let command = self
    let passed = try await withInterruption { try command.check() }
    if !passed { throw ExitCode.failure }
  }

  private func check() throws -> Bool {
    let console = progress.console
    let pool = try threading.makePool()
    var options = try devices.options(console)
    options.ropeFactors = variant.ropeFactors
    options.ropeScaling = variant.scaling.value
    options.adapters = variant.lora
    let model = try console.loadModel(path: ModelDefault.resolved(model), options: options, for: .trained)
    if !json { console.output("\(model.description)\n\n") }
    let report = try model.takeover(pool: pool)
    guard report.isSupported else {
      if json {
        try console.json(DoctorReport(model: model.description, takeover: report))
      } else {
        console.output("\(report)\n")
      }
      return false
    }
    let parity = try ParityReport(checking: model, pool: pool, depth: depth) { done, total in
      console.progress("reading", done: done, total: total, unit: "tokens")
    }
    let check =
      thorough
      ? try ModelCheck(
        checking: model, pool: pool,
        tokens: ParityReport.tokens(
          depth ?? max(64, DepthComparison.depth(for: model)), model: model)
      ) { done, total in
        console.progress("comparing", done: done, total: total, unit: "tokens")
      } : nil
    console.clear()
    var result = DoctorReport(model: model.description, takeover: report, parity: parity, check: check)
    let memory = try ContextMemory(report)
    result.memory = memory
    if !json { console.output("\(parity)\n\(check.map(text) ?? "")") }
    let seconds = try result.passed ? readingSeconds(model, pool, console) : nil
    result.secondsForThousand = seconds
    if json {
      try console.json(result)
    } else {
      let works = seconds.map {
        "\nworks: \(formatBytes(memory.tenThousand / 10)) and " + String(format: "%.1f s", $0)
          + " for the first 1,000 tokens"
      }
      console.output("\(works ?? "")\n\(memory.text)\n")
    }
    return result.passed
  }

  /// Seconds for 1,000 tokens at the beginning of a text, of as many as tell it; later estimates profit from it.
  private func readingSeconds(_ model: LlamaModel, _ pool: ThreadPool, _ console: Console) throws -> Double {
    let count = min(ReadingRates.leastTokens, DepthComparison.depth(for: model))
    let tokens = try ParityReport.tokens(count, model: model)
    let runner = try GuestRunner(
      model: model, pool: pool, policy: .retrieval(RetrievalSettings()), plannedTokens: tokens.count)
    console.expectReading(with: runner)
    let begin = ContinuousClock.now
    _ = try runner.prefill(tokens) {
      console.progress("reading", done: $0, total: tokens.count, unit: "tokens")
    }
    console.clear()
    return (ContinuousClock.now - begin) / .seconds(1) * 1000 / Double(tokens.count)
  }

  private func text(_ check: ModelCheck) -> String {
    func same(_ isEqual: Bool) -> String { isEqual ? "the same to the bit" : "DIFFERENT" }
    return """
      after \(check.tokenCount) tokens and each of some that were decoded:
      exact against host: KL \(check.exactDivergence) nats (host against itself \(check.hostDivergence))
      retrieval that reads all keys, against host: KL \(check.wholeRetrievalDivergence) nats
      retrieval at its default settings, against host: KL \(check.retrievalDivergence) nats
      a session, reopened: \(same(check.isReopenedEqual)); a fork: \(same(check.isForkEqual))
      two in one batch against each alone: KL \(check.batchDivergence) nats
      \(check.passed ? "passed" : "FAILED")

      """
  }
}

/// Bytes of keys, values and index of a context.
private struct ContextMemory: Encodable {
  /// Of 10,000 and of 100,000 tokens.
  var tenThousand: Int
  var hundredThousand: Int
  /// The same with keys and values of 8 bits.
  var tenThousandInEightBits: Int
  var hundredThousandInEightBits: Int

  init(_ takeover: TakeoverReport) throws {
    let shape = try ModelShape(takeover)
    let small = ModelShape(layers: shape.layers, format: KeyValueFormat(keys: .int8, values: .int8))
    (tenThousand, hundredThousand) = (shape.byteCount(ofContext: 10_000), shape.byteCount(ofContext: 100_000))
    (tenThousandInEightBits, hundredThousandInEightBits) =
      (small.byteCount(ofContext: 10_000), small.byteCount(ofContext: 100_000))
  }

  var text: String {
    "memory beside the weights: \(formatBytes(tenThousand)) for 10,000 tokens, \(formatBytes(hundredThousand)) for 100,000; "
      + "\(formatBytes(tenThousandInEightBits)) and \(formatBytes(hundredThousandInEightBits)) with --kv-type q8"
  }
}

/// What `ra doctor --json` writes.
private struct DoctorReport: Encodable {
  var path: String
  var architecture: String
  var isSupported: Bool
  var isHybrid: Bool
  /// Layers whose attention is taken over.
  var layers: Int
  var reasons: [String]
  var warnings: [String]
  var passed = false
  /// The largest relative error of a layer's output.
  var layerError: Float?
  /// Mean KL(host || guest) after each token of the short text, in nats, and of the host's two ways of attending.
  var guestDivergence: Float?
  var hostDivergence: Float?
  /// The same behind a batch and a window.
  var depth: Int?
  var depthGuestDivergence: Float?
  var depthHostDivergence: Float?
  var check: ModelCheck?
  var memory: ContextMemory?
  var secondsForThousand: Double?

  init(
    model: ModelDescription, takeover: TakeoverReport, parity: ParityReport? = nil, check: ModelCheck? = nil
  ) {
    path = model.path
    architecture = model.architecture
    isSupported = takeover.isSupported
    isHybrid = takeover.isHybrid
    layers = takeover.layers.count
    reasons = takeover.reasons.map(\.description)
    warnings = takeover.warnings
    guard let parity else { return }
    passed = parity.passed && check?.passed ?? true
    layerError = parity.layerErrors.map(\.relativeError).max()
    guestDivergence = parity.guestDivergence
    hostDivergence = parity.hostDivergence
    depth = parity.depth?.tokenCount
    depthGuestDivergence = parity.depth?.guestDivergence
    depthHostDivergence = parity.depth?.hostDivergence
    self.check = check
  }
}
