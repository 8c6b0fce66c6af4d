import ArgumentParser
import AttentionKernels
import Foundation
import Generation
import InferenceServer
import LlamaHost
import Logging
import Platform
import RetrievalAttention
import Serving

struct ServeCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "serve",
    abstract: "Serve a model over HTTP, as OpenAI's API and as a page for the browser.",
    discussion: """
      Requests are decoded together, and what their prompts have in common with earlier ones is not computed again. \
      POST /v1/sessions reads a document once for many questions. GET /openapi.json describes everything.

      Listens on this machine alone. Other hosts need --api-key-file, or --allow-unauthenticated.

      Example: ra serve --model model.gguf --port 8080
      """)

  @OptionGroup(title: mainTitle) var model: ModelOption
  @OptionGroup(title: mainTitle) var main: ServeOptions
  @OptionGroup(title: "Network") var network: NetworkOptions
  @OptionGroup(title: "Sessions") var sessions: ServedSessionOptions
  @OptionGroup(title: "Limits") var limits: ServingLimitOptions
  @OptionGroup(title: "Limits") var states: StateOptions
  @OptionGroup(title: "Names") var names: ModelNameOptions
  @OptionGroup(title: "Conversations") var system: SystemPromptOption
  @OptionGroup(title: "Conversations") var chatTemplate: ChatTemplateOptions
  @OptionGroup(title: "Embeddings") var embeddings: EmbeddingOptions
  @OptionGroup(title: "Retrieval") var retrieval: RetrievalOptions
  @OptionGroup(title: "Retrieval") var store: StoreOptions
  @OptionGroup var host: HostOptions

  private var modelOptions: ModelOptions { ModelOptions(model, host) }
  private var attention: AttentionChoice? { main.attention }

  func validate() throws {
    try retrieval.check([attention ?? .retrieval])
    if attention == .host {
      try store.checkHost()
      guard sessions.areEmpty else {
        throw ValidationError("--attention is host, but llama.cpp's own attention keeps no sessions.")
      }
    }
    guard Logger.Level(rawValue: main.logLevel) != nil else {
      throw ValidationError(
        "--log-level is '\(main.logLevel)', but must be one of \(Logger.Level.allCases.map(\.rawValue)).")
    }
  }

  func run() async throws {
    let level = Logger.Level(rawValue: main.logLevel) ?? .notice
    LoggingSystem.bootstrap { label in
      var handler = StreamLogHandler.standardError(label: label)
      handler.logLevel = level
      return handler
    }
    let console = Console()
    var server = ServerSettings()
    server.keys = try network.keys()
    server.maximumBodyBytes = limits.maxRequest << 20
    server.drainSeconds = limits.drain
    server.maximumChoices = limits.maxChoices
    server.isModelStrict = names.strictModel
    server.allowedOrigins = Set(network.allowOrigin)
    if NetworkOptions.isLoopback(network.host), server.keys.isEmpty {
      server.allowedHosts = ServerSettings.loopbackHosts.union([network.host.lowercased()])
    }
    var scheduling = SchedulerSettings()
    scheduling.modelName = names.name
    scheduling.modelAliases = names.alias
    scheduling.threads = try modelOptions.threading.count()
    let path = try modelOptions.path()
    if let policy = try retrieval.policy(attention, of: path, modelOptions.variant, store, console) {
      scheduling.attention = policy
    }
    scheduling.format = store.format
    if let bytes = states.stateMemory?.bytes { scheduling.stateBudget = bytes }
    scheduling.draftsFromText = main.draft != .off
    limits.apply(to: &scheduling)
    try sessions.apply(to: &scheduling)
    // All that can be wrong without the model is told before that is loaded.
    try scheduling.check()
    let reservation = try network.reserve()
    let model = try modelOptions.loadModel(
      console, for: scheduling.contextLength.map { .tokens($0) } ?? .trained, chat: chatTemplate,
      system: system)
    console.warn(of: scheduling.contextLength ?? model.contextLimit, for: model)
    let makesEmbeddings = embeddings.pooling != nil || model.file.pooling != nil
    do {
      if !makesEmbeddings { try model.checkChatTemplate() }
    } catch  where chatTemplate.chatTemplate == nil && model.chatTemplateOptions == ChatTemplate.Options() {
      // Nobody asked for this one, and texts can be completed without it.
      console.note("chat completions are refused: \(sentence(error))")
    }
    let service =
      makesEmbeddings
      ? try await startEmbeddings(model, scheduling, console) : try await start(model, scheduling, console)
    let host = network.displayedHost
    let texts = makesEmbeddings ? "texts" : "contexts"
    console.note("\(service.model.id): \(texts) of up to \(service.model.contextLength) tokens")
    do {
      try await InferenceServer(service: service, settings: server, logger: Logger(label: "ra"))
        .run(address: .hostname(network.host, port: network.port), reservation: reservation) { port in
          StandardStream.error.write("listening on http://\(host):\(port ?? 0)\n")
        }
    } catch let error as ServerStartProblem {
      throw network.cannotListen(error)
    }
  }

  /// The engine with our attention, or with llama.cpp's own where that was asked for or is the only one.
  private func start(
    _ model: LlamaModel, _ settings: SchedulerSettings, _ console: Console
  ) async throws -> any InferenceService {
    let isForced =
      attention != nil || retrieval.firstGiven != nil || store.format != KeyValueFormat()
      || !sessions.areEmpty
    let isOurs =
      try attention != .host
      && console.takesOver(model, modelOptions.threading.makePool(), isForced: isForced)
    guard isOurs else {
      console.note("requests are answered one after another")
      return try await HostScheduler.start(model: model, settings: settings)
    }
    let scheduler = try await Scheduler.start(model: model, settings: settings)
    for note in scheduler.notes { console.note(note) }
    return scheduler
  }
}

