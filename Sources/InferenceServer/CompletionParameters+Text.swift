// The body of /v1/completions: texts, tokens, lists of both, and gaps to fill.

import Hummingbird
import LlamaHost
import Serving

extension CompletionParameters {
  /// The body of `/v1/completions`.
  static func text(
    _ fields: RequestFields, model: ModelCard, settings: ServerSettings
  ) throws(APIError) -> CompletionParameters {
    try checkModel(fields, model, settings)
    let range = 1...max(20, settings.maximumChoices)
    if let best = try fields.integer("best_of", range), best != (try fields.integer("n", range)) ?? 1 {
      throw .invalid("best_of", "'best_of' is \(best), but only the value of 'n' is supported.")
    }
    var prompts = try prompts(fields)
    guard prompts.count <= settings.maximumPrompts else {
      throw .invalid(
        "prompt",
        "'prompt' has \(prompts.count) prompts, but at most \(settings.maximumPrompts) are taken at once.")
    }
    let echoes = try fields.flag("echo") ?? false
    let alternatives = try fields.integer("logprobs", 0...5)
    guard !echoes || alternatives == nil else {
      throw .invalid(
        "echo", "'echo' with 'logprobs' is not supported: the prompt's log-probabilities are not computed.")
    }
    let openings = echoes ? prompts.map(Opening.init) : []
    if let suffix = try fields.string("suffix"), !suffix.isEmpty {
      var gaps: [CompletionRequest.Prompt] = []
      for prompt in prompts {
        guard case .text(let prefix, _) = prompt else {
          throw .invalid("suffix", "'suffix' needs prompts that are texts.")
        }
        gaps.append(.infill(prefix: prefix, suffix: suffix))
      }
      prompts = gaps
    }
    var parameters = try make(
      fields, prompt: prompts[0],
      maximumTokens: try maximumTokens(fields, ["max_tokens", "n_predict"], 0...) ?? 16,
      alternatives: alternatives, settings: settings)
    parameters.morePrompts = Array(prompts.dropFirst())
    parameters.openings = openings
    return parameters
  }

  /// The prompts of a request, at least one, in OpenAI's shapes and llama-server's.
  private static func prompts(_ fields: RequestFields) throws(APIError) -> [CompletionRequest.Prompt] {
    // Whoever writes a prompt for this path has filled in a template; llama.cpp's field of this name.
    let parseSpecial = try fields.flag("parse_special") ?? true
    guard let value = fields["prompt"] else {
      throw APIError(
        .badRequest, "'prompt' is missing.", parameter: "prompt", code: "missing_required_parameter")
    }
    guard let elements = value.array else {
      return [try prompt(value, "prompt", parseSpecial)]
    }
    let isList =
      elements.allSatisfy { $0.string != nil } || elements.contains { $0.array != nil || $0.object != nil }
    guard isList, !elements.isEmpty else { return [try prompt(value, "prompt", parseSpecial)] }
    var prompts: [CompletionRequest.Prompt] = []
    for (index, element) in elements.enumerated() {
      prompts.append(try prompt(element, "prompt[\(index)]", parseSpecial))
    }
    return prompts
  }

  /// One prompt: a text, a list of tokens, possibly with texts between them, or llama-server's `{"prompt_string": …}`.
  private static func prompt(
    _ value: JSONValue, _ place: String, _ parseSpecial: Bool
  ) throws(APIError) -> CompletionRequest.Prompt {
    switch value {
    case .string(let text): return .text(text, parseSpecial: parseSpecial)
    case .array(let elements):
      var parts: [CompletionRequest.Part] = []
      var tokens: [Int32] = []
      for element in elements {
        if let text = element.string {
          parts.append(.text(text))
        } else if let token = element.integer.flatMap(Int32.init(exactly:)) {
          parts.append(.token(token))
          tokens.append(token)
        } else {
          throw .invalid(place, "'\(place)' must be a string, or a list of tokens and strings.")
        }
      }
      return tokens.count == parts.count ? .tokens(tokens) : .mixed(parts, parseSpecial: parseSpecial)
    case .object(let object):
      guard let text = object["prompt_string"]?.string, object.count == 1 else {
        throw .invalid(
          place, "'\(place)' must have 'prompt_string' and nothing else: this server reads only text.")
      }
      return .text(text, parseSpecial: parseSpecial)
    default:
      throw .invalid(
        place, "'\(place)' must be a string, a list of tokens, or a list of these, not \(value.kind).")
    }
  }
}

/// What stands in front of an answer that repeats its prompt.
enum Opening {
  case text(String)
  case parts([CompletionRequest.Part])

  init(_ prompt: CompletionRequest.Prompt) {
    switch prompt {
    case .text(let text, _), .infill(let text, _): self = .text(text)
    case .tokens(let tokens): self = .parts(tokens.map { .token($0) })
    case .mixed(let parts, _): self = .parts(parts)
    case .chat: self = .text("")
    }
  }

  /// The text, for which an engine has to say what tokens are.
  func text(_ service: any InferenceService) async throws -> String {
    switch self {
    case .text(let text): return text
    case .parts(let parts):
      let pieces = try await service.pieces(
        of: parts.compactMap { if case .token(let token) = $0 { token } else { nil } })
      var bytes: [UInt8] = []
      var next = 0
      for part in parts {
        switch part {
        case .text(let text): bytes += Array(text.utf8)
        case .token:
          bytes += pieces[next]
          next += 1
        }
      }
      return String(decoding: bytes, as: UTF8.self)
    }
  }
}
