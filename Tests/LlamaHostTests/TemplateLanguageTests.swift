// What templates are written with, in templates of our own. The texts that are expected are those of Python's jinja2
// with the settings of transformers; scripts/check-templates compares whole templates with it.

import LlamaHost
import TestSupport
import Testing

extension HostTests {
  @Suite struct TemplateLanguageTests {
    private static let turns = [
      ChatMessage(role: .user, content: " One? "),
      ChatMessage(role: .assistant, content: "<think>a</think>\nTwo."),
      ChatMessage(role: .user, content: "Three?"),
    ]

    private func render(
      _ source: String, _ messages: [ChatMessage] = turns, options: ChatTemplate.Options = .init(),
      addGenerationPrompt: Bool = true
    ) throws -> String {
      try ChatTemplate(source: source, options: options, model: TestModel.load())
        .render(messages, addGenerationPrompt: addGenerationPrompt)
    }

    @Test func loopsWithNamespaces() throws {
      let source = """
        {%- set ns = namespace(last=-1, names=[]) %}
        {%- for message in messages %}
          {%- if message.role == 'user' %}{% set ns.last = loop.index0 %}{% endif %}
        {%- endfor %}
        {%- for message in messages[::-1] %}
        {{ loop.index }}/{{ loop.length }} {{ message['role'] }}: {{ message.content | trim }}
        {%- if not loop.last %},{% endif %}
        {%- endfor %}
        {{- ' last ' ~ ns.last }}
        """
      #expect(
        try render(source)
          == "1/3 user: Three?,2/3 assistant: <think>a</think>\nTwo.,3/3 user: One? last 2")
    }

    @Test func macrosFiltersAndTests() throws {
      let source = """
        {%- macro turn(role, text='none') -%}
        [{{ role | upper }}|{{ text }}]
        {%- endmacro -%}
        {%- for message in messages -%}
        {{ turn(message.role, text=message.content | trim | replace('?', '!')) }}
        {%- endfor -%}
        {{ turn('x') }} {{ messages | length }} {{ messages | selectattr('role', 'equalto', 'user') | list | length }}
        {%- if tools is defined and tools is none %} no tools{% endif %}
        {{- messages[0] | tojson }}{{ 'ab' in 'cabd' }} {{ 7 % 4 }}
        """
      #expect(
        try render(source)
          == #"[USER|One!][ASSISTANT|<think>a</think>\#nTwo.][USER|Three!][X|none] 3 2 no tools"#
          + #"{"role": "user", "content": " One? "}True 3"#)
    }

    @Test func thoughtsOfEarlierTurnsGo() throws {
      let source = """
        {%- for message in messages %}
        {%- if message.role == 'assistant' and '</think>' in message.content %}
        {{- message.content.split('</think>')[-1].lstrip('\\n') }}
        {%- else %}
        {{- '<' + message.content + '>' }}
        {%- endif %}
        {%- endfor %}
        {%- if add_generation_prompt %}
        {{- '<think>\\n' if enable_thinking is not defined or enable_thinking else '<think>\\n\\n</think>\\n' }}
        {%- endif %}
        """
      #expect(try render(source) == "< One? >Two.<Three?><think>\n")
      #expect(try render(source, options: .init(enableThinking: true)) == "< One? >Two.<Three?><think>\n")
      #expect(
        try render(source, options: .init(enableThinking: false))
          == "< One? >Two.<Three?><think>\n\n</think>\n")
      #expect(
        try render(source, options: .init(arguments: #"{"enable_thinking": false}"#))
          == "< One? >Two.<Three?><think>\n\n</think>\n")
      #expect(try render(source, addGenerationPrompt: false) == "< One? >Two.<Three?>")
    }

    @Test func defaultsAndDates() throws {
      let source = """
        {%- if messages[0].role == 'system' -%}
          {%- set system = messages[0].content -%}{%- set rest = messages[1:] -%}
        {%- else -%}
          {%- set system = 'You help.' -%}{%- set rest = messages -%}
        {%- endif -%}
        {{ system }} {{ strftime_now('%Y') }} {{ place | default('nowhere') }}{% for m in rest %} {{ m.content }}{% endfor %}
        """
      let text = try render(source, options: .init(arguments: #"{"place": "Oz"}"#))
      #expect(text.hasPrefix("You help. 20"))
      #expect(text.contains(" Oz  One? "))
      #expect(try render(source, options: .init(systemPrompt: "Be brief.")).hasPrefix("Be brief. 20"))
    }

    /// Contents as lists of parts, for templates that know no plain text.
    @Test func parts() throws {
      let source = """
        {%- for message in messages -%}
        {%- for part in message.content -%}{%- if part.type == 'text' -%}<{{ part.text }}>{%- endif -%}{%- endfor -%}
        {%- endfor -%}
        """
      #expect(try render(source) == "< One? ><<think>a</think>\nTwo.><Three?>")
    }

    @Test func refusals() throws {
      let source = """
        {%- if messages[0].role == 'system' %}{{ raise_exception('No system messages, please') }}{% endif -%}
        {{ messages[0].content }}
        """
      let template = try ChatTemplate(source: source, model: TestModel.load())
      #expect {
        try template.render([ChatMessage(role: .system, content: "x")])
      } throws: {
        guard case LlamaError.chatTemplateRefused("No system messages, please") = $0 else { return false }
        return true
      }
      #expect {
        _ = try ChatTemplate(source: source, options: .init(systemPrompt: "x"), model: TestModel.load())
      } throws: {
        guard case LlamaError.chatTemplateUnusable("No system messages, please") = $0 else { return false }
        return true
      }
    }

