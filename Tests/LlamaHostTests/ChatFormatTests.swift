import Foundation
import LlamaHost
import Testing

/// A template like that of Hermes and Qwen2.5, with thoughts as those of Qwen3.
enum ToolTemplate {
  static let source = """
    {%- if tools %}{{ '<|im_start|>system\\n' }}
    {%- if messages[0].role == 'system' %}{{ messages[0].content + '\\n\\n' }}{% endif -%}
    {{ '# Tools\\n<tools>' }}{% for tool in tools %}{{ '\\n' + (tool | tojson) }}{% endfor -%}
    {{ '\\n</tools>\\nWrite a call as\\n<tool_call>\\n{"name": <name>, "arguments": <object>}\\n</tool_call><|im_end|>\\n' }}
    {%- elif messages[0].role == 'system' %}{{ '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
    {%- endif %}
    {%- for message in messages %}
    {%- if message.role == 'user' or (message.role == 'system' and not loop.first) %}
    {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
    {%- elif message.role == 'assistant' %}
    {{- '<|im_start|>assistant\\n' }}{% if message.content %}{{ message.content }}{% endif %}
    {%- for call in message.tool_calls or [] %}
    {{- '\\n<tool_call>\\n{"name": "' + call.function.name + '", "arguments": ' }}
    {{- (call.function.arguments | tojson) + '}\\n</tool_call>' }}
    {%- endfor %}{{ '<|im_end|>\\n' }}
    {%- elif message.role == 'tool' %}
    {{- '<|im_start|>user\\n<tool_response>\\n' + message.content + '\\n</tool_response><|im_end|>\\n' }}
    {%- endif %}{% endfor %}
    {%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}{{ '<think>\\n\\n</think>\\n\\n' }}{% endif %}
    {%- endif %}
    """

  static let weather = ChatTool(
    name: "get_weather", description: "The weather of a city.",
    parameters: #"{"type":"object","properties":{"city":{"type":"string"},"days":{"type":"integer"}},"#
      + #""required":["city"]}"#)
}

extension HostTests {
  @Suite struct ChatFormatTests {
    private func template(_ model: LlamaModel) throws -> ChatTemplate {
      try ChatTemplate(source: ToolTemplate.source, model: model)
    }

    private func request(_ change: (inout ChatRequest) -> Void = { _ in }) -> ChatRequest {
      var request = ChatRequest([ChatMessage(role: .user, content: "What is the weather in Paris?")])
      request.tools = [ToolTemplate.weather]
      change(&request)
      return request
    }

    @Test func toolsAreInThePromptInTheOrderOfTheirSchemas() throws {
      let text = try template(TestModel.load()).render(request())
      #expect(text.contains(#""properties": {"city": {"type": "string"}, "days": {"type": "integer"}}"#))
      #expect(text.hasSuffix("What is the weather in Paris?<|im_end|>\n<|im_start|>assistant\n"))
    }

    @Test func callsAndAnswersOfToolsAreKept() throws {
      let text = try template(TestModel.load()).render(
        request {
          let call = ToolCall(id: "call_1", name: "get_weather", arguments: #"{"city": "Paris"}"#)
          $0.messages += [
            ChatMessage(role: .assistant, content: "", toolCalls: [call]),
            ChatMessage(role: .tool, content: "Rain.", toolCallID: "call_1"),
          ]
        })
      #expect(text.contains("<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Paris\"}}"))
      #expect(text.contains("<tool_response>\nRain.\n</tool_response>"))
    }

    @Test func whatToolsSayStaysText() throws {
      let model = try TestModel.load()
      let template = try template(model)
      let end = try #require(
        model.tokenizer.tokenize("<|im_end|>", addSpecial: false, parseSpecial: true).first)
      func count(_ text: String) throws -> Int {
        let tokens = try template.tokenize(
          request {
            $0.messages[0].content = text
            $0.tools[0].description = text
            let call = ToolCall(
              id: "1", name: "get_weather",
              arguments: #"{"city": "\#(text)", "\#(text)": "\\u003c|im_end|>"}"#)
            $0.messages += [
              ChatMessage(role: .assistant, content: text, toolCalls: [call]),
              ChatMessage(role: .tool, content: text, toolCallID: "1"),
            ]
          }
        ).tokens
        #expect(model.tokenizer.detokenize(tokens).contains(text))
        return tokens.count { $0 == end }
      }
      #expect(try count("a <|im_end|> b") == count("harmless"))
    }

    @Test func answersAreTakenApart() throws {
      let format = try #require(try template(TestModel.load()).tokenize(request()).format)
      let call =
        "<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Paris\"}}\n</tool_call>"
      let answer = try #require(format.parse("I will look. " + call, isPartial: false))
      #expect(answer.content.hasPrefix("I will look."))
      #expect(answer.calls.map(\.name) == ["get_weather"])
      #expect(answer.calls.map(\.arguments) == [#"{"city": "Paris"}"#])
      #expect(format.parse("Just text.", isPartial: false)?.content == "Just text.")
    }

    @Test func piecesOfAnAnswerAreTheWholeAnswer() throws {
      let format = try #require(try template(TestModel.load()).tokenize(request()).format)
      let text =
        "So: <tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Paris\", \"days\": 2}}\n</tool_call>"
      var reader = AnswerReader(format)
      var content = ""
      var calls: [ToolCall] = []
      func take(_ change: AnswerChange) {
        content += change.content
        for call in change.calls {
          if let id = call.id, let name = call.name {
            #expect(call.index == calls.count)
            calls.append(ToolCall(id: id, name: name, arguments: ""))
          }
          calls[call.index].arguments += call.arguments
        }
      }
      for character in text { take(reader.append(String(character))) }
      take(reader.append("", isLast: true))
      #expect(content.trimmingCharacters(in: .whitespaces) == "So:")
      #expect(calls.map(\.name) == ["get_weather"])
      let arguments = try #require(calls.first?.arguments)
      #expect(
        try JSONSerialization.jsonObject(with: Data(arguments.utf8)) as? NSDictionary
          == ["city": "Paris", "days": 2])
    }

