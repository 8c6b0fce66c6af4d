import Foundation
import InferenceServer
import LlamaHost
import Serving
import Testing

/// What `/v1/completions` takes besides one text.
@Suite struct PromptListTests {
  private func prompts(_ service: ScriptedService) -> [String] {
    service.requests.map { "\($0.prompt)" }.sorted()
  }

  @Test func listsOfPromptsGiveListsOfChoices() async throws {
    let service = ScriptedService()
    try await TestServer.run(service) { server in
      let answer = try await server.post(
        "/v1/completions",
        #"{"prompt":["a",[1,2],[3,"b"],{"prompt_string":"c"},"d","e"],"n":2,"echo":true,"max_tokens":3}"#)
      #expect(answer.status == 200, "\(answer.body)")
      let choices = try #require(try answer.json["choices"]?.array)
      #expect(choices.map { $0["index"] } == (0..<12).map { .integer($0) })
      let openings = ["a", "\u{1}\u{2}", "\u{3}b", "c", "d", "e"]
      for (index, choice) in choices.enumerated() {
        #expect(choice["text"] == .string(openings[index / 2] + "Four is the answer."))
        #expect(choice["finish_reason"] == .string("stop"))
      }
      #expect(try answer.json["usage/prompt_tokens"] == .integer(42))
      #expect(try answer.json["usage/completion_tokens"] == .integer(36))
      #expect(try answer.json["usage/prompt_tokens_details/cached_tokens"] == .integer(30))
    }
    #expect(service.requests.count == 6)
    #expect(service.requests.allSatisfy { $0.choiceCount == 2 && $0.maximumTokens == 3 })
  }

  @Test func listsStream() async throws {
    let service = ScriptedService()
    try await TestServer.run(service) { server in
      let answer = try await server.post(
        "/v1/completions",
        #"{"prompt":["a","b","c","d","e","f"],"echo":true,"stream":true,"stream_options":{"include_usage":true}}"#
      )
      #expect(answer.events.last == "[DONE]")
      let chunks = try answer.events.dropLast().map { try JSONValue(parsing: Data($0.utf8)) }
      for (index, letter) in ["a", "b", "c", "d", "e", "f"].enumerated() {
        let mine = chunks.filter { $0["choices/0/index"] == .integer(index) }
        #expect(mine.compactMap { $0["choices/0/text"]?.string }.joined() == letter + "Four is the answer.")
        #expect(mine.first?["choices/0/text"] == .string(letter))
        #expect(mine.last?["choices/0/finish_reason"] == .string("stop"))
      }
      #expect(chunks.last?["usage/completion_tokens"] == .integer(18))
    }
  }

  /// A client that leaves stops all of them.
  @Test func leavingStopsAll() async throws {
    let service = ScriptedService(words: Array(repeating: "w", count: 10_000), pause: .milliseconds(10))
    try await TestServer.run(service) { server in
      let connection = try server.connect()
      let begin = try await server.offThread {
        try connection.write(
          TestServer.request("POST", "/v1/completions", body: #"{"prompt":["a","b","c"],"stream":true}"#))
        return try connection.read(until: "text")
      }
      #expect(begin.contains("200"))
      connection.shut()
      for _ in 0..<1000 where service.cancelled < 3 { try await Task.sleep(for: .milliseconds(5)) }
      #expect(service.cancelled == 3)
      #expect(try await server.metric("ra_http_disconnects_total") == 1)
    }
  }

  @Test func anEngineThatFailsEndsTheList() async throws {
    let service = ScriptedService(failure: (1, .engineFailure("out of ideas")))
    try await TestServer.run(service) { server in
      #expect(try await server.post("/v1/completions", #"{"prompt":["a","b"]}"#).status == 500)
      let answer = try await server.post("/v1/completions", #"{"prompt":["a","b"],"stream":true}"#)
      let error = try JSONValue(parsing: Data(try #require(answer.events.dropLast().last).utf8))
      #expect(error["error/code"] == .string("engine_failure"))
    }
  }

  @Test func gapsAreFilled() async throws {
    let service = ScriptedService()
    try await TestServer.run(service) { server in
      let answer = try await server.post(
        "/v1/completions", #"{"prompt":"def f(","suffix":"):\n  pass","echo":true}"#)
      #expect(try answer.json["choices/0/text"] == .string("def f(Four is the answer."))
      #expect(try await server.post("/v1/completions", #"{"prompt":"a","suffix":""}"#).status == 200)
    }
    guard case .infill("def f(", "):\n  pass") = service.requests[0].prompt,
      case .text("a", true) = service.requests[1].prompt
    else {
      Issue.record("\(service.requests.map(\.prompt))")
      return
    }
  }

  @Test func biasesComeInBothForms() async throws {
    let service = ScriptedService()
    try await TestServer.run(service) { server in
      for bias in [
        #"{"50256":-100,"Hello":0.5}"#, #"[[50256,-100],["Hello",0.5]]"#, #"[[1,false]]"#, "null", "{}", "[]",
      ] {
        let text = try await server.post("/v1/completions", #"{"prompt":"a","logit_bias":\#(bias)}"#)
        #expect(text.status == 200, "\(bias): \(text.body)")
        let chat = try await server.post(
          "/v1/chat/completions", #"{"messages":[{"role":"user","content":"x"}],"logit_bias":\#(bias)}"#)
        #expect(chat.status == 200, "\(bias)")
      }
      for bias in [#""x""#, "[1]", "[[1]]", #"[[1,true]]"#, #"{"1":"x"}"#, "[[null,1]]", #"{"1":1e9}"#] {
        let answer = try await server.post("/v1/completions", #"{"prompt":"a","logit_bias":\#(bias)}"#)
        #expect(answer.status == 400, "\(bias)")
        #expect(try answer.json["error/param"]?.string?.hasPrefix("logit_bias") == true, "\(bias)")
      }
    }
    let expected = [LogitBias(.token(50256), -100), LogitBias(.text("Hello"), 0.5)]
    for index in 0..<4 { #expect(service.requests[index].logitBias == expected) }
    #expect(service.requests[4].logitBias == [LogitBias(.token(1), -.infinity)])
    for index in 6..<12 { #expect(service.requests[index].logitBias.isEmpty) }
  }

  @Test func limitsAreThoseOfOtherServers() async throws {
    let service = ScriptedService()
    try await TestServer.run(service) { server in
      for body in [
        #"{"prompt":"a","max_tokens":-1}"#, #"{"prompt":"a","n_predict":5}"#,
        #"{"prompt":"a","max_tokens":0}"#,
        #"{"prompt":"a","n":32,"best_of":32}"#, #"{"prompt":"a","model":"gpt-4","stream_options":{}}"#,
      ] { #expect(try await server.post("/v1/completions", body).status == 200, "\(body)") }
      let chat = #"{"messages":[{"role":"user","content":"x"}],"model":"gpt-4","max_completion_tokens":-1}"#
      #expect(try await server.post("/v1/chat/completions", chat).status == 200)
      // What the prompt left is told in the usage.
      let shortened = try await server.post("/v1/completions", #"{"prompt":"a","max_tokens":5000}"#)
      #expect(try shortened.json["usage/completion_tokens_limit"] == .integer(993))
      let whole = try await server.post("/v1/completions", #"{"prompt":"a","max_tokens":5}"#)
      #expect(try whole.json["usage/completion_tokens_limit"] == nil)
    }
    #expect(service.requests[0].maximumTokens == .max)
    #expect(service.requests[1].maximumTokens == 5)
    #expect(service.requests[2].maximumTokens == 0)
    #expect(service.requests[3].choiceCount == 32)
  }

  @Test func strictNamesAreChecked() async throws {
    var settings = ServerSettings()
    settings.isModelStrict = true
    settings.maximumPrompts = 2
    settings.maximumChoices = 3
    try await TestServer.run(ScriptedService(), settings: settings) { server in
      for (name, status) in [("scripted", 200), ("other", 200), ("default", 200), ("gpt-4", 404)] {
        let answer = try await server.post("/v1/completions", #"{"prompt":"a","model":"\#(name)"}"#)
        #expect(answer.status == status, "\(name)")
      }
      for (body, field) in [(#"{"prompt":["a","b","c"]}"#, "prompt"), (#"{"prompt":"a","n":4}"#, "n")] {
        let answer = try await server.post("/v1/completions", body)
        #expect(answer.status == 400)
        #expect(try answer.json["error/param"] == .string(field))
      }
    }
  }
}
