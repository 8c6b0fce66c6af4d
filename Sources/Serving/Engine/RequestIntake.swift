// What is done to a request before an engine's thread sees it, by whichever task brought it.

import Foundation
import LlamaHost
import Platform
import Synchronization

/// Turns requests into what the engine's thread works on: tokens, checked limits, a place in the queue.
struct RequestIntake: Sendable {
  let model: LlamaModel
  let settings: SchedulerSettings
  let limits: EngineLimits
  let mailbox: Mailbox
  let prompts: PromptBuilder
  let workers = WorkerThreads.shared

  init(model: LlamaModel, settings: SchedulerSettings, limits: EngineLimits, mailbox: Mailbox) {
    self.model = model
    self.settings = settings
    self.limits = limits
    self.mailbox = mailbox
    prompts = PromptBuilder(model: model, contextLength: limits.contextLength)
  }

  /// Queues a request; its events come as they happen.
  ///
  /// - Parameter document: what stands before its conversation.
  /// - Throws: ``ServingError``.
  func submit(
    _ request: CompletionRequest, document: SessionDocumentText? = nil
  ) async throws -> AsyncThrowingStream<CompletionEvent, any Error> {
    let (prompt, request) = try await workers.run(size: request.prompt.byteCount) {
      [prompts, model] cancellation in
      let prompt = try prompts.prepare(request.prompt, document: document)
      try cancellation.check()
      var request = request
      request.sampling = try prompts.sampling(of: request)
      if request.sampling.grammar != nil || prompt.format?.hasGrammar == true {
        // So that a grammar that cannot be followed is the client's error, and at once.
        do {
          try Sampler(request, format: prompt.format, model: model).checkGrammar()
        } catch {
          throw ServingError.invalidParameter("grammar", message: "\(error)")
        }
      }
      return (prompt, request)
    }
    let asked = request.maximumTokens ?? settings.defaultMaximumTokens
    let least = min(asked, 1)
    guard prompt.tokens.count + least <= limits.contextLength else {
      throw ServingError.contextTooLong(
        tokens: prompt.tokens.count, requested: least, limit: limits.contextLength)
    }
    try limits.check(tokens: prompt.tokens.count + least)
    let wanted = min(asked, limits.tokens - prompt.tokens.count)
    let (stream, continuation) = AsyncThrowingStream<CompletionEvent, any Error>.makeStream()
    let group = RequestGroup(
      sink: .completion(continuation), request: request, prompt: prompt.tokens, format: prompt.format,
      maximumTokens: wanted,
      isShortened: wanted < asked && request.maximumTokens != nil && asked != .max)
    watch(group) { continuation.onTermination = $0 }
    try mailbox.submit(group, limit: settings.queueLength, parallel: settings.parallel)
    return stream
  }

  /// Notes when nobody wants the answer any more.
  func watch<Reason>(_ group: RequestGroup, _ install: (@escaping @Sendable (Reason) -> Void) -> Void) {
    install { [mailbox] _ in
      group.isCancelled.store(true, ordering: .releasing)
      mailbox.wake()
    }
  }
}

extension CompletionRequest.Prompt {
  /// Bytes to go through until its tokens are known.
  var byteCount: Int {
    switch self {
    case .text(let text, _): text.utf8.count
    case .tokens(let tokens): tokens.count * MemoryLayout<Int32>.size
    case .mixed(let parts, _):
      parts.reduce(0) { count, part in
        if case .text(let text) = part { count + text.utf8.count } else { count + MemoryLayout<Int32>.size }
      }
    case .infill(let prefix, let suffix): prefix.utf8.count + suffix.utf8.count
    case .chat(let request):
      request.messages.reduce(0) { $0 + $1.content.utf8.count }
        + request.tools.reduce(0) { $0 + ($1.parameters?.utf8.count ?? 0) }
    }
  }
}

extension Sampler {
  /// Of one choice of a request.
  convenience init(
    _ request: CompletionRequest, choice: Int = 0, format: ChatFormat?, model: LlamaModel
  ) throws {
    var budget = model.chatTemplate?.options.reasoningBudget
    if case .chat(let chat) = request.prompt, let own = chat.reasoningBudget { budget = own }
    // What a format allows is the constraint already, with what may stand around it.
    let settings = format?.hasGrammar == true ? request.sampling.withoutGrammar : request.sampling
    try self.init(
      settings: settings.forChoice(choice), model: model, format: format, reasoningBudget: budget)
  }
}

/// What an engine can take, known once it runs.
struct EngineLimits: Sendable {
  var contextLength: Int
  var memoryBudget: Int
  /// Bytes of keys, values, index and samples that one more token takes.
  var bytesPerToken: Int

  func bytes(tokens: Int) -> Int { tokens * bytesPerToken }

  /// Tokens that a context can have, by its length and by the memory.
  var tokens: Int { bytesPerToken > 0 ? min(contextLength, memoryBudget / bytesPerToken) : contextLength }

  /// Refuses what would not fit if it were alone.
  func check(tokens: Int) throws {
    guard bytes(tokens: tokens) <= memoryBudget else {
      throw ServingError.outOfMemory(required: bytes(tokens: tokens), budget: memoryBudget)
    }
  }
}

extension Thread {
  /// Starts a thread for an engine: the host's grammar parser and graph builder recurse.
  static func startEngine(_ body: @escaping @Sendable () -> Void) {
    let thread = Thread(block: body)
    thread.name = "inference"
    thread.stackSize = 16 << 20
    thread.start()
  }
}
