import ArgumentParser
import Downloads
import Foundation
import Generation
import LlamaHost
import RetrievalAttention

struct ModelsCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "models",
    abstract: "List the models that are here, and those that can be fetched.",
    discussion: """
      Reads the headers of GGUF files in RA_MODELS, or in .models of the current folder and in the user's own folder. What is \
      said of attention is what was found with models of the same architecture; ra doctor MODEL tries it. A profile is what \
      ra tune found for the file: retrieval reads less with it.
      """)

  @Flag(help: "Write one JSON document.")
  var json = false

  func run() async throws {
    let console = Console()
    let list = ModelList(ModelFolders.standard)
    if json { try console.json(list) } else { console.output(list.text) }
  }
}

/// What `ra models --json` writes.
struct ModelList: Encodable {
  struct Entry: Encodable {
    /// By which `-m` finds it.
    var name: String
    var path: String
    var bytes: Int
    var title: String?
    var context: Int?
    var architecture: String?
    /// `retrieval`, `hybrid`, `llama.cpp`, `embeddings`, `unknown` or `no`.
    var attention: String
    /// Why it is not ours.
    var reason: String?
    /// The profile's file.
    var profile: String?
    /// `chat`, or `base` for one that only continues texts.
    var answers: String
  }

  struct Problem: Encodable {
    var path: String
    var reason: String
  }

  struct Available: Encodable {
    var name: String
    var description: String
    var license: String
    var context: Int
    /// Of the model, and of what has to be fetched for it.
    var bytes: Int
    var downloadBytes: Int
    var isBase: Bool
    var isHere: Bool
  }

  var folders: [String]
  var models: [Entry] = []
  /// Files that are no models.
  var problems: [Problem] = []
  var available: [Available] = []

  init(_ folders: ModelFolders) {
    self.folders = folders.places
    for path in folders.places.flatMap({ ModelFolders.models(in: $0) }) {
      do {
        models.append(Entry(try LocalModel(path: path)))
      } catch {
        problems.append(Problem(path: path, reason: "\(error)"))
      }
    }
    available = ModelCatalog.models.map { model in
      Available(
        name: model.name, description: model.description, license: model.license, context: model.context,
        bytes: model.size, downloadBytes: model.downloadSize, isBase: model.isBase,
        isHere: models.contains { $0.name == model.name })
    }
  }

  /// The same for people.
  var text: String {
    var text = ""
    if models.isEmpty {
      text += "No models in \(folders.joined(separator: " or ")).\n"
    } else {
      text += Self.table(
        ["NAME", "SIZE", "CONTEXT", "ARCHITECTURE", "ATTENTION", "PROFILE", "ANSWERS"],
        models.map { model in
          [
            model.name, formatBytes(model.bytes), model.context.map(String.init) ?? "?",
            model.architecture ?? "?",
            model.attention, model.profile == nil ? "-" : "yes", model.answers,
          ]
        }, right: [1, 2])
      for model in models {
        if let reason = model.reason { text += "\(model.name): \(reason)\n" }
      }
    }
    for problem in problems { text += "\(problem.path): \(problem.reason)\n" }
    let others = available.filter { !$0.isHere }
    guard !others.isEmpty else { return text }
    text += "\nFetched by ra pull NAME:\n"
    return text
      + Self.table(
        ["NAME", "DOWNLOAD", "CONTEXT", "LICENSE", "MODEL"],
        others.map {
          [$0.name, formatBytes($0.downloadBytes), "\($0.context)", $0.license, $0.description]
        }, right: [1, 2])
  }

  private static func table(_ heads: [String], _ rows: [[String]], right: Set<Int>) -> String {
    let widths = heads.indices.map { column in ([heads] + rows).map { $0[column].count }.max() ?? 0 }
    return ([heads] + rows).map { row in
      var columns = row.indices.map { column in
        (text: row[column], width: right.contains(column) ? widths[column] : -widths[column])
      }
      // The first one begins the line.
      columns[0].text += String(repeating: " ", count: widths[0] - row[0].count)
      columns[0].width = widths[0]
      return aligned(columns) + "\n"
    }.joined()
  }
}

extension ModelList.Entry {
  init(_ model: LocalModel) {
    let file = URL(fileURLWithPath: model.path).lastPathComponent
    let known = ModelCatalog.models.first { $0.file == file && $0.size == model.byteCount }
    name = known?.name ?? String(file.dropLast(5))
    (path, bytes, title) = (model.path, model.byteCount, model.title)
    (context, architecture) = (model.contextLength, model.architecture)
    switch model.support {
    case .takenOver(let isHybrid): attention = isHybrid ? "hybrid" : "retrieval"
    case .hostOnly(let why): (attention, reason) = ("llama.cpp", why)
    case .embeddings: attention = "embeddings"
    case .none(let why): (attention, reason) = ("no", why)
    case .unknown:
      (attention, reason) = ("unknown", "models of this architecture were not tried; ra doctor tells")
    }
    profile = model.profile?.path
    answers = known?.isBase ?? !model.hasChatTemplate ? "base" : "chat"
  }
}
