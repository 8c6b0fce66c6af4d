// Options of the commands that work with sessions.

import ArgumentParser
import AttentionKernels
import Foundation
import Generation
import LlamaHost
import RetrievalAttention

/// A session as people name it: a path, or a name in the user's folder of sessions.
struct SessionName: Sendable {
  /// As it was given.
  let text: String

  init(_ text: String) throws {
    guard text.contains("/") || SessionStore.isValidName(text) else {
      throw ValidationError(sentence(SessionError.invalidName(text)))
    }
    self.text = text
  }

  /// Where it is; does not have to exist.
  func path() throws -> String {
    guard text.contains("/") else {
      let path = try SessionStore.standard.path(for: text)
      let made = "\(SessionStore.cache.folder)/\(text)"
      let isMade =
        !FileManager.default.fileExists(atPath: path) && FileManager.default.fileExists(atPath: made)
      return isMade ? made : path
    }
    return URL(fileURLWithPath: text).standardizedFileURL.path
  }

  static let help =
    "a name (letters, digits, '.', '-', '_') in the default folder, or a path (with a '/')"
}

struct SessionOption: ParsableArguments {
  @Option(name: [.short, .long], help: "The session: \(SessionName.help).", completion: .session)
  var session: String

  func validate() throws { _ = try SessionName(session) }

  func path() throws -> String { try SessionName(session).path() }
}

struct SessionModelOption: ParsableArguments {
  @Option(
    name: [.short, .long],
    help:
      "The model: a GGUF file, or a name that ra models shows. Of a session that exists, the one that it was made with. \(ModelDefault.help)",
    completion: .model)
  var model: String?
}

/// A model that a session may know already, and what it is run with.
struct SessionModelOptions {
  let model: String?
  let hosting: HostOptions

  init(_ option: SessionModelOption, _ hosting: HostOptions) {
    (model, self.hosting) = (option.model, hosting)
  }

  var variant: VariantOptions { hosting.variant }

  /// The file of a model for what is new, named or not.
  func path() throws -> String { try ModelDefault.path(model) }

  /// Loads the model and makes it ready for guest attention, telling the progress on standard error.
  ///
  /// - Parameter context: how long a new session is to become.
  func host(
    _ console: Console, for session: SessionDescription? = nil, store: StoreOptions? = nil,
    context: PlannedContext = .trained, chat: ChatTemplateOptions, system: SystemPromptOption? = nil
  ) throws -> GuestHost {
    let (model, pool) = try load(console, for: session, context: context, chat: chat, system: system)
    _ = try console.takesOver(model, pool, isForced: true)
    return try GuestHost(
      model: model, pool: pool, format: session?.format ?? store?.format ?? KeyValueFormat())
  }

  /// Loads the model, telling the progress on standard error.
  ///
  /// - Parameter path: where that is known already.
  func load(
    _ console: Console, for session: SessionDescription? = nil, path: String? = nil,
    context: PlannedContext = .trained, chat: ChatTemplateOptions, system: SystemPromptOption? = nil
  ) throws -> (model: LlamaModel, pool: ThreadPool) {
    let pool = try hosting.threading.makePool()
    if model == nil, let session, !FileManager.default.isReadableFile(atPath: session.modelPath) {
      throw CommandError.modelGone(path: session.modelPath, name: session.name)
    }
    var options = try hosting.devices.options(console)
    options.ropeFactors = variant.ropeFactors
    options.ropeScaling = variant.scaling.value ?? session?.ropeScaling
    options.adapters = variant.lora.isEmpty ? session?.adapters ?? [] : variant.lora
    try chat.apply(to: &options, system: system)
    let model = try console.loadModel(
      path: path ?? model.map { try ModelDefault.resolved($0) } ?? session?.modelPath ?? self.path(),
      options: options,
      for: session.map { .begun($0.ropeFactors) } ?? context)
    return (model, pool)
  }
}

struct MemoryLimitOption: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Memory for keys and values; the rest stays on the disk. Such as 800M or 4G.", valueName: "size"))
  var memoryLimit: ByteCount?
}

extension Session {
  /// Where the conversation in this session is.
  func conversation(_ model: LlamaModel) throws -> Conversation {
    tokenCount == 0 && attributes.isEmpty
      ? try Conversation(model: model) : try Conversation(continuing: attributes, model: model)
  }

  func keep(_ conversation: Conversation) {
    attributes.merge(conversation.attributes) { $1 }
    // It is no longer what its documents alone would be.
    if conversation.place == .answer { DocumentSessions.forget(self) }
  }
}

extension SessionDescription {
  /// Refuses a session whose documents were not read to their end.
  func requireComplete() throws {
    guard pendingTokenCount > 0 else { return }
    throw CommandError.interruptedIngest(name: name, done: tokenCount, pending: pendingTokenCount)
  }

  /// Refuses a session that has nothing to be asked about.
  func requireText() throws {
    guard tokenCount == 0 else { return }
    throw CommandError.nothingToAsk(name: name)
  }
}

func formatCount(_ count: Int, _ unit: String) -> String { "\(count) \(unit)\(count == 1 ? "" : "s")" }