extension ServeCommand {
  /// The engine for models that turn texts into vectors or scores.
  private func startEmbeddings(
    _ model: LlamaModel, _ settings: SchedulerSettings, _ console: Console
  ) async throws -> any InferenceService {
    guard sessions.areEmpty else {
      throw ValidationError("This model makes embeddings, for which there are no sessions.")
    }
    let scheduler = try await EmbeddingScheduler.start(
      model: model, pooling: embeddings.pooling, settings: settings)
    let isRanking = scheduler.model.details?.abilities.contains(.reranking) == true
    console.note(isRanking ? "this model ranks documents: POST /v1/rerank" : "this model makes embeddings")
    return scheduler
  }
}

struct ServeOptions: ParsableArguments {
  @Option(help: AttentionChoice.help, completion: .attention, transform: AttentionChoice.init(parsing:))
  var attention: AttentionChoice?

  @Option(
    help: """
      Foresee tokens from what followed in the text where it was alike, and check several in one step. (values: off, \
      text; default: text)
      """)
  var draft: ServedDrafts?

  @Option(
    help: "What goes to the log on standard error: trace, debug, info, notice, warning, error, critical.",
    completion: .list(Logger.Level.allCases.map(\.rawValue)))
  var logLevel = "notice"
}

struct EmbeddingOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Turn texts into vectors instead of continuing them: by the mean, the first (cls) or the last of their tokens, or "
        + "as a reranker's scores (rank). (default: what the model was trained for)", valueName: "kind"),
    completion: .list(Pooling.allCases.map(\.rawValue)), transform: kind)
  var pooling: Pooling?

  private static func kind(_ name: String) throws -> Pooling {
    guard let pooling = Pooling(rawValue: name) else {
      throw ValidationError(
        "--pooling is '\(name)', but must be one of \(Pooling.allCases.map(\.rawValue)).")
    }
    return pooling
  }
}

private struct CannotListen: Error, CustomStringConvertible {
  var description: String
}

struct NetworkOptions: ParsableArguments {
  @Option(help: ArgumentHelp("Address to listen on.", valueName: "address"))
  var host = "127.0.0.1"

  @Option(help: ArgumentHelp("Port to listen on; 0 takes a free one.", valueName: "number"))
  var port = 8080

  @Option(
    help: ArgumentHelp("A file with the keys that clients may use, one a line.", valueName: "file"),
    completion: .file())
  var apiKeyFile: String?

  @Flag(help: "Listen beyond this machine without keys: whoever reaches it may use it.")
  var allowUnauthenticated = false

  @Option(
    help: ArgumentHelp(
      "Let pages of this origin use the server from a browser, such as https://app.example. May be repeated; * is "
        + "every origin, for servers with keys.", valueName: "origin"))
  var allowOrigin: [String] = []

  func validate() throws {
    for origin in allowOrigin { try Self.check(origin: origin, hasKeys: apiKeyFile != nil) }
    guard (0...65_535).contains(port) else {
      throw ValidationError("--port is \(port), but must be in 0...65535.")
    }
    guard Self.isLoopback(host) || apiKeyFile != nil || allowUnauthenticated else {
      throw ValidationError(
        "--host \(host) can be reached from other machines: give --api-key-file, or --allow-unauthenticated.")
    }
  }

  private static func check(origin: String, hasKeys: Bool) throws {
    guard origin != "*" else {
      guard hasKeys else {
        throw ValidationError(
          "--allow-origin * lets every page that somebody visits use the server: give --api-key-file as well."
        )
      }
      return
    }
    let parts = origin.components(separatedBy: "://")
    guard parts.count == 2, parts.allSatisfy({ !$0.isEmpty }), !parts[1].contains("/"), !origin.contains(" ")
    else {
      throw ValidationError(
        "--allow-origin is '\(origin)', but must be a scheme and a host, such as https://app.example.")
    }
  }

