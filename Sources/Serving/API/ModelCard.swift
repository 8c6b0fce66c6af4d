// What is told about the model that is served.

public import struct Foundation.Date

/// The model, as clients see it.
public struct ModelCard: Sendable, Hashable {
  /// The name that clients ask for.
  public var id: String
  /// Other names that it has.
  public var aliases: [String]
  /// Most tokens of prompt and answer together.
  public var contextLength: Int
  /// When it was made.
  public var created: Date
  /// Sizes and origin; nil for an engine that does not know.
  public var details: ModelDetails?

  /// A card.
  public init(
    id: String, contextLength: Int, created: Date, aliases: [String] = [], details: ModelDetails? = nil
  ) {
    self.id = id
    self.aliases = aliases
    self.contextLength = contextLength
    self.created = created
    self.details = details
  }

  /// Whether it is called so.
  public func isCalled(_ name: String) -> Bool { name == id || aliases.contains(name) }
}

/// What a model is, besides its name.
public struct ModelDetails: Sendable, Hashable {
  /// The file's name, without its folder.
  public var fileName: String
  /// `general.name` of the file.
  public var name: String?
  /// The architecture, such as `llama`.
  public var family: String
  /// llama.cpp's summary, such as `llama 134M Q4_1`.
  public var summary: String
  /// Weights, as llama.cpp counts them.
  public var parameterCount: Int
  /// Bytes of all tensors.
  public var byteCount: Int
  /// Tokens of the vocabulary.
  public var vocabularySize: Int
  /// Elements of a token's embedding.
  public var embeddingWidth: Int
  /// Tokens that the model was trained for; 0 when the file does not tell.
  public var trainedContextLength: Int
  /// Sequences that are computed at once.
  public var parallel: Int
  /// Tokens of an answer when a request does not say.
  public var defaultMaximumTokens: Int
  /// The chat template, in Jinja's language.
  public var chatTemplate: String?
  /// Names of the tokens that begin and end a text.
  public var bosToken: String?, eosToken: String?
  /// What it can do.
  public var abilities: Set<Ability>

  /// What a model can do.
  public enum Ability: String, Sendable, Hashable {
    /// Continue texts.
    case completion
    /// Fill gaps in them.
    case infill
    /// Turn texts into vectors.
    case embedding
    /// Judge how well texts answer a query.
    case reranking
  }

  /// A description.
  public init(
    fileName: String, name: String? = nil, family: String, summary: String, parameterCount: Int,
    byteCount: Int, vocabularySize: Int, embeddingWidth: Int, trainedContextLength: Int, parallel: Int = 1,
    defaultMaximumTokens: Int = 2048, chatTemplate: String? = nil, bosToken: String? = nil,
    eosToken: String? = nil, abilities: Set<Ability> = [.completion]
  ) {
    self.fileName = fileName
    self.name = name
    self.family = family
    self.summary = summary
    self.parameterCount = parameterCount
    self.byteCount = byteCount
    self.vocabularySize = vocabularySize
    self.embeddingWidth = embeddingWidth
    self.trainedContextLength = trainedContextLength
    self.parallel = parallel
    self.defaultMaximumTokens = defaultMaximumTokens
    self.chatTemplate = chatTemplate
    self.bosToken = bosToken
    self.eosToken = eosToken
    self.abilities = abilities
  }
}
