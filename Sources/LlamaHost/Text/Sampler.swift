// Logits to tokens.

import CLlama

/// Chooses tokens; keeps what penalties, grammar and random numbers need to remember.
///
///     let sampler = try Sampler(settings: .greedy, model: model)
///     let token = try sampler.sample(logits: logits.last)
///     try sampler.accept(token)
///
/// Cost: one pass over the vocabulary, and with a grammar the part of the vocabulary that it allows, bounded by
/// ``GrammarLimits``. Not for use by two threads at once.
public final class Sampler {
  /// What it was made with.
  public let settings: SamplerSettings
  /// The seed in use, also when the settings left it open.
  public let seed: UInt32
  private let tokenizer: Tokenizer
  private let chain: OwnedSampler
  /// Apart from the chain, so that a candidate can be checked by itself.
  private let grammar: GrammarMatcher?
  /// Of an answer that has a format.
  private var guide: AnswerGuide?
  /// The form of the answer; nil for a text and nothing else.
  public let format: ChatFormat?
  private var isGrammarLost = false
  private var candidates: [llama_token_data]

  /// - Parameters:
  ///   - format: the form of the answer, whose grammar holds where the settings have none.
  ///   - reasoningBudget: most tokens of reasoning in such an answer, which then ends; nil for no bound.
  /// - Throws: ``SamplerError/grammar(_:)`` for a grammar, and ``SamplerError/tokenOutOfRange(token:vocabularySize:)``
  ///   for a bias, that names tokens which the model does not have.
  public init(
    settings: SamplerSettings, model: LlamaModel, format: ChatFormat? = nil, reasoningBudget: Int? = nil
  ) throws {
    self.settings = settings
    tokenizer = model.tokenizer
    // The all-ones seed is the host's sign for "random".
    seed = settings.seed ?? UInt32.random(in: 0..<UInt32.max)
    for token in settings.logitBias.keys where token < 0 || Int(token) >= tokenizer.vocabularySize {
      throw SamplerError.tokenOutOfRange(token: token, vocabularySize: tokenizer.vocabularySize)
    }
    chain = try Self.makeChain(settings, seed: seed, vocabularySize: model.tokenizer.vocabularySize)
    do {
      self.format = format
      let guide = format.map { AnswerGuide($0, budget: reasoningBudget, tokenizer: model.tokenizer) }
      self.guide = guide
      if let given = settings.parsedGrammar {
        grammar = try GrammarMatcher(given, model.tokenizer)
      } else {
        grammar = try format?.grammar.map {
          try GrammarMatcher($0, model.tokenizer, shown: guide?.preserved ?? [:])
        }
      }
    } catch let error as GrammarError {
      throw SamplerError.grammar(error)
    }
    candidates = Array(repeating: llama_token_data(), count: model.tokenizer.vocabularySize)
    beginFormat()
  }

  /// A grammar that holds from the first token on begins with what the prompt ends with.
  private func beginFormat() {
    guard let format, !format.isLazy, settings.parsedGrammar == nil else { return }
    _ = try? grammar?.begin(with: Array(format.description.generationPrompt.utf8))
  }

  /// Chooses a token; ``accept(_:)`` it before the next one.
  ///
  /// - Parameter logits: One for every token of the vocabulary.
  /// - Throws: ``SamplerError``, of which ``SamplerError/grammar(_:)`` and ``SamplerError/grammarExhausted`` are the
  ///   grammar's fault. The sampler is as it was then.
  public func sample(logits: LogitRow) throws -> Int32 { try choose(from: logits) }

  /// The same for a copy of logits.
  public func sample(logits: [Float]) throws -> Int32 { try choose(from: logits) }

  private func choose(from logits: some RandomAccessCollection<Float>) throws -> Int32 {
    guard logits.count == candidates.count else {
      throw SamplerError.logitCountMismatch(count: logits.count, vocabularySize: candidates.count)
    }
    if let forced = guide?.forcedToken { return forced }
    try Self.fill(&candidates, logits, settings.logitBias)
    let grammar = self.activeGrammar
    if let grammar, settings.temperature == 0 {
      // If the best token of all is allowed, it is the best allowed one, and the rest need not be checked.
      let best = choose()
      if try Self.check({ () throws(GrammarError) in try grammar.allows(best) }) { return best }
      try Self.fill(&candidates, logits, settings.logitBias)
    }
    if let grammar {
      let mask = try Self.check { () throws(GrammarError) in try grammar.mask() }
      guard Self.restrict(&candidates, to: mask) else { throw SamplerError.grammarExhausted }
    }
    return choose()
  }

