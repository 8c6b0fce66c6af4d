// What can go wrong between this module and llama.cpp, with the values that explain it.

public import Foundation

/// A failure of the host or a request that it cannot serve.
public enum LlamaError: Error, CustomStringConvertible, LocalizedError {
  /// llama.cpp refused a file that ``GGUFFile`` found well-formed.
  case modelNotLoaded(path: String, log: [String])
  /// A file that is well-formed, but is not a language model: what it is instead.
  case notALanguageModel(path: String, kind: GGUFFile.Kind)
  /// A LoRA adapter that does not go with the model.
  case adapterNotUsable(path: String, reason: String)
  /// llama.cpp did not take adapters that it had loaded, and its code.
  case adaptersNotInstalled(count: Int, code: Int)
  /// A context could not be made, most often for want of memory.
  case contextNotCreated(contextLength: Int, batchCapacity: Int, log: [String])
  /// The program was compiled for a processor with these instructions, and this one lacks them.
  case instructionsMissing([String])
  /// The threads could not be started.
  case threadPoolNotCreated(threadCount: Int)
  /// More threads than allowed, or none.
  case threadCountOutOfRange(Int, allowed: ClosedRange<Int>)
  /// Not within 0...100.
  case pollOutOfRange(Int)
  /// A capacity of a context, called by its name.
  case capacityOutOfRange(name: String, value: Int, allowed: ClosedRange<Int>)
  /// The model's attention cannot be taken over; every reason is listed.
  case takeoverUnsupported([TakeoverReason])
  /// No token to evaluate.
  case emptyBatch
  /// More tokens at once than the context takes.
  case batchTooLong(tokenCount: Int, capacity: Int)
  /// The model has no position so far from the start, whoever attends: it has learned a table of them.
  case beyondLearnedPositions(position: Int, count: Int)
  /// The model was loaded with the RoPE factors for contexts up to `original` tokens.
  case beyondShortRopeFactors(position: Int, original: Int)
  /// A scaling of RoPE that the model cannot be given; a clause with the reason.
  case ropeScalingNotUsable(RopeScaling, reason: String)
  /// The host cannot continue texts with this model, with its own attention either.
  case notGenerative(TakeoverReason)
  /// The model cannot turn texts into vectors, or score them; a clause with the reason.
  case notForEmbeddings(reason: String)
  /// More rows of logits asked for than the context has room for.
  case tooManyOutputs(outputCount: Int, capacity: Int)
  /// A token, and its place in the batch, that the vocabulary does not have.
  case tokenOutOfRange(token: Int32, index: Int, vocabularySize: Int)
  /// Tokens that would stand where the context cannot have any.
  case positionOutOfRange(start: Int, tokenCount: Int, allowed: ClosedRange<Int>)
  /// Host mode: tokens must continue where the context ends.
  case positionNotNext(start: Int, length: Int)
  /// More tokens than the host's own cache has cells.
  case contextFull(needed: Int, contextLength: Int)
  /// A position beyond the end, or one that the host cannot go back to.
  case cannotTruncate(position: Int, length: Int)
  /// llama.cpp's code, and its last words.
  case decodeFailed(code: Int, log: [String])
  /// The host placed a batch's rows elsewhere than expected, so reading them would mix up tokens.
  case unexpectedCacheLayout(layer: Int, detail: String)
  /// The graph asked for attention in other layers than the probe had seen.
  case unexpectedAttention(detail: String)
  /// More bytes than can be tokenized at once.
  case textTooLong(byteCount: Int)
  /// llama.cpp gave no tokens.
  case tokenizationFailed(byteCount: Int)
  /// A template that cannot be parsed or executed, in llama.cpp's words.
  case chatTemplateUnusable(reason: String)
  /// A chat template that neither the model nor this library has by that name.
  case unknownChatTemplate(name: String, available: [String])
  /// A template that does not take the messages that were given, in its own words.
  case chatTemplateRefused(reason: String)
  /// The template left a message out.
  case chatTemplateLostMessage(index: Int, role: String)
  /// The template changes what stands before earlier questions, so that a context cannot grow with a conversation.
  case chatTemplateRewrites
  /// Filling a context, which needs one of the host that is empty.
  case fillingNotAllowed
  /// No device of this name takes layers.
  case unknownDevice(name: String, available: [String])
  /// A machine that was to compute layers cannot be used.
  case remoteServer(address: String, reason: String)
  /// The module that talks to servers is not in the folder of ggml's back ends.
  case noServerBackend(address: String, folder: String)
  /// A device could not do what it was asked.
  case deviceFailed(device: String, operation: String)
  /// A device has not the memory, in bytes, to attend to a prompt, or to a context's first and last tokens.
  case promptMemoryInsufficient(device: String, needed: Int, available: Int)
  /// Devices cannot attend in these layers, which have sinks, latent or shared keys, chunks or the like.
  case noDeviceAttention(layers: [Int])
  /// A device would hold more than it was allowed to, in bytes; `cache` and `compute` are 0 while they are not known.
  case deviceMemoryExceeded(device: String, weights: Int, cache: Int, compute: Int, limit: Int)
  /// The host could not copy a state of recurrent layers, or not take one back, of so many bytes.
  case recurrentStateFailed(operation: String, byteCount: Int)

