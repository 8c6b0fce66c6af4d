import ArgumentParser
import Foundation
import Generation
import LlamaHost
import RetrievalAttention

struct AskCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "ask",
    abstract: "Ask a session a question, without reading its documents again.",
    discussion: """
      The answer streams to standard output; everything else goes to standard error. Questions do not disturb each \
      other: the session stays as it is, unless --keep adds the question and the answer to it.

      Example: ra ask --session book "Who stole the tarts?"
      """)

  @OptionGroup var sessionOption: SessionOption

  @Argument(help: "The question. (default: standard input)")
  var question: String?

  @Option(help: ArgumentHelp("A file with the question.", valueName: "file"))
  var questionFile: String?

  @OptionGroup var modelOptions: SessionModelOptions
  @OptionGroup(title: "Conversation") var chatTemplate: ChatTemplateOptions
  @OptionGroup(title: "Sampling") var sampling: SamplingOptions

  @Option(help: ArgumentHelp("Most tokens to generate.", valueName: "tokens"))
  var maxTokens = 256

  @Flag(help: "Add the question and the answer to the session.")
  var keep = false

  @OptionGroup var memory: MemoryLimitOption
  @OptionGroup var states: StateOptions
  @OptionGroup var limit: ContextLimitOptions

  @Flag(help: "Write one JSON document with the answer and statistics instead of streaming text.")
  var json = false

  func validate() throws {
    try checkCount("--max-tokens", maxTokens)
    if question != nil, questionFile != nil {
      throw ValidationError("Give the question as an argument or with --question-file, not both.")
    }
  }

  func run() async throws {
    let command = self
    let reason = try await withInterruption { try command.ask() }
    if reason == .cancelled { throw ExitCode.interrupted }
  }

  private func ask() throws -> TextGenerator.StopReason {
    let console = Console()
    let text = try questionText()
    let settings = try sampling.settings()
    let path = try sessionOption.path()
    let description = try SessionDescription(at: path)
    try description.requireComplete()
    try description.requireText()

    let clock = ContinuousClock()
    let start = clock.now
    let host = try modelOptions.host(console, for: description, chat: chatTemplate)
    states.apply(to: host)
    let loaded = clock.now
    let session = try Session.open(
      path, host: host, access: keep ? .write : .read, memoryLimit: memory.memoryLimit?.bytes)
    let chat = Chat(
      runner: keep ? session.runner : try session.fork(),
      conversation: try session.conversation(host.model))
    let opened = clock.now

    let whole = try chat.prompt(for: text)
    let reused = zip(chat.tokens, whole).prefix { $0 == $1 }.count
    let prompt = whole.count
    try limit.check(tokens: prompt + maxTokens, model: host.model)
    let printer = AnswerPrinter(console, showsReasoning: chatTemplate.showsReasoning)
    var seed: UInt32 = 0
    let result = try chat.ask(text, maximumTokens: maxTokens) { format in
      let sampler = try Sampler(
        settings: settings, model: host.model, format: format, reasoningBudget: chatTemplate.reasoningBudget)
      seed = sampler.seed
      return sampler
    } onEvent: { event in
      if json, case .text = event { return }
      if json, case .reasoning = event { return }
      printer.show(event)
    }
    let isKept = keep && result.stopReason != .cancelled
    if isKept {
      try chat.complete()
      session.keep(chat.conversation)
      try session.save()
    }
    let report = AskReport(
      generation: GenerationReport(result, seed: seed), session: path, contextTokens: prompt,
      reusedTokens: reused, loadSeconds: (loaded - start) / .seconds(1),
      openSeconds: (opened - loaded) / .seconds(1), isKept: isKept)
    if json {
      try console.json(report)
    } else {
      printer.end(result)
      console.note(report.summary)
      if keep {
        console.note(isKept ? "kept       in \(path)" : "kept       nothing: the answer was interrupted")
      }
    }
    return result.stopReason
  }

  private func questionText() throws -> String {
    let text: String
    if let question {
      text = question
    } else if let questionFile {
      text = try TextFile.read(questionFile)
    } else {
      guard isatty(STDIN_FILENO) == 0 else { throw CommandError.noQuestion }
      text = try TextFile.readStandardInput()
    }
    guard !text.allSatisfy(\.isWhitespace) else { throw CommandError.noQuestion }
    return text
  }
}

/// What `ra ask --json` writes: the fields of `ra generate --json`, and these.
struct AskReport: Encodable {
  var generation: GenerationReport
  var session: String
  /// Tokens of the whole prompt, and how many of them were in the session.
  var contextTokens: Int
  var reusedTokens: Int
  /// For the model, and then for the session.
  var loadSeconds: Double
  var openSeconds: Double
  var isKept: Bool

  private enum CodingKeys: String, CodingKey {
    case session, contextTokens, reusedTokens, loadSeconds, openSeconds, isKept
  }

  func encode(to encoder: any Encoder) throws {
    try generation.encode(to: encoder)
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(session, forKey: .session)
    try container.encode(contextTokens, forKey: .contextTokens)
    try container.encode(reusedTokens, forKey: .reusedTokens)
    try container.encode(loadSeconds, forKey: .loadSeconds)
    try container.encode(openSeconds, forKey: .openSeconds)
    try container.encode(isKept, forKey: .isKept)
  }

  var summary: String {
    String(
      format: "session    %d of %d prompt tokens reused, opened in %.0f ms (the model in %.2f s)\n",
      reusedTokens, contextTokens, openSeconds * 1000, loadSeconds) + generation.summary
  }
}