  /// Looks for the tokens that the grammar allows first, so that a grammar that cannot be followed is found out before
  /// anything is computed for it.
  ///
  /// - Throws: ``SamplerError/grammar(_:)``, ``SamplerError/grammarExhausted``.
  public func checkGrammar() throws {
    guard let grammar = activeGrammar else { return }
    let mask = try Self.check { () throws(GrammarError) in try grammar.mask() }
    guard !mask.isEmpty else { throw SamplerError.grammarExhausted }
  }

  /// Whether the grammar allows each token of the vocabulary; all of them are without a grammar.
  package func allowedTokens() throws -> [Bool] {
    guard let grammar = activeGrammar else { return Array(repeating: true, count: candidates.count) }
    let mask = try Self.check { () throws(GrammarError) in try grammar.mask() }
    return candidates.indices.map { mask[Int32($0)] }
  }

  private static func check<Result>(_ body: () throws(GrammarError) -> Result) throws(SamplerError) -> Result
  {
    do { return try body() } catch { throw .grammar(error) }
  }

  /// Takes note of a token that became part of the output.
  ///
  /// - Throws: ``SamplerError/tokenForbidden(token:text:)`` when the grammar does not allow it; nothing
  ///   changed then.
  public func accept(_ token: Int32) throws {
    try checkRange(token)
    if guide?.forcedToken == token {
      // The end of thoughts, which the grammar has as well, unless they ended inside of something.
      _ = try? activeGrammar?.accept(token)
    } else if let grammar = activeGrammar {
      guard try Self.check({ () throws(GrammarError) in try grammar.accept(token) }) else {
        throw SamplerError.tokenForbidden(
          token: token, text: tokenizer.detokenize([token], renderSpecial: true))
      }
    }
    unsafe llama_sampler_accept(chain.pointer, token)
    if let beginning = guide?.take(token), let grammar, settings.parsedGrammar == nil {
      // A text that it cannot follow is no call: the model goes on as it likes.
      isGrammarLost = !((try? grammar.begin(with: beginning)) ?? false)
    }
  }

  /// The grammar where it holds: that of a format may wait for its trigger.
  private var activeGrammar: GrammarMatcher? {
    guard let guide, settings.parsedGrammar == nil else { return grammar }
    return guide.isTriggered && !isGrammarLost ? grammar : nil
  }

  /// Takes note of tokens of the prompt, which count for the penalties but not for the grammar.
  public func acceptPrompt(_ tokens: some Sequence<Int32>) {
    for token in tokens where token >= 0 && Int(token) < candidates.count {
      unsafe llama_sampler_accept(chain.pointer, token)
    }
  }

  /// Tokens that it chooses from.
  public var vocabularySize: Int { candidates.count }

  /// A sampler that foresees what this one will choose, from logits that are nearly the same: it draws the same random
  /// numbers. This one is as it was.
  package func shadow() -> SamplerShadow {
    SamplerShadow(chain: OwnedSampler.clone(chain), tokenizer: tokenizer, logitBias: settings.logitBias)
  }

  /// Back to the start: same seed, empty history, grammar from its root.
  public func reset() {
    unsafe llama_sampler_reset(chain.pointer)
    grammar?.reset()
    guide = guide?.restarted
    isGrammarLost = false
    beginFormat()
  }

  private func checkRange(_ token: Int32) throws {
    guard token >= 0, Int(token) < candidates.count else {
      throw SamplerError.tokenOutOfRange(token: token, vocabularySize: candidates.count)
    }
  }

  fileprivate static func fill(
    _ candidates: inout [llama_token_data], _ logits: some RandomAccessCollection<Float>,
    _ biases: [Int32: Float]
  ) throws {
    var hasCandidate = false
    var places = candidates.mutableSpan
    for (index, logit) in logits.enumerated() {
      // NaN would survive every comparison of the samplers.
      let value = logit.isNaN ? -.infinity : logit
      if value > -.infinity { hasCandidate = true }
      places[index] = llama_token_data(id: Int32(index), logit: value, p: 0)
    }
    for (token, bias) in biases { places[Int(token)].logit += bias }
    if biases.values.contains(-.infinity) { hasCandidate = candidates.contains { $0.logit > -.infinity } }
    guard hasCandidate else { throw SamplerError.noCandidates }
  }