  static func isLoopback(_ host: String) -> Bool {
    let host = host.lowercased()
    return ["localhost", "::1"].contains(host)
      || host.hasPrefix("127.") && host.allSatisfy { $0.isNumber || $0 == "." }
  }

  /// The host as it stands in addresses.
  var displayedHost: String { host.contains(":") ? "[\(host)]" : host }

  /// Takes the address, until the server listens there.
  func reserve() throws -> AddressReservation {
    do {
      return try AddressReservation(host: host, port: port)
    } catch let error as ServerStartProblem {
      throw cannotListen(error)
    }
  }

  func cannotListen(_ problem: ServerStartProblem) -> any Error {
    CannotListen(description: "cannot listen on \(displayedHost):\(port): \(problem.reason)")
  }

  func keys() throws -> APIKeys {
    guard let apiKeyFile else { return APIKeys() }
    do {
      return try APIKeys(parsing: try TextFile.read(apiKeyFile))
    } catch let problem as APIKeyProblem {
      throw ValidationError("--api-key-file \(apiKeyFile): \(problem).")
    }
  }
}

struct ModelNameOptions: ParsableArguments {
  @Option(help: ArgumentHelp("The model's name for clients. (default: the file's name)", valueName: "name"))
  var name: String?

  @Option(
    help: ArgumentHelp("Another name that the model has for clients. May be repeated.", valueName: "name"))
  var alias: [String] = []

  @Flag(help: "Refuse requests that call the model by another name; otherwise it answers to any.")
  var strictModel = false

  func validate() throws {
    for (option, value) in [("--name", name)] + alias.map({ ("--alias", $0) }) {
      if let value, value.isEmpty || value.utf8.count > 200 {
        throw ValidationError("\(option) must have 1 to 200 bytes.")
      }
    }
  }
}

struct ServedSessionOptions: ParsableArguments {
  @Option(
    name: .customLong("session"),
    help: ArgumentHelp(
      "A session on disk that clients may ask by its name: \(SessionName.help). May be repeated.",
      valueName: "session"), completion: .session)
  var sessions: [String] = []

  @Option(
    help: ArgumentHelp(
      "Keep uploaded documents in this folder, for the next start, too. (default: in memory)",
      valueName: "folder"), completion: .directory)
  var sessionStore: String?

  func validate() throws {
    for session in sessions { _ = try SessionName(session) }
    guard sessionStore != "" else { throw ValidationError("--session-store is empty.") }
  }

  var areEmpty: Bool { sessions.isEmpty && sessionStore == nil }

  func apply(to settings: inout SchedulerSettings) throws {
    settings.sessions = try sessions.map { try SessionName($0).path() }
    settings.sessionFolder = sessionStore
  }
}

/// Where drafts of the server's answers come from.
enum ServedDrafts: String, CaseIterable, ExpressibleByArgument {
  case off, text
}

struct ServingLimitOptions: ParsableArguments {
  @Option(help: ArgumentHelp("Sequences that are decoded together.", valueName: "count"))
  var parallel = 4

  @Option(help: ArgumentHelp("Requests that may wait; more get status 429.", valueName: "count"))
  var queue = 64

  @Option(
    help: ArgumentHelp(
      "Most tokens of prompt and answer together. (default: what the model was trained for, or is scaled to)",
      valueName: "tokens"))
  var context: Int?

  @Option(
    help: ArgumentHelp(
      "Memory for keys, values and indexes, in MiB. (default: half of what is free)", valueName: "MiB"))
  var memory: Int?

  @Option(
    help: ArgumentHelp(
      "How long a piece of a prompt may keep other answers waiting.", valueName: "milliseconds"))
  var stall = 250

  @Option(help: ArgumentHelp("Most answers (n) to one prompt.", valueName: "count"))
  var maxChoices = 32

  @Option(help: ArgumentHelp("Largest request, in MiB; larger ones get status 413.", valueName: "MiB"))
  var maxRequest = 32

  @Option(
    help: ArgumentHelp("How long running requests may take when the server stops.", valueName: "seconds"))
  var drain = 10

  func validate() throws {
    for (name, value, largest) in [
      ("--parallel", parallel, 256), ("--queue", queue, 100_000),
      ("--context", context ?? 1, Int(Int32.max) / 2),
      ("--memory", memory ?? 1, 1 << 30), ("--stall", stall, 600_000), ("--max-request", maxRequest, 1 << 20),
      ("--drain", drain, 86_400), ("--max-choices", maxChoices, 1024),
    ] where !(1...largest).contains(value) {
      throw ValidationError("\(name) is \(value), but must be in 1...\(largest).")
    }
  }

  func apply(to settings: inout SchedulerSettings) {
    settings.parallel = parallel
    settings.queueLength = queue
    settings.contextLength = context
    settings.memoryBudget = memory.map { $0 << 20 }
    settings.stallMilliseconds = stall
  }
}
