// How the next token is chosen.

public import Foundation

/// Settings of a ``Sampler``. One that exists is valid.
///
/// The order is the one llama.cpp uses: grammar, penalties, top-k, top-p, min-p, temperature, choice.
public struct SamplerSettings: Sendable, Hashable {
  /// 0 takes the most probable token always.
  public let temperature: Float
  /// Keep this many tokens; 0 keeps all.
  public let topK: Int
  /// Keep the most probable tokens until their probabilities sum to this; 1 keeps all.
  public let topP: Float
  /// Drop tokens less probable than this share of the best one's probability; 0 keeps all.
  public let minP: Float
  /// Divides the positive logits of recent tokens and multiplies the negative ones; 1 does nothing.
  public let repetitionPenalty: Float
  /// How many of the last tokens the penalties look at.
  public let penaltyWindow: Int
  /// Taken from a recent token's logit for each occurrence; 0 does nothing.
  public let frequencyPenalty: Float
  /// Taken from a recent token's logit once; 0 does nothing.
  public let presencePenalty: Float
  /// The same seed gives the same choices; nil picks one at random.
  public let seed: UInt32?
  /// A GBNF grammar with a rule `root` that the output must follow; see ``GrammarLimits`` for what it may cost.
  public var grammar: String? { parsedGrammar?.text }
  private(set) var parsedGrammar: Grammar?
  /// What is added to the logits of some tokens before anything else; minus infinity forbids one.
  public private(set) var logitBias: [Int32: Float] = [:]

  /// Always the most probable token.
  public static let greedy = SamplerSettings()

  private init() {
    temperature = 0
    topK = 0
    topP = 1
    minP = 0
    repetitionPenalty = 1
    penaltyWindow = 0
    frequencyPenalty = 0
    presencePenalty = 0
    seed = nil
    parsedGrammar = nil
  }

  /// The defaults are llama.cpp's own.
  ///
  /// - Throws: ``SamplerError`` for the first value that is out of range, ``SamplerError/grammar(_:)`` for a grammar
  ///   that is not valid or beyond ``GrammarLimits``.
  public init(
    temperature: Float = 0.8, topK: Int = 40, topP: Float = 0.95, minP: Float = 0.05,
    repetitionPenalty: Float = 1, penaltyWindow: Int = 64, frequencyPenalty: Float = 0,
    presencePenalty: Float = 0, seed: UInt32? = nil, grammar: String? = nil
  ) throws(SamplerError) {
    func check(_ name: String, _ value: Float, _ range: ClosedRange<Float>) throws(SamplerError) {
      guard range.contains(value) else { throw .outOfRange(name: name, value: "\(value)", range: "\(range)") }
    }
    func check(_ name: String, _ value: Int, _ range: ClosedRange<Int>) throws(SamplerError) {
      guard range.contains(value) else { throw .outOfRange(name: name, value: "\(value)", range: "\(range)") }
    }
    try check("temperature", temperature, 0...100)
    try check("top-k", topK, 0...Int(Int32.max))
    try check("top-p", topP, 0...1)
    try check("min-p", minP, 0...1)
    // 0 would divide by zero; beyond 10 everything recent is impossible anyway.
    try check("repetition penalty", repetitionPenalty, 0.01...10)
    try check("penalty window", penaltyWindow, 0...1 << 20)
    try check("frequency penalty", frequencyPenalty, -100...100)
    try check("presence penalty", presencePenalty, -100...100)
    do {
      parsedGrammar = try grammar.map { (text) throws(GrammarError) in try Grammar(text) }
    } catch {
      throw .grammar(error)
    }
    self.temperature = temperature
    self.topK = topK
    self.topP = topP
    self.minP = minP
    self.repetitionPenalty = repetitionPenalty
    self.penaltyWindow = penaltyWindow
    self.frequencyPenalty = frequencyPenalty
    self.presencePenalty = presencePenalty
    self.seed = seed
  }

  private init(_ other: SamplerSettings, seed: UInt32?, hasGrammar: Bool = true) {
    temperature = other.temperature
    topK = other.topK
    topP = other.topP
    minP = other.minP
    repetitionPenalty = other.repetitionPenalty
    penaltyWindow = other.penaltyWindow
    frequencyPenalty = other.frequencyPenalty
    presencePenalty = other.presencePenalty
    parsedGrammar = hasGrammar ? other.parsedGrammar : nil
    logitBias = other.logitBias
    self.seed = seed
  }

  /// The same with another seed; the grammar is not read again.
  public func with(seed: UInt32?) -> SamplerSettings { SamplerSettings(self, seed: seed) }

  /// The same with a grammar, in GBNF.
  ///
  /// - Throws: ``SamplerError/grammar(_:)`` for one that is not valid or beyond ``GrammarLimits``.
  public func with(grammar: String) throws(SamplerError) -> SamplerSettings {
    do {
      var settings = self
      settings.parsedGrammar = try Grammar(grammar)
      return settings
    } catch {
      throw .grammar(error)
    }
  }

  /// The same without a grammar.
  public var withoutGrammar: SamplerSettings { SamplerSettings(self, seed: seed, hasGrammar: false) }

  /// The same with other biases.
  ///
  /// - Throws: ``SamplerError/outOfRange(name:value:range:)`` for one that is neither finite nor minus infinity.
  public func with(logitBias: [Int32: Float]) throws(SamplerError) -> SamplerSettings {
    for (token, bias) in logitBias where bias.isNaN || bias == .infinity {
      throw .outOfRange(name: "bias of token \(token)", value: "\(bias)", range: "-infinity..<infinity")
    }
    var settings = self
    settings.logitBias = logitBias
    return settings
  }

  var hasPenalties: Bool {
    penaltyWindow > 0 && (repetitionPenalty != 1 || frequencyPenalty != 0 || presencePenalty != 0)
  }
}

/// Why a token could not be chosen.
public enum SamplerError: Error, Equatable, CustomStringConvertible, LocalizedError {
  /// A setting, called by its name.
  case outOfRange(name: String, value: String, range: String)
  /// The grammar is not valid, or costs too much to follow.
  case grammar(GrammarError)
  /// The grammar allows no token of the vocabulary here.
  case grammarExhausted
  /// A token was accepted that the grammar forbids.
  case tokenForbidden(token: Int32, text: String)
  /// Logits of another model.
  case logitCountMismatch(count: Int, vocabularySize: Int)
  /// A token that the vocabulary does not have.
  case tokenOutOfRange(token: Int32, vocabularySize: Int)
  /// Every logit is NaN or minus infinity.
  case noCandidates

  /// A sentence.
  public var description: String {
    switch self {
    case .outOfRange(let name, let value, let range): "The \(name) must be in \(range), not \(value)."
    case .grammar(let error): error.description
    case .grammarExhausted: "The grammar allows no token here."
    case .tokenForbidden(let token, let text): "The grammar forbids token \(token) (\"\(text)\") here."
    case .logitCountMismatch(let count, let size):
      "\(count) logits do not fit a vocabulary of \(size) tokens."
    case .tokenOutOfRange(let token, let size): "Token \(token) is not in the vocabulary of \(size) tokens."
    case .noCandidates: "No token has a finite logit."
    }
  }

  /// The same, for `localizedDescription`.
  public var errorDescription: String? { description }

  /// Whether another grammar, and nothing else, would help.
  public var isOfGrammar: Bool {
    switch self {
    case .grammar, .grammarExhausted: true
    default: false
    }
  }
}
