import ArgumentParser
import Benchmarking
import Foundation
import Generation
import LlamaHost

struct CaptureCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "capture", abstract: "Record queries, keys and values of real heads, to measure indexes on.",
    discussion: """
      Reads a context with exact attention, decodes the tokens that follow it in the text, and writes a folder of \
      .npy files (f16, queries after rotary embedding) with capture.json, for `ra bench index --capture`.

      Example: ra capture --model model.gguf --text book.txt --context 8000 --layers 2,9,20 --output capture
      """)

  @OptionGroup var modelOptions: ModelOptions
  @OptionGroup var limit: ContextLimitOptions
  @OptionGroup var progress: ProgressOption

  @Option(help: ArgumentHelp("The text to read.", valueName: "file"), completion: .file())
  var text: String
  @Option(help: ArgumentHelp("Tokens of context to read first.", valueName: "tokens"))
  var context: Int
  @Option(help: ArgumentHelp("Tokens to decode, whose queries are recorded.", valueName: "tokens"))
  var tokens = 64
  @Option(help: ArgumentHelp("Skip this many tokens of the text first.", valueName: "tokens"))
  var skip = 0
  @Option(help: ArgumentHelp("Layers to record, with commas between them.", valueName: "numbers"))
  var layers: String
  @Option(
    help: ArgumentHelp("The folder to write, new or empty.", valueName: "folder"), completion: .directory)
  var output: String

  func validate() throws {
    try checkCount("--context", context)
    try checkCount("--tokens", tokens)
    if skip < 0 { throw ValidationError("--skip is \(skip), but must be zero or positive.") }
    _ = try layerNumbers()
  }

  func run() async throws {
    let command = self
    try await withInterruption { try command.record() }
  }

  private func layerNumbers() throws -> [Int] {
    var numbers: [Int] = []
    for part in layers.split(separator: ",", omittingEmptySubsequences: false) {
      guard let number = Int(part), number >= 0 else {
        throw ValidationError("--layers has \"\(part)\", but needs numbers from 0, with commas between them.")
      }
      guard !numbers.contains(number) else { throw ValidationError("--layers names layer \(number) twice.") }
      numbers.append(number)
    }
    return numbers
  }

  private func record() throws {
    let console = progress.console
    let input = try TextFile.read(text)
    let (model, pool) = try modelOptions.load(console, for: .tokens(context + tokens))
    try limit.check(tokens: context + tokens, model: model, console)
    _ = try console.takesOver(model, pool, isForced: true)
    let all = try model.tokenizer.tokenize(input, addSpecial: true, parseSpecial: false)
    let settings = HeadCapture.Settings(
      model: URL(fileURLWithPath: try modelOptions.path()).lastPathComponent,
      text: URL(fileURLWithPath: text).lastPathComponent, contextTokens: context, decodeTokens: tokens,
      layers: try layerNumbers())
    try HeadCapture.record(
      model: model, pool: pool, tokens: Array(all.dropFirst(skip)), settings: settings, directory: output
    ) { phase in
      switch phase {
      case .prefill(let done, let total):
        console.progress("reading", done: done, total: total, unit: "tokens")
      case .decode(let done, let total):
        console.progress("decoding", done: done, total: total, unit: "tokens")
      }
    }
    console.clear()
    console.output("\(output)\n")
  }
}