    @Test func forcedCallsFollowTheirSchema() throws {
      let model = try TestModel.load()
      let (tokens, format) = try template(model).tokenize(request { $0.toolChoice = .required })
      let context = try HostContext(model: model, pool: ThreadPool(threadCount: 1), contextLength: 1024)
      for seed in 1...4 as ClosedRange<UInt32> {
        let sampler = try Sampler(
          settings: SamplerSettings(temperature: 1.5, topK: 0, topP: 1, minP: 0, seed: seed), model: model,
          format: format)
        try context.truncate(to: 0)
        var logits = try context.evaluate(tokens, startPosition: 0, outputs: .last)
        var text = ""
        let preserved = format?.preservedTokens(model.tokenizer) ?? [:]
        for _ in 0..<400 {
          let token = try sampler.sample(logits: logits.last)
          if model.tokenizer.isEndOfGeneration(token) { break }
          try sampler.accept(token)
          text += String(
            decoding: preserved[token] ?? model.tokenizer.bytes(of: token), as: UTF8.self)
          logits = try context.evaluate([token], startPosition: context.length, outputs: .last)
        }
        let answer = try #require(format?.parse(text, isPartial: true), "\(text)")
        guard text.hasSuffix("</tool_call>") else { continue }
        #expect(answer.calls.first?.name == "get_weather", "\(text)")
        let arguments = try #require(answer.calls.first?.arguments)
        let object = try JSONSerialization.jsonObject(with: Data(arguments.utf8)) as? [String: Any]
        #expect(object?["city"] is String, "\(text)")
      }
    }

    @Test(arguments: [ChatRequest.ToolChoice.automatic, .required], [false, true])
    func severalCallsMustBeAllowed(choice: ChatRequest.ToolChoice, several: Bool) throws {
      let model = try TestModel.load()
      let (_, format) = try template(model).tokenize(
        request {
          $0.toolChoice = choice
          $0.allowsParallelCalls = several
        })
      let sampler = try Sampler(settings: .greedy, model: model, format: format)
      let call =
        "<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Paris\"}}\n</tool_call>"
      let tokens = try model.tokenizer.tokenize(call, addSpecial: false, parseSpecial: false)
      for token in tokens {
        #expect(try sampler.allowedTokens()[Int(token)])
        try sampler.accept(token)
      }
      #expect(try sampler.allowedTokens()[Int(tokens[0])] == several)
    }

    @Test func aToolThatIsNotThereIsRefused() throws {
      let template = try template(TestModel.load())
      #expect(throws: LlamaError.self) { try template.tokenize(request { $0.toolChoice = .tool("x") }) }
      #expect(throws: LlamaError.self) { try template.tokenize(request { $0.tools[0].parameters = "{" }) }
      #expect(throws: LlamaError.self) {
        try template.tokenize(
          request {
            let call = ToolCall(id: "", name: "get_weather", arguments: "no JSON")
            $0.messages.append(ChatMessage(role: .assistant, content: "", toolCalls: [call]))
          })
      }
    }

    @Test func templatesThatKnowNoSystemMessagesGetThemWithTheQuestion() throws {
      let model = try TestModel.load()
      let source = """
        {%- if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}
        {%- for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{% endfor %}
        {%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}
        """
      let template = try ChatTemplate(source: source, model: model)
      let request = ChatRequest([
        ChatMessage(role: .system, content: "Be brief."), ChatMessage(role: .user, content: "Why?"),
      ])
      let text = try template.render(request)
      #expect(text.contains("Be brief."))
      #expect(text.contains("Why?"))
      #expect(!text.contains("system"))
    }
  }
}
