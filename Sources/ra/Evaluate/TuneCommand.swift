import ArgumentParser
import Evaluation
import Foundation
import Generation
import LlamaHost
import Platform

struct TuneCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tune",
    abstract: "Find how many first and last tokens to read, and a tolerance for each layer.",
    discussion: """
      Reads a text, tries larger sinks and windows, measures what each group of layers does to the model's output when it \
      alone reads less, and spends bytes where they matter. The profile it writes is used with --profile. Give --validate a \
      text of another kind to see what the profile is worth where nothing was tuned.

      Example: ra tune --model model.gguf --text book.txt --validate other.txt --output profile.json
      """)

  @OptionGroup var modelOptions: ModelOptions
  @OptionGroup(title: "Retrieval") var retrieval: RetrievalOptions
  @OptionGroup var limit: ContextLimitOptions
  @OptionGroup var progress: ProgressOption

  @Option(help: ArgumentHelp("The text to tune on.", valueName: "file"), completion: .file())
  var text: String

  @Option(
    name: .customLong("validate"), help: ArgumentHelp("Another text to validate on.", valueName: "file"),
    completion: .file())
  var validation: String?

  @Option(
    name: .customLong("target-kl"),
    help: ArgumentHelp(
      "Mean KL to aim at, in nats. (default: what all layers alike give on the text)", valueName: "nats"))
  var targetKL: Double?

  @Option(help: ArgumentHelp("Tokens of context to read first.", valueName: "tokens"))
  var context = 4096

  @Option(help: ArgumentHelp("Tokens to decode and compare.", valueName: "tokens"))
  var tokens = 96

  @Option(help: ArgumentHelp("Neighboring layers that get one tolerance.", valueName: "layers"))
  var group = 2

  @Flag(
    help: """
      Find the heads that tell where answers come from, from facts hidden in the text, and write a profile for \
      --evidence-heads instead.
      """)
  var evidence = false

  @Option(
    name: [.short, .long], help: ArgumentHelp("Where to write the profile.", valueName: "file"),
    completion: .file())
  var output: String

  @Flag(help: "Write the profile as JSON to standard output too.")
  var json = false

  func validate() throws {
    try checkCount("--context", context)
    try checkCount("--tokens", tokens)
    try checkCount("--group", group)
    if retrieval.profilePath != nil {
      throw ValidationError("--profile cannot be tuned; give --tolerance to start from.")
    }
    if retrieval.tolerance == 0 {
      throw ValidationError("--tolerance is 0, but must be positive to be tuned.")
    }
    if let targetKL, !(targetKL > 0 && targetKL.isFinite) {
      throw ValidationError("--target-kl is \(targetKL), but must be positive.")
    }
  }

  func run() async throws {
    let command = self
    try await withInterruption { try command.tune() }
  }

  private func findEvidenceHeads(_ console: Console) throws {
    let filler = try FillerText(TextFile.read(text))
    let (model, pool) = try modelOptions.load(console, for: .tokens(context))
    _ = try console.takesOver(model, pool, isForced: true)
    let host = try GuestHost(model: model, pool: pool)
    let found = try EvidenceHeadSearch(host: host, filler: filler).run {
      console.progress("reading answers", done: $0, total: $1, unit: "answers")
    }
    let judgement = try PassageJudgement(host: host) {
      console.progress("asking about passages", done: $0, total: $1, unit: "passages")
    }
    console.clear()
    let profile = EvidenceProfile(
      model: model, answers: found.answers, bestShare: found.bestShare, heads: found.heads.entries,
      leastOdds: judgement.leastOdds)
    try profile.json().write(to: URL(fileURLWithPath: output), options: .atomic)
    if json { console.output(String(decoding: try profile.json(), as: UTF8.self)) }
    console.inform(
      "\(found.heads.entries.count) heads, of which the best has "
        + String(format: "%.0f %%", found.bestShare * 100) + " of its attention on the right sentences")
    for head in found.heads.entries {
      console.inform(String(format: "layer %3d  head %3d  weight %.3f", head.layer, head.head, head.weight))
    }
    let told = String(
      format: "%.0f %% of the passages that answer a question and %.0f %% of those that do not",
      judgement.foundRight * 100, judgement.foundWrong * 100)
    console.inform(
      judgement.leastOdds == nil
        ? "the model cannot tell whether a passage answers a question: it takes \(told) for an answer"
        : "asked whether a passage answers a question, the model finds \(told)")
  }

  private func tune() throws {
    let console = progress.console
    if evidence { return try findEvidenceHeads(console) }
    let inputs = try ([text] + (validation.map { [$0] } ?? [])).map {
      (path: $0, text: try TextFile.read($0))
    }
    let (model, pool) = try modelOptions.load(console, for: .tokens(context + tokens))
    try limit.check(tokens: context + tokens, model: model, console)
    _ = try console.takesOver(model, pool, isForced: true)
    var settings = RetrievalTuning.Settings()
    settings.contextTokens = context
    settings.decodeTokens = tokens
    settings.targetKL = targetKL
    settings.groupSize = group
    settings.retrieval = try retrieval.settings()
    let texts = try inputs.map { input in
      RetrievalTuning.Text(
        name: URL(fileURLWithPath: input.path).lastPathComponent,
        tokens: try model.tokenizer.tokenize(input.text, addSpecial: true, parseSpecial: false))
    }
    let tuning = try RetrievalTuning(model: model, pool: pool, settings: settings) { phase in
      switch phase {
      case .reading(let text, let done, let total):
        console.progress("reading \(text)", done: done, total: total, unit: "tokens")
      case .measuring(let done, let total):
        console.progress("measuring", done: done, total: total, unit: "settings")
      }
    }
    var profile = try tuning.tune(on: texts[0], validatingOn: texts.dropFirst().first)
    // What is found for a model with something else added is not for its file.
    if modelOptions.variant.isPlain {
      profile.fingerprint = try ModelFingerprint.text(ofFile: model.description.path)
    }
    console.clear()
    let data = try profile.json()
    do {
      try data.write(to: URL(fileURLWithPath: output), options: .atomic)
    } catch {
      throw ResultFileError.unwritable(path: output, reason: failureReason(error))
    }
    console.output(json ? String(decoding: data, as: UTF8.self) : table(profile) + "\n")
    console.inform("profile: \(output)")
  }

  private func table(_ profile: RetrievalProfile) -> String {
    var lines = [
      "text                      all layers alike          profile                   fewer bytes, at equal KL"
    ]
    func row(_ outcome: RetrievalProfile.Outcome) {
      let saved = outcome.uniformBytesAtProfileKL.map {
        String(format: "%.1f %%", (1 - outcome.profileBytes / $0) * 100)
      }
      func pair(_ divergence: Double, _ bytes: Double) -> String {
        String(format: "KL %.5f, %6.2f MB", divergence, bytes / 1_048_576)
          .padding(toLength: 26, withPad: " ", startingAt: 0)
      }
      lines.append(
        outcome.text.padding(toLength: 26, withPad: " ", startingAt: 0)
          + pair(outcome.uniformKL, outcome.uniformBytes) + pair(outcome.profileKL, outcome.profileBytes)
          + (saved ?? "outside of what was measured"))
    }
    row(profile.calibration)
    if let validation = profile.validation { row(validation) }
    lines.append("")
    lines.append("sink \(profile.sinkCount), window \(profile.windowCount)")
    lines.append(
      "tolerances: " + profile.layerTolerances.map { String(format: "%.2g", $0) }.joined(separator: " "))
    return lines.joined(separator: "\n")
  }
}
