// Options for tokens that are read several at a time.

import ArgumentParser
import Generation
import LlamaHost
import RetrievalAttention

/// Whether and how the next tokens are foreseen.
struct DraftOptions: ParsableArguments {
  /// Where drafts come from.
  enum Source: String, CaseIterable, ExpressibleByArgument {
    case off, text, model
  }

  @Option(
    help: ArgumentHelp(
      """
      Foresee tokens and check several in one step: from what followed in the text where it was alike, or with a \
      smaller model. (values: off, text, model; default: text, or model with --draft-model)
      """, valueName: "source"))
  var draft: Source?

  @Option(
    help: ArgumentHelp(
      "A smaller GGUF model of the same vocabulary, by file or name, to foresee tokens with.",
      valueName: "file"), completion: .model)
  var draftModel: String?

  @Flag(
    help: """
      Answer as exact attention does: the prompt is read exactly, tokens are foreseen by the text, and by retrieval where \
      that saves time, and exact attention checks several of them in one pass over all keys.
      """)
  var exact = false

  func validate() throws {
    if draft == .model, draftModel == nil {
      throw ValidationError("--draft model needs --draft-model.")
    }
    if let draft, draft != .model, draftModel != nil {
      throw ValidationError("--draft-model is of no use with --draft \(draft.rawValue).")
    }
  }

  /// Throws for `--exact` beside an attention without an index, and beside another tolerance for prompts.
  func check(attention: AttentionChoice?, retrieval: RetrievalOptions) throws {
    guard exact else { return }
    if let attention, attention != .retrieval {
      throw ValidationError(
        "--exact is for --attention retrieval, whose index foresees what exact attention says.")
    }
    if let tolerance = retrieval.prefillTolerance, tolerance > 0 {
      throw ValidationError(
        "--exact reads prompts exactly: --prefill-tolerance \(tolerance) is of no use with it.")
    }
  }

  /// How documents are read for it.
  func reading(_ retrieval: RetrievalOptions) -> RetrievalOptions {
    var retrieval = retrieval
    if exact { retrieval.prefillTolerance = 0 }
    return retrieval
  }

  /// Says where `--exact` begins, if `tokens` of the context were read otherwise.
  func tell(_ console: Console, of policy: AttentionPolicy, _ tokens: Int) {
    guard exact, tokens > 0, let settings = policy.retrieval, settings.prefillTolerance > 0,
      tokens > settings.prefillStart
    else { return }
    console.note(
      "--exact holds from the question on: the session's \(tokens) tokens were read through the index; "
        + "'ra ingest --prefill-tolerance 0' reads them exactly")
  }

  /// - Parameter plannedTokens: of the context, for which the smaller model gets room too.
  func drafting(
    _ console: Console, for model: LlamaModel, pool: ThreadPool?, plannedTokens: Int
  ) throws -> Drafting {
    guard let draftModel, let pool else { return Drafting(draft == .off ? .none : .text, isExact: exact) }
    let small = try LlamaModel(path: ModelDefault.resolved(draftModel))
    let runner = try GuestRunner(
      model: small, pool: pool, policy: .retrieval(RetrievalSettings()), plannedTokens: plannedTokens)
    return Drafting(.model(try DraftModel(runner, for: model)), isExact: exact)
  }
}
