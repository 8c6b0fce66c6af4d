import Foundation
import InferenceServer
import LlamaHost
import Serving
import Testing

@Suite struct CompletionTests {
  private let question = #"{"messages":[{"role":"user","content":"2+2?"}]"#

  @Test func answersAConversation() async throws {
    let service = ScriptedService()
    try await TestServer.run(service) { server in
      let answer = try await server.post(
        "/v1/chat/completions",
        #"{"model":"scripted","messages":[{"role":"developer","content":"Be brief."},"#
          + #"{"role":"user","content":[{"type":"text","text":"2"},{"type":"text","text":"+2?"}]}],"#
          + #""temperature":0.5,"top_p":0.9,"seed":-1,"stop":"\n","max_completion_tokens":12,"session":"ses-9"}"#
      )
      #expect(answer.status == 200)
      #expect(answer.headers["content-type"] == "application/json")
      let json = try answer.json
      #expect(json["object"] == .string("chat.completion"))
      #expect(json["choices/0/message/content"] == .string("Four is the answer."))
      #expect(json["choices/0/message/role"] == .string("assistant"))
      #expect(json["choices/0/finish_reason"] == .string("stop"))
      #expect(json["choices/0/logprobs"] == .null)
      #expect(json["usage/prompt_tokens"] == .integer(7))
      #expect(json["usage/completion_tokens"] == .integer(3))
      #expect(json["usage/total_tokens"] == .integer(10))
      #expect(json["usage/prompt_tokens_details/cached_tokens"] == .integer(5))
      #expect(json["usage/completion_tokens_details/reasoning_tokens"] == .integer(2))
      #expect(json["statistics/tokens_per_second"]?.number == 1.5)
      #expect(json["statistics/context_read"]?.number == 0.25)
    }
    let request = try #require(service.requests.first)
    guard case .chat(let conversation) = request.prompt else {
      Issue.record("not a conversation")
      return
    }
    let messages = conversation.messages
    #expect(messages.map(\.role) == [.system, .user])
    #expect(messages.map(\.content) == ["Be brief.", "2+2?"])
    #expect(request.session == "ses-9")
    #expect(request.maximumTokens == 12)
    #expect(request.stop == ["\n"])
    #expect(request.sampling.temperature == 0.5)
    #expect(request.sampling.topP == 0.9)
    #expect(request.sampling.seed != nil)
    #expect(request.choiceCount == 1)
    #expect(request.alternatives == nil)
  }

