// Texts as vectors: the host's own attention over a whole text at once, and what it makes of it in the end.

import CLlama

/// How the vectors of a text's tokens become one.
public enum Pooling: String, Sendable, Hashable, Codable, CaseIterable {
  /// Their mean.
  case mean
  /// That of the first token, which stands for the text.
  case cls
  /// That of the last token.
  case last
  /// The score of a classifier: how well a document answers a query.
  case rank

  /// llama.cpp's number for it.
  var code: llama_pooling_type {
    switch self {
    case .mean: LLAMA_POOLING_TYPE_MEAN
    case .cls: LLAMA_POOLING_TYPE_CLS
    case .last: LLAMA_POOLING_TYPE_LAST
    case .rank: LLAMA_POOLING_TYPE_RANK
    }
  }
}

extension GGUFFile {
  /// How the model was trained to turn texts into vectors; nil for models that were not.
  public var pooling: Pooling? {
    guard let architecture, let code = integer("\(architecture).pooling_type") else { return nil }
    return Pooling.allCases.first { Int($0.code.rawValue) == code }
  }

  /// Whether the model has a classifier behind its layers.
  var hasClassifier: Bool { tensors.contains { $0.name == "cls.weight" || $0.name == "cls.output.weight" } }
}

/// A place to turn texts into vectors with an embedding model, or to score them with a reranking one.
///
///     let context = try EmbeddingContext(model: model, pool: pool, contextLength: 512)
///     let vector = try context.embed(try model.tokenizer.tokenize(text, addSpecial: true, parseSpecial: false))
///
/// One text at a time, whole: most such models attend in both directions. Not for use by two threads at once.
public final class EmbeddingContext {
  /// The model.
  public let model: LlamaModel
  /// How tokens become a vector.
  public let pooling: Pooling
  /// Most tokens of a text.
  public let contextLength: Int
  /// Elements of a vector; for ``Pooling/rank`` the numbers that the classifier has.
  public let width: Int
  /// Asked before every node of the graph, besides `Task.isCancelled`; true makes `embed` throw `CancellationError`.
  public var isCancelled: (() -> Bool)?
  private let handle: ContextHandle
  private let batch: TokenBatch
  private let abortMonitor: AbortMonitor

  /// - Parameters:
  ///   - pooling: What the model was trained for, when nil.
  ///   - contextLength: Most tokens of a text; memory for so many is taken at once.
  /// - Throws: ``LlamaError/notForEmbeddings(reason:)`` for a model that was not trained for it, and those of contexts.
  public init(model: LlamaModel, pool: ThreadPool, pooling: Pooling? = nil, contextLength: Int) throws {
    try LlamaContext.check("context length", contextLength, LlamaContext.batchRange)
    guard let pooling = pooling ?? model.file.pooling else {
      throw LlamaError.notForEmbeddings(reason: "its file does not say how its tokens' vectors become one")
    }
    if pooling == .rank, !model.file.hasClassifier {
      throw LlamaError.notForEmbeddings(reason: "it has no classifier that would score a text")
    }
    let pointer = unsafe model.handle.pointer
    if unsafe llama_model_has_encoder(pointer) && llama_model_has_decoder(pointer) {
      throw LlamaError.notForEmbeddings(reason: "it is an encoder and a decoder in one")
    }
    let monitor = AbortMonitor()
    handle = try unsafe ContextHandle(
      model: model, pool: pool, contextLength: contextLength, batchCapacity: contextLength,
      outputCapacity: contextLength, observer: nil
    ) { parameters in
      unsafe parameters.embeddings = true
      unsafe parameters.pooling_type = pooling.code
      unsafe monitor.install(in: &parameters)
    }
    self.model = model
    self.pooling = pooling
    self.contextLength = contextLength
    abortMonitor = monitor
    width =
      unsafe pooling == .rank ? Int(llama_model_n_cls_out(pointer)) : Int(llama_model_n_embd_out(pointer))
    batch = TokenBatch(capacity: contextLength)
  }

  /// The vector of a text, as the model makes it: not normalized. For ``Pooling/rank`` the classifier's numbers.
  ///
  /// - Throws: ``LlamaError`` for tokens that are none or too many, or a failure of the host; `CancellationError`.
  public func embed(_ tokens: [Int32]) throws -> [Float] {
    guard !tokens.isEmpty else { throw LlamaError.emptyBatch }
    guard tokens.count <= contextLength else {
      throw LlamaError.batchTooLong(tokenCount: tokens.count, capacity: contextLength)
    }
    let size = model.tokenizer.vocabularySize
    for (index, token) in tokens.enumerated() where token < 0 || Int(token) >= size {
      throw LlamaError.tokenOutOfRange(token: token, index: index, vocabularySize: size)
    }
    let mark = HostLog.mark()
    if let memory = unsafe handle.memory { unsafe llama_memory_clear(memory, false) }
    batch.fill(tokens[...], startPosition: 0, outputCount: tokens.count)
    abortMonitor.begin(isCancelled)
    defer { abortMonitor.begin(nil) }
    let code = unsafe llama_decode(handle.pointer, batch.batch)
    if abortMonitor.wasCancelled { throw CancellationError() }
    guard code == 0, let start = unsafe llama_get_embeddings_seq(handle.pointer, 0) else {
      throw LlamaError.decodeFailed(code: Int(code), log: HostLog.lines(since: mark))
    }
    return unsafe Array(UnsafeBufferPointer(start: start, count: width))
  }
}
