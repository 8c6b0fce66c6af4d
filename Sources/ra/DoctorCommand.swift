import ArgumentParser
import LlamaHost

struct DoctorCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "doctor",
    abstract: "Check whether a model's attention can be taken over, and prove it layer by layer.")

  @Argument(help: "The model: a GGUF file.")
  var model: String

  @OptionGroup var threading: ThreadOptions
  @OptionGroup(title: "Devices") var devices: DeviceOptions

  func run() async throws {
    let command = self
    let passed = try await withInterruption { try command.check() }
    if !passed { throw ExitCode.failure }
  }

  private func check() throws -> Bool {
    let console = Console()
    let pool = try threading.makePool()
    let model = try console.loadModel(path: model, options: devices.options(console))
    console.output("\(model.description)\n\n")
    let report = try TakeoverReport(probing: model, pool: pool)
    guard report.isSupported else {
      console.output("\(report)\n")
      return false
    }
    let parity = try ParityReport(checking: model, pool: pool)
    console.output("\(parity)\n")
    return parity.passed
  }
}