    @Test(arguments: [
      "{{ messages[0].content", "{% for m in messages %}", "{% unknown %}",
      "{{ messages[0].content | nothing }}",
      "{{ 1 + }}", "{{ messages[0].content + 1 / 0 }}{{ x.y.z() }}", "nothing of it", "",
      "{{ ct_literals }}{{ messages[0].content }}", String(repeating: "(", count: 100_000),
      "{{ " + String(repeating: "[", count: 1000) + String(repeating: "]", count: 1000) + " }}",
      String(repeating: "{% if a %}", count: 10_000),
      "{{ " + String(repeating: "not ", count: 100_000) + "a }}",
      "{{ '\\q' }}", "{{ 'a", "{#", "{{ 99999999999999999999 }}",
    ])
    func whatCannotBeUsedIsAnError(source: String) throws {
      do {
        _ = try ChatTemplate(source: source, model: TestModel.load())
        Issue.record("\(source.prefix(40)) was taken")
      } catch LlamaError.chatTemplateUnusable(let reason) {
        #expect(!reason.isEmpty && reason.count < 400 && !reason.contains("\n"), "\(reason)")
      }
    }

    @Test(arguments: ["", "[]", "{", "1", "{\"a\": }", String(repeating: "[", count: 100_000)])
    func argumentsThatAreNoObject(arguments: String) throws {
      #expect(throws: LlamaError.self) {
        _ = try ChatTemplate(
          source: "{{ messages[0].content }}", options: .init(arguments: arguments), model: TestModel.load())
      }
    }

    @Test func argumentsDoNotReplaceMessages() throws {
      let text = try render(
        "{{ messages[0].content }}{{ bos_token == 'x' }}",
        options: .init(arguments: #"{"messages": [], "bos_token": "x", "ct_literals": ["y"]}"#))
      #expect(text == " One? False")
    }

    @Test func templatesAreChosenByName() throws {
      var tiny = TinyModel.llama(context: 256)
      tiny.extra += [
        ("tokenizer.chat_template", TinyGGUF.scalar("own {{ messages[0].content }}")),
        ("tokenizer.chat_template.tool_use", TinyGGUF.scalar("tools {{ messages[0].content }}")),
      ]
      let scratch = try ScratchDirectory()
      let path = try scratch.write(tiny.build())
      func load(_ choice: ChatTemplate.Choice?) throws -> ChatTemplate? {
        var options = LlamaModel.Options()
        options.vocabularyOnly = true
        options.chatTemplate = choice
        return try LlamaModel.load(path: path, options: options).chatTemplate
      }
      #expect(try load(nil)?.source == "own {{ messages[0].content }}")
      #expect(try load(nil)?.isModelsOwn == true)
      let other = try load(.named("tool_use"))
      #expect(other?.source == "tools {{ messages[0].content }}")
      #expect(other?.isModelsOwn == false)
      let chatML = try #require(try load(.named("chatml")))
      #expect(
        try chatML.render([ChatMessage(role: .user, content: "Hi")])
          == "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n")
      do {
        _ = try load(.named("tools"))
        Issue.record("a name that is none was taken")
      } catch LlamaError.unknownChatTemplate(let name, let available) {
        #expect(name == "tools")
        #expect(available == ["tool_use", "chatml"])
      }
    }

    /// A model that comes with a template that is no template can still be used without it.
    @Test func aBrokenTemplateDoesNotKeepAModelFromLoading() throws {
      var options = LlamaModel.Options()
      options.vocabularyOnly = true
      options.chatTemplate = .source("{{ broken")
      let model = try LlamaModel.load(path: TestModel.path(), options: options)
      #expect(throws: LlamaError.self) { try model.chatTemplate?.check() }
      #expect(throws: LlamaError.self) { try model.chatTemplate?.tokenize(Self.turns) }
    }
  }
}
