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

  /// The body of `/v1/chat/completions`.
  static func chat(
    _ fields: RequestFields, model: ModelCard, settings: ServerSettings
  ) throws(APIError) -> CompletionParameters {
    try checkModel(fields, model)
    // Messages are always text: parse_special would be a way for them to leave it.
    try fields.refuse("functions", "logit_bias", "audio", "prediction", "web_search_options", "parse_special")
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
    let limit = 1...Int(Int32.max)
    let maximum = try fields.integer("max_completion_tokens", limit)
    let olderMaximum = try fields.integer("max_tokens", limit)
    return try make(
      fields, prompt: .chat(conversation),
      maximumTokens: maximum ?? olderMaximum, alternatives: alternatives,
      settings: settings)
  }

  /// The body of `/v1/completions`.
  static func text(
    _ fields: RequestFields, model: ModelCard, settings: ServerSettings
  ) throws(APIError) -> CompletionParameters {
    try checkModel(fields, model)
    try fields.refuse("suffix", "echo", "logit_bias")
    if let best = try fields.integer("best_of", 1...20), best != (try fields.integer("n", 1...20)) ?? 1 {
      throw .invalid("best_of", "'best_of' is \(best), but only the value of 'n' is supported.")
    }
    // Whoever writes a prompt for this path has filled in a template; llama.cpp's field of this name.
    let parseSpecial = try fields.flag("parse_special") ?? true
    let prompt: CompletionRequest.Prompt
    switch fields["prompt"] {
    case .string(let text)?: prompt = .text(text, parseSpecial: parseSpecial)
    case .array(let elements)?:
      if elements.count == 1, let text = elements[0].string {
        prompt = .text(text, parseSpecial: parseSpecial)
      } else {
        var tokens: [Int32] = []
        for element in elements {
          guard let token = element.integer.flatMap(Int32.init(exactly:)) else {
            throw .invalid("prompt", "'prompt' must be a string, a list of one string, or a list of tokens.")
          }
          tokens.append(token)
        }
        prompt = .tokens(tokens)
      }
    case nil:
      throw APIError(
        .badRequest, "'prompt' is missing.", parameter: "prompt", code: "missing_required_parameter")
    default: throw fields.mismatch("prompt", "a string or a list of tokens")
    }
    return try make(
      fields, prompt: prompt, maximumTokens: try fields.integer("max_tokens", 1...Int(Int32.max)) ?? 16,
      alternatives: try fields.integer("logprobs", 0...5), settings: settings)
  }

  private static func checkModel(_ fields: RequestFields, _ model: ModelCard) throws(APIError) {
    guard let name = try fields.string("model"), name != model.id, name != "default" else { return }
    throw APIError(
      .notFound, "The model '\(name.prefix(100))' does not exist. This server has '\(model.id)'.",
      parameter: "model", code: "model_not_found")
  }

  /// What both kinds of request have in common.
  private static func make(
    _ fields: RequestFields, prompt: CompletionRequest.Prompt, maximumTokens: Int?, alternatives: Int?,
    settings: ServerSettings
  ) throws(APIError) -> CompletionParameters {
    let request = CompletionRequest(
      prompt: prompt, session: try fields.string("session"), maximumTokens: maximumTokens,
      sampling: try sampling(fields), stop: try stops(fields),
      choiceCount: try fields.integer("n", 1...settings.maximumChoices) ?? 1, alternatives: alternatives)
    var parameters = CompletionParameters(request: request)
    parameters.streams = try fields.flag("stream") ?? false
    parameters.reportsProgress = try fields.flag("return_progress") ?? false
    if let options = try fields.object("stream_options") {
      guard parameters.streams else {
        throw .invalid("stream_options", "'stream_options' is only possible with 'stream' true.")
      }
      parameters.includesUsage = try options.flag("include_usage") ?? false
    }
    return parameters
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
