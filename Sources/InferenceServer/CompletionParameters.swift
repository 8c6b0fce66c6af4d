// From the body of a request to what the engine is asked.

import Hummingbird
import LlamaHost
import Serving

/// A parsed request: what to compute, and how to answer.
struct CompletionParameters {
  var request: CompletionRequest
  var streams = false
  var includesUsage = false
  var reportsProgress = false
  /// Prompts besides that of ``request``, which are continued in the same way.
  var morePrompts: [CompletionRequest.Prompt] = []
  /// What the answers begin with, one for each prompt; empty for nothing.
  var openings: [Opening] = []

  /// What is asked of the engine.
  var requests: [CompletionRequest] {
    [request]
      + morePrompts.map { prompt in
        var other = request
        other.prompt = prompt
        return other
      }
  }

  /// The body of `/v1/chat/completions`.
  static func chat(
    _ fields: RequestFields, model: ModelCard, settings: ServerSettings
  ) throws(APIError) -> CompletionParameters {
    try checkModel(fields, model, settings)
    // Messages are always text: parse_special would be a way for them to leave it.
    try fields.refuse("functions", "audio", "prediction", "web_search_options", "parse_special")
    if let modalities = fields["modalities"], modalities != .array([.string("text")]) {
      throw .invalid("modalities", "'modalities' must be [\"text\"].")
    }
    let conversation = try ChatFields.conversation(fields)
    var alternatives: Int?
    let top = try fields.integer("top_logprobs", 0...20)
    if try fields.flag("logprobs") == true {
      alternatives = top ?? 0
    } else if top != nil {
      throw .invalid("top_logprobs", "'top_logprobs' needs 'logprobs' to be true.")
    }
    return try make(
      fields, prompt: .chat(conversation),
      maximumTokens: try maximumTokens(fields, ["max_completion_tokens", "max_tokens"], 1...),
      alternatives: alternatives, settings: settings)
  }

  /// What requests of other interfaces have in common with these: all but the prompt and its limit.
  static func common(
    _ fields: RequestFields, model: ModelCard, settings: ServerSettings
  ) throws(APIError) -> CompletionParameters {
    try checkModel(fields, model, settings)
    return try make(
      fields, prompt: .tokens([]), maximumTokens: nil, alternatives: nil, settings: settings)
  }

  /// What both kinds of request have in common.
  static func make(
    _ fields: RequestFields, prompt: CompletionRequest.Prompt, maximumTokens: Int?, alternatives: Int?,
    settings: ServerSettings
  ) throws(APIError) -> CompletionParameters {
    let request = CompletionRequest(
      prompt: prompt, session: try fields.string("session"), maximumTokens: maximumTokens,
      sampling: try sampling(fields), logitBias: try logitBias(fields), stop: try stops(fields),
      choiceCount: try fields.integer("n", 1...settings.maximumChoices) ?? 1, alternatives: alternatives)
    var parameters = CompletionParameters(request: request)
    parameters.request.findsEvidence = try fields.flag("evidence") ?? false
    if case .chat(let conversation) = prompt { parameters.request.sources = sources(of: conversation) }
    parameters.streams = try fields.flag("stream") ?? false
    parameters.reportsProgress = try fields.flag("return_progress") ?? false
    if let options = try fields.object("stream_options") {
      // Without a stream it changes nothing.
      parameters.includesUsage = try options.flag("include_usage") ?? false
    }
    return parameters
  }

  /// The texts that an answer may come from: all messages but the model's own and the last question, which is one only
  /// where nothing else is said.
  static func sources(of conversation: ChatRequest) -> [SourceText] {
    let texts = conversation.messages.enumerated().filter { $1.role != .assistant && !$1.content.isEmpty }
    let isLast = { (number: Int) in number == conversation.messages.count - 1 }
    let chosen = texts.count > 1 ? texts.filter { !(isLast($0.offset) && $0.element.role == .user) } : texts
    return chosen.map { SourceText(name: "message \($0.offset + 1)", text: $0.element.content) }
  }

  private static func stops(_ fields: RequestFields) throws(APIError) -> [String] {
    switch fields["stop"] {
    case nil: return []
    case .string(let text)?: return text.isEmpty ? [] : [text]
    case .array(let list)?:
      let texts = list.compactMap(\.string)
      guard texts.count == list.count, texts.count <= 16, texts.allSatisfy({ $0.utf8.count <= 1024 }) else {
        throw .invalid(
          "stop", "'stop' must be a string or a list of at most 16 strings of at most 1024 bytes.")
      }
      return texts.filter { !$0.isEmpty }
    default: throw fields.mismatch("stop", "a string or a list of strings")
    }
  }

  private static func sampling(_ fields: RequestFields) throws(APIError) -> SamplerSettings {
    let constraint = try OutputConstraint.find(fields)
    // OpenAI's defaults; min_p keeps small models from choosing what they hold nearly impossible.
    let temperature = try fields.number("temperature", 0...2) ?? 1
    let topP = try fields.number("top_p", 0...1) ?? 1
    let minP = try fields.number("min_p", 0...1) ?? 0.05
    let topK = try fields.integer("top_k", 0...Int(Int32.max)) ?? 0
    let repetition = try fields.number("repetition_penalty", 0.01...10) ?? 1
    let frequency = try fields.number("frequency_penalty", -2...2) ?? 0
    let presence = try fields.number("presence_penalty", -2...2) ?? 0
    // Clients send any 64-bit number; the host takes 32 bits, of which all ones mean "random".
    let seed = try fields.integer("seed", .min ... .max).map { value in
      UInt32(truncatingIfNeeded: UInt64(bitPattern: Int64(value)) % UInt64(UInt32.max))
    }
    do {
      return try SamplerSettings(
        temperature: Float(temperature), topK: topK, topP: Float(topP), minP: Float(minP),
        repetitionPenalty: Float(repetition), frequencyPenalty: Float(frequency),
        presencePenalty: Float(presence),
        seed: seed, grammar: constraint?.grammar)
    } catch {
      // Every number was checked above, so it is the grammar.
      throw .invalid(constraint?.field ?? "grammar", "\(error)")
    }
  }
}
