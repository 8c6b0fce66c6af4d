// Heads that tell where answers come from, found by answers whose place is known.

package import Generation
import LlamaHost
import RetrievalAttention

/// Finds a model's evidence heads: those that look at a hidden sentence when the answer that follows from it is read
/// out (QRHead, arXiv 2506.09944; retrieval heads, arXiv 2404.15574).
package struct EvidenceHeadSearch {
  /// How much is read for it.
  package struct Settings: Sendable {
    /// Texts with facts, and facts of one and of two sentences in each.
    package var texts = 3
    package var single = 10
    package var double = 4
    /// Words of filler in each text.
    package var words = 1500
    /// Heads to choose, at most.
    package var heads = 12
    package var seed: UInt64 = 1

    package init() {}
  }

  /// What was found.
  package struct Result: Sendable {
    package var heads: EvidenceHeads
    /// Share of the attention of the best head that lay on the sentences, on average.
    package var bestShare: Double
    /// Answers that were read.
    package var answers: Int
  }

  let host: GuestHost
  let filler: FillerText
  let settings: Settings

  package init(host: GuestHost, filler: FillerText, settings: Settings = Settings()) {
    self.host = host
    self.filler = filler
    self.settings = settings
  }

  /// Heads weaker than this share of the best one are noise.
  private static let leastOfBest = 0.3

  /// - Parameter onProgress: told answers read, of how many.
  /// - Throws: what runners throw.
  package func run(onProgress: (_ done: Int, _ total: Int) -> Void) throws -> Result {
    let layers = host.shape.layers.indices.filter {
      host.shape.layers[$0].map { $0.slidingWindow == nil && !$0.isBent } ?? false
    }
    let all = layers.flatMap { layer in
      (0..<(host.shape.layers[layer]?.headCount ?? 0)).map {
        EvidenceHeads.Entry(layer: layer, head: $0, weight: 1)
      }
    }
    var sums = [Double](repeating: 0, count: all.count)
    var answers = 0
    let total = settings.texts * (settings.single + settings.double)
    var random = TaskRandom(seed: settings.seed, task: "evidence heads", length: settings.words, sample: 0)
    for _ in 0..<settings.texts {
      let sample = HiddenFacts(
        .init(words: settings.words, single: settings.single, double: settings.double), filler: filler,
        random: &random)
      var conversation = try Conversation(model: host.model)
      let (tokens, _) = try conversation.read([(name: "text", text: sample.text)])
      let reader = try GuestRunner(host: host, policy: .exact, plannedTokens: tokens.count + 512)
      _ = try reader.prefill(tokens, progress: nil)
      for fact in sample.facts {
        onProgress(answers, total)
        try add(fact, to: &sums, heads: all, conversation: conversation, runner: reader.fork())
        answers += 1
      }
    }
    onProgress(answers, total)
    let order = sums.indices.sorted { (sums[$1], $0) < (sums[$0], $1) }
    let best = order.first.map { sums[$0] } ?? 0
    let chosen = order.prefix(settings.heads).filter { sums[$0] > 0 && sums[$0] >= Self.leastOfBest * best }
    return Result(
      heads: EvidenceHeads(
        chosen.map {
          .init(layer: all[$0].layer, head: all[$0].head, weight: (sums[$0] / best * 1000).rounded() / 1000)
        }),
      bestShare: best / Double(max(1, answers)), answers: answers)
  }

  /// Reads a question and its answer, and adds each head's share on the sentences, over the tokens of the value.
  private func add(
    _ fact: HiddenFact, to sums: inout [Double], heads: [EvidenceHeads.Entry], conversation: Conversation,
    runner: GuestRunner
  ) throws {
    var conversation = conversation
    let tokenizer = host.model.tokenizer
    _ = try runner.prefill(conversation.ask(fact.question), progress: nil)
    let context = ContextText(tokens: runner.tokens, tokenizer: tokenizer)
    let places = fact.sentences.compactMap { context.place(of: $0)?.tokens }
    let trace = EvidenceHeads(heads).makeTrace()
    let start = runner.tokenCount
    let answer = try tokenizer.tokenize(fact.answer, addSpecial: false, parseSpecial: false)
    runner.options.trace = trace
    for token in answer { _ = try runner.decode(token) }
    let text = ContextText(tokens: answer, tokenizer: tokenizer)
    guard let value = text.place(of: fact.value)?.tokens, !places.isEmpty else { return }
    // The step that chooses a token is that of the token before it.
    let steps = value.filter { $0 > 0 }
    for step in steps {
      for weight in trace.weights(of: start + step - 1)
      where places.contains(where: { $0.contains(weight.position) }) {
        sums[weight.head] += Double(weight.weight) / Double(steps.count)
      }
    }
  }
}