  @Test func streamsAConversation() async throws {
    try await TestServer.run(ScriptedService()) { server in
      let answer = try await server.post(
        "/v1/chat/completions",
        question + #","stream":true,"stream_options":{"include_usage":true},"return_progress":true,"n":2}"#)
      #expect(answer.status == 200)
      #expect(answer.headers["content-type"] == "text/event-stream; charset=utf-8")
      #expect(answer.events.last == "[DONE]")
      let chunks = try answer.events.dropLast().map { try JSONValue(parsing: Data($0.utf8)) }
      #expect(Set(chunks.map { $0["id"] }).count == 1)
      #expect(chunks.allSatisfy { $0["object"] == .string("chat.completion.chunk") })
      #expect(chunks[0]["prompt_progress/processed"] == .integer(7))
      #expect(chunks[0]["prompt_progress/seconds_left"] == .number(0.5))
      for index in 0...1 {
        let mine = chunks.filter { $0["choices/0/index"] == .integer(index) }
        #expect(mine.first?["choices/0/delta/role"] == .string("assistant"))
        #expect(mine.compactMap { $0["choices/0/delta/content"]?.string }.joined() == "Four is the answer.")
        #expect(mine.dropLast().allSatisfy { $0["choices/0/finish_reason"] == .null })
        #expect(mine.last?["choices/0/finish_reason"] == .string("stop"))
      }
      let last = try #require(chunks.last)
      #expect(last["choices"] == .array([]))
      #expect(last["usage/completion_tokens"] == .integer(6))
      #expect(chunks.dropLast().allSatisfy { $0["usage"] == nil })
    }
  }

  @Test func logProbabilitiesOfBothKinds() async throws {
    try await TestServer.run(ScriptedService()) { server in
      let chat = try await server.post(
        "/v1/chat/completions", question + #","logprobs":true,"top_logprobs":2}"#)
      let token = try #require(try chat.json["choices/0/logprobs/content/1"])
      #expect(token["token"] == .string(" is"))
      #expect(token["bytes"] == .array([.integer(32), .integer(105), .integer(115)]))
      #expect(token["top_logprobs/1/token"] == .string("w1_Kept"))
      let text = try await server.post(
        "/v1/completions", #"{"prompt":[1,2,3],"logprobs":1,"max_tokens":3}"#)
      let json = try text.json
      #expect(json["object"] == .string("text_completion"))
      #expect(json["choices/0/text"] == .string("Four is the answer."))
      #expect(json["choices/0/logprobs/text_offset"] == .array([.integer(0), .integer(4), .integer(7)]))
      // Tokens are keys there, and stay as they are.
      #expect(json["choices/0/logprobs/top_logprobs/0"]?.object?["w0_Kept"] != nil)
    }
  }

  @Test func textStreams() async throws {
    let service = ScriptedService()
    try await TestServer.run(service) { server in
      let answer = try await server.post("/v1/completions", #"{"prompt":"Once","stream":true}"#)
      let chunks = try answer.events.dropLast().map { try JSONValue(parsing: Data($0.utf8)) }
      #expect(chunks.compactMap { $0["choices/0/text"]?.string }.joined() == "Four is the answer.")
      #expect(chunks.last?["choices/0/finish_reason"] == .string("stop"))
    }
    #expect(service.requests.first?.maximumTokens == 16)
  }

  @Test func formatsBecomeGrammars() async throws {
    let service = ScriptedService()
    try await TestServer.run(service) { server in
      for format in [
        #"{"type":"json_object"}"#,
        #"{"type":"json_schema","json_schema":{"name":"x","strict":true,"schema":{"type":"integer"}}}"#,
        #"{"type":"text"}"#,
      ] {
        let answer = try await server.post(
          "/v1/chat/completions", question + #","response_format":\#(format)}"#)
        #expect(answer.status == 200, "\(answer.body)")
      }
      _ = try await server.post("/v1/completions", #"{"prompt":"a","grammar":"root ::= \"x\""}"#)
    }
    let grammars = service.requests.map(\.sampling.grammar)
    #expect(grammars[0] == JSONGrammar.anyObject)
    #expect(grammars[1]?.contains("root ::= integer") == true)
    #expect(grammars[2] == nil)
    #expect(grammars[3] == "root ::= \"x\"")
  }

  /// What constrains an answer elsewhere constrains it here.
  @Test(arguments: [
    (#""response_format":{"type":"json_object","schema":{"type":"integer"}}"#, "root ::= integer"),
    (#""response_format":{"type":"json_object","json_schema":{"schema":{"type":"null"}}}"#, "root ::= null"),
    (#""response_format":{"type":"json_schema","schema":"{\"type\":\"null\"}"}"#, "root ::= null"),
    (#""response_format":{"type":"grammar","grammar":"root ::= [a-z]"}"#, "root ::= [a-z]"),
    (#""json_schema":{"type":"boolean"}"#, "root ::= boolean"),
    (#""json_schema":"{\"type\":\"boolean\"}""#, "root ::= boolean"),
    (#""json_schema":{"name":"x","schema":{"type":"boolean"}}"#, "root ::= boolean"),
    (#""guided_json":{"type":"number"}"#, "root ::= number"),
    (#""guided_json":"{\"type\":\"number\"}""#, "root ::= number"),
    (#""guided_json_object":true"#, JSONGrammar.anyObject), (#""format":"json""#, JSONGrammar.anyObject),
    (#""format":{"type":"null"}"#, "root ::= null"),
    (#""guided_choice":["yes","say \"no\"\n"]"#, #"root ::= "yes" | "say \"no\"\n""# + "\n"),
    (#""guided_grammar":"root ::= [0-9]""#, "root ::= [0-9]"),
    (#""ebnf":"root ::= [0-9]""#, "root ::= [0-9]"),
    (#""structured_outputs":{"json":{"type":"null"}}"#, "root ::= null"),
    (#""structured_outputs":{"json_object":true}"#, JSONGrammar.anyObject),
    (#""structured_outputs":{"choice":["a"]}"#, "root ::= \"a\"\n"),
    (#""structured_outputs":{"grammar":"root ::= [0-9]","regex":null}"#, "root ::= [0-9]"),
    (#""grammar":{"type":"json","value":{"type":"null"}}"#, "root ::= null"),
    (
      #""grammar":"root ::= [0-9]","format":"","guided_json_object":false,"structured_outputs":{}"#,
      "root ::= [0-9]"
    ),
  ])
  func otherSpellingsOfConstraints(field: String, beginning: String) async throws {
    let service = ScriptedService()
    try await TestServer.run(service) { server in
      let chat = try await server.post("/v1/chat/completions", question + ",\(field)}")
      let text = try await server.post("/v1/completions", #"{"prompt":"a","# + "\(field)}")
      #expect(chat.status == 200 && text.status == 200, "\(chat.body)")
    }
    #expect(service.requests.count == 2)
    for request in service.requests {
      #expect(request.sampling.grammar?.hasPrefix(beginning) == true, "\(request.sampling.grammar ?? "none")")
    }
  }

  @Test func aFailureInTheMiddleIsAnEvent() async throws {
    let service = ScriptedService(failure: (1, .engineFailure("out of ideas")))
    try await TestServer.run(service) { server in
      let answer = try await server.post("/v1/chat/completions", question + #","stream":true}"#)
      #expect(answer.status == 200)
      #expect(answer.events.last == "[DONE]")
      let error = try JSONValue(parsing: Data(try #require(answer.events.dropLast().last).utf8))
      #expect(error["error/code"] == .string("engine_failure"))
      let whole = try await server.post("/v1/chat/completions", question + "}")
      #expect(whole.status == 500)
    }
  }

  @Test func engineErrorsHaveTheirStatus() async throws {
    let cases: [(ServingError, Int, String, String?)] = [
      (.contextTooLong(tokens: 900, requested: 200, limit: 1000), 400, "context_length_exceeded", nil),
      (.queueFull(waiting: 9, retryAfterSeconds: 4), 429, "queue_full", "4"),
      (.draining, 503, "draining", "5"),
      (.unknownSession("x"), 404, "session_not_found", nil),
      (.sessionNotReady("x"), 409, "session_not_ready", "2"),
      (.outOfMemory(required: 10, budget: 5), 413, "out_of_memory", nil),
      (.engineFailure("x"), 500, "engine_failure", nil),
    ]
    for (error, status, code, retryAfter) in cases {
      try await TestServer.run(ScriptedService(refusal: error)) { server in
        let answer = try await server.post("/v1/chat/completions", question + #","stream":true}"#)
        #expect(answer.status == status)
        #expect(try answer.json["error/code"] == .string(code))
        #expect(try answer.json["error/message"]?.string?.isEmpty == false)
        #expect(answer.headers["retry-after"] == retryAfter)
      }
    }
  }

  /// Clients that write prompts for this path have filled in a template; messages are text whatever is asked for.
  @Test func controlTokensCountInRawPromptsAlone() async throws {
    let service = ScriptedService()
    try await TestServer.run(service) { server in
      for body in [
        #"{"prompt":"<s>"}"#, #"{"prompt":["<s>"],"parse_special":true}"#,
        #"{"prompt":"<s>","parse_special":false}"#, #"{"prompt":"<s>","parse_special":null}"#,
      ] { #expect(try await server.post("/v1/completions", body).status == 200) }
      #expect(try await server.post("/v1/completions", #"{"prompt":"<s>","parse_special":1}"#).status == 400)
      let chat = try await server.post("/v1/chat/completions", question + #","parse_special":true}"#)
      #expect(chat.status == 400)
      #expect(try chat.json["error/param"] == .string("parse_special"))
    }
    let parsed = service.requests.map { request -> Bool? in
      guard case .text("<s>", let parseSpecial) = request.prompt else { return nil }
      return parseSpecial
    }
    #expect(parsed == [true, true, false, true])
  }
}

extension JSONValue {
  var number: Double? {
    switch self {
    case .integer(let value): Double(value)
    case .number(let value): value
    default: nil
    }
  }
}