  /// A sentence, or several with the host's words.
  public var description: String {
    switch self {
    case .modelNotLoaded(let path, let log):
      "llama.cpp could not load \(path)\(Self.reason(log))."
    case .notALanguageModel(let path, .adapter):
      "\(path) is a LoRA adapter, which is loaded beside the model that it was made for."
    case .notALanguageModel(let path, .projector):
      "\(path) is a projector for images or sounds, which are not read here; the model beside it reads texts."
    case .notALanguageModel(let path, let kind): "\(path) is \(kind.description), not a language model."
    case .adapterNotUsable(let path, let reason): "\(path) cannot be used as a LoRA adapter: \(reason)."
    case .adaptersNotInstalled(let count, let code):
      "llama.cpp did not take \(count) LoRA adapters for a context (code \(code))."
    case .contextNotCreated(let length, let batch, let log):
      "llama.cpp could not create a context of \(length) tokens with batches of \(batch)\(Self.reason(log))."
    case .instructionsMissing(let kinds):
      "llama.cpp was compiled for a processor with \(kinds.joined(separator: ", ")), which this one lacks."
    case .threadPoolNotCreated(let count): "A pool of \(count) threads could not be started."
    case .threadCountOutOfRange(let count, let allowed):
      "A pool needs \(allowed.lowerBound) to \(allowed.upperBound) threads, not \(count)."
    case .pollOutOfRange(let poll): "The polling level must be between 0 and 100, not \(poll)."
    case .capacityOutOfRange(let name, let value, let allowed):
      "The \(name) must be between \(allowed.lowerBound) and \(allowed.upperBound), not \(value)."
    case .takeoverUnsupported(let reasons):
      "The model's attention cannot be taken over: \(reasons.map(\.description).joined(separator: "; "))."
    case .emptyBatch: "A batch needs at least one token."
    case .batchTooLong(let count, let capacity):
      "A batch of \(count) tokens exceeds the context's batch capacity of \(capacity)."
    case .beyondLearnedPositions(let position, let count):
      "Position \(position) is needed, but the model has learned \(count) positions, and cannot go beyond them."
    case .beyondShortRopeFactors(let position, let original):
      "Position \(position) is needed, but the model was loaded with the RoPE factors for contexts of up to "
        + "\(original) tokens; load it with the long ones, and read the text anew."
    case .ropeScalingNotUsable(let scaling, let reason):
      "RoPE cannot be scaled \(scaling): \(reason)."
    case .notGenerative(let reason):
      "llama.cpp cannot continue texts with this model: \(reason)."
    case .notForEmbeddings(let reason): "This model makes no embeddings: \(reason)."
    case .tooManyOutputs(let count, let capacity):
      "Logits of \(count) tokens were asked for, but the context was made for \(capacity)."
    case .tokenOutOfRange(let token, let index, let size):
      "Token \(token) at index \(index) is not in the vocabulary of \(size) tokens."
    case .positionOutOfRange(let start, let count, let allowed):
      "\(count) tokens from position \(start) do not fit in positions \(allowed.lowerBound) to "
        + "\(allowed.upperBound)."
    case .positionNotNext(let start, let length):
      "The batch starts at position \(start), but the context holds \(length) positions."
    case .contextFull(let needed, let length):
      "\(needed) positions are needed, but the context holds \(length)."
    case .cannotTruncate(let position, let length):
      "A context of \(length) positions cannot be cut back to \(position)."
    case .decodeFailed(let code, let log):
      "llama.cpp failed to evaluate the batch with code \(code)\(Self.reason(log))."
    case .unexpectedCacheLayout(let layer, let detail):
      "The host's cache for layer \(layer) is laid out unexpectedly: \(detail)."
    case .unexpectedAttention(let detail):
      "The host's graph holds attention that was not expected: \(detail)."
    case .textTooLong(let count): "A text of \(count) bytes is more than the tokenizer takes."
    case .tokenizationFailed(let count): "The tokenizer failed on a text of \(count) bytes."
    case .chatTemplateUnusable(let reason):
      "The chat template cannot be used: \(Self.sentence(reason))"
    case .unknownChatTemplate(let name, let available):
      "There is no chat template \"\(name)\", but \(available.joined(separator: ", "))."
    case .chatTemplateRefused(let reason):
      "The chat template does not take these messages: \(Self.sentence(reason))"
    case .chatTemplateRewrites:
      "The chat template changes what stands before earlier questions when a conversation goes on, so a context cannot "
        + "grow with it."
    case .chatTemplateLostMessage(let index, let role):
      "The model's chat template leaves out message \(index) (\(role))."
    case .fillingNotAllowed: "Only a context that was made for it can be filled."
    case .unknownDevice(let name, let available):
      "There is no device \(name) that layers can be given to, "
        + (available.isEmpty ? "nor any other." : "but \(available.joined(separator: ", ")).")
    case .remoteServer(let address, let reason): "The server \(address) cannot be used: \(reason)."
    case .noServerBackend(let address, let folder):
      "The server \(address) cannot be used: the back end for it is not in \(folder)."
    case .deviceFailed(let device, let operation): "\(device) could not \(operation)."
    case .promptMemoryInsufficient(let device, let needed, let available):
      "\(device) has \(available) bytes for keys and values, and \(needed) are needed at least."
    case .noDeviceAttention(let layers):
      "Devices do not attend in \(TakeoverReason.list(layers)), whose attention is of a special kind; the CPU does in all."
    case .deviceMemoryExceeded(let device, let weights, let cache, let compute, let limit):
      "\(device) would hold \(weights + cache + compute) bytes (weights \(weights)"
        + (cache + compute > 0 ? ", keys and values \(cache), intermediate results \(compute)" : " alone")
        + "), and \(limit) are allowed; give it fewer layers."
    case .recurrentStateFailed(let operation, let byteCount):
      "The host could not \(operation) \(byteCount) bytes of recurrent layers' states."
    }
  }

  /// The same, for `localizedDescription`.
  public var errorDescription: String? { description }

  /// Another's words with one full stop at the end.
  private static func sentence(_ text: String) -> String {
    let end = text.last.map { ".!?".contains($0) } ?? false
    return text.split(separator: "\n", omittingEmptySubsequences: true).joined(separator: " ")
      + (end ? "" : ".")
  }

  /// The host's own words, if it had any.
  private static func reason(_ log: [String]) -> String {
    let lines = log.suffix(4).map { line in
      String(line.drop { $0.isWhitespace }.reversed().drop { $0.isWhitespace || $0 == "." }.reversed())
    }
    return lines.isEmpty ? "" : ": " + lines.joined(separator: " | ")
  }
}