  /// Leaves the candidates that a mask allows; whether there are any.
  private static func restrict(_ candidates: inout [llama_token_data], to mask: TokenMask) -> Bool {
    var hasCandidate = false
    var places = candidates.mutableSpan
    for index in places.indices {
      if !mask[Int32(index)] {
        places[index].logit = -.infinity
      } else if places[index].logit > -.infinity {
        hasCandidate = true
      }
    }
    return hasCandidate
  }

  private func choose() -> Int32 { Self.choose(from: &candidates, chain) }

  fileprivate static func choose(from candidates: inout [llama_token_data], _ chain: OwnedSampler) -> Int32 {
    unsafe candidates.withUnsafeMutableBufferPointer { candidates in
      var array = unsafe llama_token_data_array(
        data: candidates.baseAddress, size: candidates.count, selected: -1, sorted: false)
      unsafe llama_sampler_apply(chain.pointer, &array)
      unsafe precondition(
        array.selected >= 0 && array.selected < array.size, "the sampler chain chose nothing")
      return unsafe array.data[Int(array.selected)].id
    }
  }

  private static func makeChain(
    _ settings: SamplerSettings, seed: UInt32, vocabularySize: Int
  ) throws -> OwnedSampler {
    var parameters = llama_sampler_chain_default_params()
    parameters.no_perf = true
    guard let pointer = unsafe llama_sampler_chain_init(parameters) else { throw SamplerError.noCandidates }
    let chain = unsafe OwnedSampler(pointer)
    // The chain owns what is added.
    func add(_ sampler: UnsafeMutablePointer<llama_sampler>?) {
      if let sampler = unsafe sampler { unsafe llama_sampler_chain_add(pointer, sampler) }
    }
    if settings.hasPenalties {
      unsafe add(
        llama_sampler_init_penalties(
          Int32(vocabularySize), Int32(settings.penaltyWindow), settings.repetitionPenalty,
          settings.frequencyPenalty, settings.presencePenalty))
    }
    guard settings.temperature > 0 else {
      unsafe add(llama_sampler_init_greedy())
      return chain
    }
    if settings.topK > 0 { unsafe add(llama_sampler_init_top_k(Int32(settings.topK))) }
    if settings.topP < 1 { unsafe add(llama_sampler_init_top_p(settings.topP, 1)) }
    if settings.minP > 0 { unsafe add(llama_sampler_init_min_p(settings.minP, 1)) }
    unsafe add(llama_sampler_init_temp(settings.temperature))
    unsafe add(llama_sampler_init_dist(seed))
    return chain
  }
}

/// Chooses tokens that a ``Sampler`` is to confirm. Grammars and forms of answers are unknown to it.
package final class SamplerShadow {
  private let chain: OwnedSampler
  private let tokenizer: Tokenizer
  private let logitBias: [Int32: Float]
  private var candidates: [llama_token_data]

  fileprivate init(chain: OwnedSampler, tokenizer: Tokenizer, logitBias: [Int32: Float]) {
    self.chain = chain
    self.tokenizer = tokenizer
    self.logitBias = logitBias
    candidates = Array(repeating: llama_token_data(), count: tokenizer.vocabularySize)
  }

  /// The next token, of which it takes note; nil at the end of the text, and for logits of another vocabulary.
  package func next(after logits: LogitRow) throws -> Int32? {
    // A vocabulary that was filled up to another size has the same tokens in front.
    let count = min(logits.count, tokenizer.vocabularySize)
    candidates = Array(repeating: llama_token_data(), count: count)
    let biases = logitBias.filter { Int($0.key) < count }
    try Sampler.fill(&candidates, logits.prefix(count), biases)
    let token = Sampler.choose(from: &candidates, chain)
    guard !tokenizer.isEndOfGeneration(token) else { return nil }
    unsafe llama_sampler_accept(chain.pointer, token)
    return token
  }
}

/// Owns a C sampler, which goes with it.
@safe fileprivate final class OwnedSampler {
  let pointer: UnsafeMutablePointer<llama_sampler>

  init(_ pointer: UnsafeMutablePointer<llama_sampler>) { unsafe self.pointer = unsafe pointer }

  static func clone(_ other: OwnedSampler) -> OwnedSampler {
    guard let copy = unsafe llama_sampler_clone(other.pointer) else {
      preconditionFailure("a sampler that cannot be copied")
    }
    return unsafe OwnedSampler(copy)
  }

  deinit { unsafe llama_sampler_free(pointer) }
}
