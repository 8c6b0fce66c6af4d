// Errors of prompts and sessions. Errors of the host and of the attention engine pass through unchanged.

import RetrievalAttention

public enum GenerationError: Error, Equatable, Sendable {
  /// The host's attention cannot be taken over; all reasons.
  case unsupportedModel([String])
  /// More tokens than the model's positions are for: those of its training, or of a scaling of RoPE. `factor` is the
  /// YaRN factor that would do; nil for a model whose positions cannot be scaled.
  case contextTooLong(tokens: Int, limit: Int, isScaled: Bool, factor: Int?)
  case emptyPrompt
  /// A file that is not valid UTF-8 text, with the offset of the first bad byte.
  case notText(path: String, offset: Int)
  case unreadableFile(path: String, reason: String)
  /// A text of more bytes than can be read; `byteCount` is nil where nobody knows how many there are, as in a pipe.
  case textTooLarge(path: String, byteCount: Int?, limit: Int)
  case invalidCount(name: String, value: Int, requirement: String)
  /// A profile that cannot be used.
  case badProfile(path: String, reason: String)
  /// A text that has fewer tokens than are needed.
  case textTooShort(tokens: Int, required: Int)
  /// Documents stand before the first question.
  case documentsAfterQuestion
  /// The model has recurrent layers, and no copy of their states at a place; the nearest one before it.
  case noStateKept(position: Int, nearest: Int)
  /// A model cannot draft for another one, since its tokens are others.
  case unlikeVocabularies(draft: String, model: String)
  /// A head that the model does not have, or whose layer forgets what lies further back.
  case badEvidenceHead(layer: Int, head: Int)
  /// A session does not tell where in a conversation it ends.
  case unknownConversation(String)
  /// A conversation was begun with another chat template: the model's own, or one that was given.
  case otherTemplate(isModelsOwn: Bool)
}

extension GenerationError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .unsupportedModel(let reasons):
      "this model's attention cannot be taken over: " + reasons.joined(separator: "; ")
    case .contextTooLong(let tokens, let limit, let isScaled, _):
      "\(tokens) tokens are more than the \(limit) that the model \(isScaled ? "is scaled to" : "was trained for")"
    case .emptyPrompt: "the prompt is empty"
    case .notText(let path, let offset):
      "\(path) is not UTF-8 text (first invalid byte at offset \(offset))"
    case .unreadableFile(let path, let reason):
      "cannot read \(path): \(reason)"
    case .textTooLarge(let path, let byteCount, let limit):
      "\(path) has \(byteCount.map(formatBytes) ?? "too much") of text: at most \(formatBytes(limit)) can be read"
    case .invalidCount(let name, let value, let requirement):
      "\(name) is \(value), but must be \(requirement)"
    case .badProfile(let path, let reason):
      "cannot use the profile \(path): \(reason)"
    case .textTooShort(let tokens, let required):
      "the text has \(tokens) tokens, but \(required) are needed"
    case .documentsAfterQuestion:
      "documents can be added before the first question only; make a new session of them"
    case .noStateKept(let position, let nearest):
      "the states of the model's recurrent layers were not kept after \(position) tokens, the nearest ones are those "
        + "after \(nearest)"
    case .unlikeVocabularies(let draft, let model):
      "\(draft) cannot foresee tokens of \(model): the vocabularies differ; take a smaller model of the same family"
    case .badEvidenceHead(let layer, let head):
      "head \(head) of layer \(layer) cannot tell where answers come from: the model has no such head, or its layer "
        + "has a sliding window"
    case .otherTemplate(let isModelsOwn):
      "the session was begun with another chat template: "
        + (isModelsOwn ? "the model's own" : "one in place of the model's own")
    case .unknownConversation(let text):
      "the session does not tell where in a conversation it ends (\(text.isEmpty ? "nothing" : text)); it was not "
        + "made by this version's ingest or chat"
    }
  }
}
