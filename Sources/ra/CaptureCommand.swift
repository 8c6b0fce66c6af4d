import ArgumentParser
import Evaluation
import Generation
import LlamaHost

struct CaptureCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "capture", abstract: "Record queries, keys and values of real heads, to measure indexes on.")

  @OptionGroup var modelOptions: ModelOptions
  @OptionGroup var limit: ContextLimitOptions
  @Option var text: String
  @Option var context: Int
  @Option var tokens = 64
  @Option var skip = 0
  @Option var layers: String
  @Option var output: String

  func run() async throws {
    let command = self
    try await withInterruption { try command.record() }
  }

  private func record() throws {
    let console = Console()
    let input = try TextFile.read(text)
    let (model, pool) = try modelOptions.load(console)
    try limit.check(tokens: context + tokens, model: model)
    let all = try model.tokenizer.tokenize(input, addSpecial: true, parseSpecial: false)
    try HeadCapture.record(
      model: model, pool: pool, tokens: Array(all.dropFirst(skip)), contextTokens: context,
      decodeTokens: tokens,
      layers: layers.split(separator: ",").compactMap { Int($0) }, directory: output
    ) { phase in
      switch phase {
      case .prefill(let done, let total):
        console.progress("reading", done: done, total: total, unit: "tokens")
      case .decode(let done, let total):
        console.progress("decoding", done: done, total: total, unit: "tokens")
      }
    }
  }
}
