import Foundation
import InferenceServer
import LlamaHost
import Serving
import Testing

/// `/v1/responses`, `/v1/messages`, and tools in chat completions.
@Suite struct InterfaceTests {
  private static let tool =
    #"{"type":"function","function":{"name":"get_weather","description":"Weather.","parameters":"#
    + #"{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}}}"#

  /// Thinks, speaks, and asks for a tool.
  private func service(reason: FinishReason = .toolCalls, stop: String? = nil) -> ScriptedService {
    var deltas = [
      CompletionDelta(text: "", reasoning: "Hm"), CompletionDelta(text: "", reasoning: "."),
      CompletionDelta(text: "Let"), CompletionDelta(text: " me see."),
    ]
    if reason == .toolCalls {
      deltas += [
        CompletionDelta(text: "", calls: [.init(index: 0, id: "call_a", name: "get_weather")]),
        CompletionDelta(text: "", calls: [.init(index: 0, arguments: #"{"city":"#)]),
        CompletionDelta(text: "", calls: [.init(index: 0, arguments: #""Paris"}"#)]),
      ]
    }
    if let stop {
      var last = CompletionDelta(text: "")
      last.stop = stop
      deltas.append(last)
    }
    return ScriptedService(deltas: deltas, reason: reason)
  }

  private func conversation(_ service: ScriptedService) throws -> ChatRequest {
    guard case .chat(let request)? = service.requests.last?.prompt else {
      throw APIError(.badRequest, "not a conversation")
    }
    return request
  }

  @Test func toolsInChatCompletions() async throws {
    let service = service()
    try await TestServer.run(service) { server in
      let answer = try await server.post(
        "/v1/chat/completions",
        #"{"messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":null,"tool_calls":["#
          + #"{"id":"c1","type":"function","function":{"name":"get_weather","arguments":"{\"city\":\"Rome\"}"}}]},"#
          + #"{"role":"tool","tool_call_id":"c1","content":"Sun"}],"tools":[\#(Self.tool)],"#
          + #""tool_choice":{"type":"function","function":{"name":"get_weather"}},"reasoning_effort":"high"}"#
      )
      #expect(answer.status == 200)
      let json = try answer.json
      #expect(json["choices/0/finish_reason"] == .string("tool_calls"))
      #expect(json["choices/0/message/reasoning_content"] == .string("Hm."))
      #expect(json["choices/0/message/content"] == .string("Let me see."))
      #expect(json["choices/0/message/tool_calls/0/id"] == .string("call_a"))
      #expect(json["choices/0/message/tool_calls/0/type"] == .string("function"))
      #expect(json["choices/0/message/tool_calls/0/function/name"] == .string("get_weather"))
      #expect(json["choices/0/message/tool_calls/0/function/arguments"] == .string(#"{"city":"Paris"}"#))
    }
    let request = try conversation(service)
    #expect(request.messages.map(\.role) == [.user, .assistant, .tool])
    #expect(request.messages[1].toolCalls.map(\.arguments) == [#"{"city":"Rome"}"#])
    #expect(request.messages[2].toolCallID == "c1")
    #expect(request.tools.map(\.name) == ["get_weather"])
    #expect(request.toolChoice == .tool("get_weather"))
    #expect(request.arguments == #"{"reasoning_effort":"high"}"#)
    #expect(!request.continuesAnswer)
  }

  @Test func streamedToolCallsComeInPieces() async throws {
    try await TestServer.run(service()) { server in
      let answer = try await server.post(
        "/v1/chat/completions",
        #"{"messages":[{"role":"user","content":"Hi"}],"tools":[\#(Self.tool)],"stream":true}"#)
      let chunks = try answer.events.dropLast().map { try JSONValue(parsing: Data($0.utf8)) }
      let deltas = chunks.compactMap { $0["choices/0/delta"] }
      #expect(deltas.compactMap { $0["reasoning_content"]?.string }.joined() == "Hm.")
      #expect(deltas.compactMap { $0["content"]?.string }.joined() == "Let me see.")
      let calls = deltas.compactMap { $0["tool_calls/0"] }
      #expect(calls.first?["id"] == .string("call_a"))
      #expect(calls.allSatisfy { $0["index"] == .integer(0) })
      #expect(calls.compactMap { $0["function/arguments"]?.string }.joined() == #"{"city":"Paris"}"#)
      #expect(chunks.last?["choices/0/finish_reason"] == .string("tool_calls"))
    }
  }

  @Test func anAnswerThatIsBegunGoesOn() async throws {
    let service = service(reason: .stop)
    try await TestServer.run(service) { server in
      _ = try await server.post(
        "/v1/chat/completions",
        #"{"messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":"Be"}]}"#)
    }
    #expect(try conversation(service).continuesAnswer)
  }

  @Test func responses() async throws {
    let service = service()
    try await TestServer.run(service) { server in
      let answer = try await server.post(
        "/v1/responses",
        #"{"model":"m","instructions":"Be brief.","input":"Hi","tools":[{"type":"function","name":"get_weather","#
          + #""parameters":{"type":"object","properties":{}},"strict":true}],"reasoning":{"effort":"none"},"#
          + #""max_output_tokens":30}"#)
      #expect(answer.status == 200)
      let json = try answer.json
      #expect(json["object"] == .string("response"))
      #expect(json["status"] == .string("completed"))
      #expect(json["output/0/type"] == .string("reasoning"))
      #expect(json["output/0/content/0/text"] == .string("Hm."))
      #expect(json["output/1/type"] == .string("message"))
      #expect(json["output/1/content/0/text"] == .string("Let me see."))
      #expect(json["output/2/type"] == .string("function_call"))
      #expect(json["output/2/call_id"] == .string("call_a"))
      #expect(json["output/2/arguments"] == .string(#"{"city":"Paris"}"#))
      #expect(json["usage/input_tokens"] == .integer(7))
      #expect(json["usage/input_tokens_details/cached_tokens"] == .integer(5))
      #expect(json["usage/output_tokens_details/reasoning_tokens"] == .integer(2))
      #expect(json["instructions"] == .string("Be brief."))
      let first = try conversation(service)
      #expect(first.messages.map(\.content) == ["Be brief.", "Hi"])
      #expect(first.enableThinking == false)
      #expect(service.requests.last?.maximumTokens == 30)

      let id = try #require(json["id"]?.string)
      let next = try await server.post(
        "/v1/responses",
        #"{"previous_response_id":"\#(id)","input":[{"type":"function_call_output","call_id":"call_a","#
          + #""output":"Sun"},{"role":"user","content":[{"type":"input_text","text":"So?"}]}]}"#)
      #expect(next.status == 200)
      let second = try conversation(service)
      #expect(second.messages.map(\.role) == [.user, .assistant, .tool, .user])
      #expect(second.messages[1].toolCalls.map(\.id) == ["call_a"])
      #expect(second.messages[1].content == "Let me see.")
      let kept = try await server.send("GET", "/v1/responses/\(id)").json
      #expect(kept["id"] == .string(id))
      #expect(try await server.send("DELETE", "/v1/responses/\(id)").status == 200)
      #expect(try await server.send("GET", "/v1/responses/\(id)").status == 404)
      let lost = try await server.post("/v1/responses", #"{"previous_response_id":"\#(id)","input":"x"}"#)
      #expect(lost.status == 404)
      let problem = try lost.json
      #expect(problem["error/param"] == .string("previous_response_id"))
    }
  }

  @Test func streamedResponses() async throws {
    try await TestServer.run(service()) { server in
      let answer = try await server.post("/v1/responses", #"{"input":"Hi","stream":true}"#)
      let events = try answer.namedEvents
      #expect(
        events.map(\.name) == [
          "response.created", "response.in_progress", "response.output_item.added",
          "response.content_part.added",
          "response.reasoning_text.delta", "response.reasoning_text.delta", "response.reasoning_text.done",
          "response.content_part.done", "response.output_item.done", "response.output_item.added",
          "response.content_part.added", "response.output_text.delta", "response.output_text.delta",
          "response.output_text.done", "response.content_part.done", "response.output_item.done",
          "response.output_item.added", "response.function_call_arguments.delta",
          "response.function_call_arguments.delta", "response.function_call_arguments.done",
          "response.output_item.done", "response.completed",
        ])
      #expect(events.allSatisfy { $0.data["type"] == .string($0.name) })
      #expect(events.compactMap { $0.data["sequence_number"]?.integer } == Array(0..<events.count))
      #expect(events.last?.data["response/output/2/arguments"] == .string(#"{"city":"Paris"}"#))
      #expect(!answer.body.contains("[DONE]"))
    }
  }

  @Test func failuresInTheMiddleOfAStreamAreEvents() async throws {
    let error = ServingError.engineFailure("lost")
    try await TestServer.run(ScriptedService(failure: (1, error))) { server in
      let response = try await server.post("/v1/responses", #"{"input":"Hi","stream":true}"#)
      let failed = try response.namedEvents
      #expect(failed.last?.name == "response.failed")
      let message = try await server.post(
        "/v1/messages", #"{"max_tokens":9,"messages":[{"role":"user","content":"Hi"}],"stream":true}"#)
      let broken = try message.namedEvents
      #expect(broken.last?.data["error/type"] == .string("api_error"))
    }
  }

  @Test func messages() async throws {
    let service = service()
    try await TestServer.run(service) { server in
      let answer = try await server.post(
        "/v1/messages",
        #"{"model":"m","max_tokens":50,"system":[{"type":"text","text":"Be brief."}],"#
          + #""thinking":{"type":"enabled","budget_tokens":20},"stop_sequences":["END"],"#
          + #""tools":[{"name":"get_weather","input_schema":{"type":"object","properties":{}}}],"#
          + #""tool_choice":{"type":"any"},"messages":[{"role":"user","content":[{"type":"document","title":"T","#
          + #""source":{"type":"text","media_type":"text/plain","data":"D"}},{"type":"text","text":"Hi"}]},"#
          + #"{"role":"assistant","content":[{"type":"thinking","thinking":"Hm","signature":""},"#
          + #"{"type":"tool_use","id":"t1","name":"get_weather","input":{"city":"Rome"}}]},"#
          + #"{"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":"Sun"}]}]}"#)
      #expect(answer.status == 200)
      let json = try answer.json
      #expect(json["type"] == .string("message"))
      #expect(json["content/0/thinking"] == .string("Hm."))
      #expect(json["content/1/text"] == .string("Let me see."))
      #expect(json["content/2/type"] == .string("tool_use"))
      #expect(json["content/2/input/city"] == .string("Paris"))
      #expect(json["stop_reason"] == .string("tool_use"))
      #expect(json["usage/input_tokens"] == .integer(2))
      #expect(json["usage/cache_read_input_tokens"] == .integer(5))
    }
    let request = try conversation(service)
    #expect(request.messages.map(\.role) == [.system, .user, .assistant, .tool])
    #expect(request.messages[1].content == "Document: T\nD\n\nHi")
    #expect(request.messages[2].reasoning == "Hm")
    #expect(request.messages[2].toolCalls.map(\.arguments) == [#"{"city":"Rome"}"#])
    #expect(request.messages[3].toolCallID == "t1")
    #expect(request.toolChoice == .required)
    #expect(request.enableThinking == true)
    #expect(request.reasoningBudget == 20)
    #expect(service.requests.last?.stop == ["END"])
    #expect(service.requests.last?.maximumTokens == 50)
  }

  @Test func streamedMessages() async throws {
    try await TestServer.run(service(reason: .stop, stop: "END")) { server in
      let answer = try await server.post(
        "/v1/messages", #"{"max_tokens":9,"messages":[{"role":"user","content":"Hi"}],"stream":true}"#)
      let events = try answer.namedEvents
      #expect(
        events.map(\.name) == [
          "message_start", "ping", "content_block_start", "content_block_delta", "content_block_delta",
          "content_block_stop", "content_block_start", "content_block_delta", "content_block_delta",
          "content_block_stop", "message_delta", "message_stop",
        ])
      #expect(events[2].data["content_block/type"] == .string("thinking"))
      #expect(events[6].data["index"] == .integer(1))
      #expect(events[10].data["delta/stop_reason"] == .string("stop_sequence"))
      #expect(events[10].data["delta/stop_sequence"] == .string("END"))
    }
  }

  @Test(arguments: [
    (#"{"messages":[{"role":"user","content":"x"}]}"#, "max_tokens"),
    (#"{"max_tokens":1,"messages":[]}"#, "messages"),
    (#"{"max_tokens":1,"messages":[{"role":"user","content":[{"type":"image"}]}]}"#, "image"),
    (#"{"max_tokens":1,"messages":[{"role":"x","content":""}]}"#, "role"),
    (
      #"{"max_tokens":1,"messages":[{"role":"user","content":"x"}],"tool_choice":{"type":"any"}}"#,
      "tool_choice"
    ),
  ])
  func refusedMessagesAreErrorsOfThatInterface(body: String, names: String) async throws {
    try await TestServer.run(ScriptedService()) { server in
      let answer = try await server.post("/v1/messages", body)
      #expect(answer.status == 400)
      let json = try answer.json
      #expect(json["type"] == .string("error"))
      #expect(json["error/type"] == .string("invalid_request_error"))
      #expect(json["error/message"]?.string?.contains(names) == true)
    }
  }

  @Test func keysOfBothKinds() async throws {
    var settings = ServerSettings()
    settings.keys = try APIKeys(parsing: "secret")
    let body = #"{"max_tokens":9,"messages":[{"role":"user","content":"Hi"}]}"#
    try await TestServer.run(ScriptedService(), settings: settings) { server in
      let cases: [([String: String], Int)] = [
        ([:], 401), (["x-api-key": "wrong"], 401), (["x-api-key": "secret"], 200),
        (["Authorization": "Bearer secret"], 200),
      ]
      for (headers, status) in cases {
        let answer = try await server.post("/v1/messages", body, headers: headers)
        #expect(answer.status == status, "\(headers)")
      }
    }
  }
}

extension Answer {
  /// Server-sent events with names.
  var namedEvents: [(name: String, data: JSONValue)] {
    get throws {
      try body.components(separatedBy: "\n\n").filter { !$0.isEmpty }.map { event in
        let lines = event.components(separatedBy: "\n")
        let name = lines.first { $0.hasPrefix("event: ") }.map { String($0.dropFirst(7)) } ?? ""
        let data = lines.first { $0.hasPrefix("data: ") }.map { String($0.dropFirst(6)) } ?? ""
        return (name, try JSONValue(parsing: Data(data.utf8)))
      }
    }
  }
}
