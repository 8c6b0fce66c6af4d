import ArgumentParser
import LlamaHost

struct DoctorCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "doctor",
    abstract: "Check whether a model's attention can be taken over, and prove it layer by layer.",
    discussion: """
      Compares every layer with llama.cpp's on a short text, and the model's answers on a longer one, behind a batch and, if \
      that is not far, behind the model's window.
      """)

  @Argument(help: "The model: a GGUF file.")
  var model: String

  @Option(
    help: ArgumentHelp(
      "Tokens of the longer text. (default: 640, or more for a window up to 1088)", valueName: "tokens"))
  var depth: Int?

  @OptionGroup var threading: ThreadOptions
  @OptionGroup var rope: RopeOptions
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
    let console = Console()
    let pool = try threading.makePool()
    var options = try devices.options(console)
    options.ropeFactors = rope.ropeFactors
    let model = try console.loadModel(path: model, options: options, for: .trained)
    console.output("\(model.description)\n\n")
    let report = try TakeoverReport(probing: model, pool: pool)
    guard report.isSupported else {
      console.output("\(report)\n")
      return false
    }
    let parity = try ParityReport(checking: model, pool: pool, depth: depth) { done, total in
      console.progress("reading", done: done, total: total, unit: "tokens")
    }
    console.clear()
    console.output("\(parity)\n")
    return parity.passed
  }
}
