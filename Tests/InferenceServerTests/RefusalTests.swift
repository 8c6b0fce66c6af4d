import Foundation
import InferenceServer
import Serving
import Testing

@Suite struct RefusalTests {
  /// A body for chat, the field that is wrong, and a word of the message.
  private static let badChats: [(String, String?, String)] = [
    ("", nil, "JSON"), ("{", nil, "JSON"), ("[]", nil, "object"), ("null", nil, "object"),
    ("{}", "messages", "missing"),
    (#"{"messages":[]}"#, "messages", "at least one"), (#"{"messages":"hi"}"#, "messages", "list"),
    (#"{"messages":[1]}"#, "messages[0]", "object"),
    (#"{"messages":[{"content":"x"}]}"#, "role", "role"),
    (#"{"messages":[{"role":"king","content":"x"}]}"#, "messages[0].role", "king"),
    (#"{"messages":[{"role":"user"}]}"#, "messages[0].content", "string"),
    (
      #"{"messages":[{"role":"user","content":[{"type":"image_url"}]}]}"#, "messages[0].content[0].type",
      "text"
    ),
    (message(#""temperature":3"#), "temperature", "2"),
    (message(#""temperature":"hot""#), "temperature", "number"),
    (message(#""temperature":1e999"#), nil, "JSON"), (message(#""top_p":-0.1"#), "top_p", "0"),
    (message(#""n":0"#), "n", "integer"), (message(#""n":33"#), "n", "32"),
    (message(#""n":1.5"#), "n", "integer"),
    (message(#""max_tokens":0"#), "max_tokens", "integer"),
    (message(#""max_tokens":99999999999"#), "max_tokens", "integer"),
    (message(#""stop":7"#), "stop", "string"), (message(#""stop":["a",1]"#), "stop", "list"),
    (message(#""stream":"yes""#), "stream", "true"),
    (message(#""stream_options":7"#), "stream_options", "object"),
    (message(#""max_tokens":-2"#), "max_tokens", "integer"),
    (message(#""top_logprobs":3"#), "top_logprobs", "logprobs"),
    (message(#""logprobs":true,"top_logprobs":21"#), "top_logprobs", "20"),
    (message(#""seed":"x""#), "seed", "integer"), (message(#""grammar":"""#), "grammar", "empty"),
    (message(#""response_format":{"type":"xml"}"#), "response_format.type", "json_schema"),
    (message(#""response_format":{"type":"json_schema"}"#), "response_format.schema", "missing"),
    (
      message(
        #""response_format":{"type":"json_schema","json_schema":{"schema":{"type":"string","pattern":"(?=a)"}}}"#
      ),
      "response_format.json_schema.schema", "pattern"
    ),
    (message(#""grammar":"root ::= \"a\"","response_format":{"type":"json_object"}"#), "grammar", "not both"),
    (message(#""guided_regex":"a+""#), "guided_regex", "not supported"),
    (message(#""regex":"a+""#), "regex", "not supported"),
    (message(#""structural_tag":{"x":1}"#), "structural_tag", "not supported"),
    (message(#""grammar_lazy":true"#), "grammar_lazy", "not supported"),
    (message(#""allowed_token_ids":[1]"#), "allowed_token_ids", "not supported"),
    (message(#""guided_whitespace_pattern":" ""#), "guided_whitespace_pattern", "not supported"),
    (message(#""structured_outputs":{"regex":"a+"}"#), "structured_outputs.regex", "not supported"),
    (
      message(#""structured_outputs":{"structural_tag":{"x":1}}"#), "structured_outputs.structural_tag",
      "not supported"
    ),
    (
      message(#""structured_outputs":{"json_object":true,"choice":["a"]}"#), "structured_outputs",
      "one constraint"
    ),
    (message(#""structured_outputs":"json""#), "structured_outputs", "object"),
    (message(#""guided_choice":[]"#), "guided_choice", "at least one"),
    (message(#""guided_choice":["a",1]"#), "guided_choice", "string"),
    (message(#""guided_json":{"type":"string","pattern":"(a)\\1"}"#), "guided_json", "pattern"),
    (message(#""guided_json":"{""#), "guided_json", "JSON"),
    (
      message(#""guided_json":{"type":"null"},"response_format":{"type":"json_object"}"#), "response_format",
      "not both"
    ),
    (message(#""json_schema":[]"#), "json_schema", "array"),
    (message(#""json_schema":7"#), "json_schema", "schema"),
    (message(#""format":"xml""#), "format", "json"),
    (message(#""guided_grammar":"root ::= (""#), "guided_grammar", "')'"),
    (message(#""grammar":{"type":"regex","value":"a"}"#), "grammar.type", "json"),
    (message(#""response_format":{"type":"text","schema":{}}"#), "response_format.schema", "json_schema"),
    (
      message(#""response_format":{"type":"json_object","schema":{"not":{}}}"#), "response_format.schema",
      "not"
    ),
    (message(#""grammar":"root ::= \"a\"{3,1}""#), "grammar", "3 is more than 1"),
    (message(#""grammar":"root ::= [z-a]""#), "grammar", "z comes after a"),
    (message(#""grammar":"root ::= \"a\"{1000000}""#), "grammar", "300000"),
    (message(#""grammar":"root ::= \"a\" root""#), "grammar", "never end"),
    (message(#""tools":[{"type":"function"}]"#), "tools[0].name", "must be a string"),
    (message(#""tools":[{"type":"web_search"}]"#), "tools[0].type", "runs no tools of its own"),
    (message(#""tools":[{"type":"function","function":{"name":"a b"}}]"#), "tools[0].function.name", "a b"),
    (message(#""tool_choice":"required""#), "tool_choice", "there are no 'tools'"),
    (message(#""logit_bias":7"#), "logit_bias", "pairs"),
    (message(#""modalities":["audio"]"#), "modalities", "text"),
  ]

  private static func message(_ fields: String) -> String {
    #"{"messages":[{"role":"user","content":"x"}],\#(fields)}"#
  }

  @Test func wrongChatsNameTheField() async throws {
    try await TestServer.run(ScriptedService()) { server in
      for (body, field, word) in Self.badChats {
        let answer = try await server.post("/v1/chat/completions", body)
        #expect(answer.status == 400, "\(body)")
        let error = try #require(try answer.json["error"], "\(body)")
        #expect(error["type"] == .string("invalid_request_error"))
        if let field { #expect(error["param"]?.string?.hasSuffix(field) == true, "\(body): \(error)") }
        #expect(error["message"]?.string?.contains(word) == true, "\(body): \(error)")
      }
    }
  }

  @Test func wrongTextsNameTheField() async throws {
    try await TestServer.run(ScriptedService()) { server in
      for (body, field) in [
        ("{}", "prompt"), (#"{"prompt":{}}"#, "prompt"), (#"{"prompt":["a",true]}"#, "prompt"),
        (#"{"prompt":[1.5]}"#, "prompt"), (#"{"prompt":[99999999999]}"#, "prompt"),
        (#"{"prompt":7}"#, "prompt"),
        (#"{"prompt":["a",[true]]}"#, "prompt[1]"), (#"{"prompt":[[1],null]}"#, "prompt[1]"),
        (#"{"prompt":{"prompt_string":"a","multimodal_data":["x"]}}"#, "prompt"),
        (#"{"prompt":[1],"suffix":"b"}"#, "suffix"), (#"{"prompt":"a","echo":true,"logprobs":1}"#, "echo"),
        (#"{"prompt":"a","suffix":7}"#, "suffix"), (#"{"prompt":"a","echo":"yes"}"#, "echo"),
        (#"{"prompt":"a","best_of":3}"#, "best_of"), (#"{"prompt":"a","logprobs":6}"#, "logprobs"),
      ] {
        let answer = try await server.post("/v1/completions", body)
        #expect(answer.status == 400, "\(body)")
        #expect(try answer.json["error/param"] == .string(field), "\(body)")
      }
    }
  }

  @Test func unknownThingsAreNotFound() async throws {
    try await TestServer.run(ScriptedService()) { server in
      for (method, path, body, code) in [
        ("GET", "/v1/models/gpt-9", nil, "model_not_found"),
        ("GET", "/v1/sessions/ses-0", nil, "session_not_found"),
        ("DELETE", "/v1/sessions/ses-0", nil, "session_not_found"),
        ("GET", "/v1/sessions/..%2F..%2Fetc%2Fpasswd", nil, "session_not_found"),
        ("GET", "/etc/passwd", nil, "not_found"), ("GET", "/../../etc/passwd", nil, "not_found"),
      ] as [(String, String, String?, String)] {
        let answer = try await server.send(method, path, body: body)
        #expect(answer.status == 404, "\(path)")
        #expect(try answer.json["error/code"] == .string(code), "\(path)")
      }
    }
  }

  @Test func wrongMethodsAreToldTheRightOnes() async throws {
    try await TestServer.run(ScriptedService()) { server in
      for (method, path, allowed) in [
        ("GET", "/v1/chat/completions", "POST"), ("DELETE", "/v1/models", "GET, HEAD"),
        ("PUT", "/v1/sessions", "GET, HEAD, POST"), ("POST", "/v1/sessions/x", "DELETE, GET, HEAD"),
        ("POST", "/", "GET, HEAD"),
        ("OPTIONS", "/v1/completions", "POST"),
      ] {
        let answer = try await server.send(method, path)
        #expect(answer.status == 405, "\(method) \(path)")
        #expect(answer.headers["allow"] == allowed)
      }
    }
  }

  @Test func largeBodiesAreRefused() async throws {
    var settings = ServerSettings()
    settings.maximumBodyBytes = 1000
    try await TestServer.run(ScriptedService(), settings: settings) { server in
      let text = String(repeating: "x", count: 2000)
      let told = try await server.post("/v1/completions", #"{"prompt":"\#(text)"}"#)
      #expect(told.status == 413)
      #expect(try told.json["error/code"] == .string("request_too_large"))
      // Without a length there is nothing to refuse beforehand.
      let connection = try server.connect()
      let untold = try await server.offThread {
        try connection.write(
          "POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in 0..<20 { try connection.write("64\r\n" + String(repeating: "y", count: 100) + "\r\n") }
        return try connection.readAnswer()
      }
      #expect(untold.status == 413)
      #expect(try await server.send("GET", "/health").status == 200)
    }
  }

  @Test func slowBodiesAreGivenUp() async throws {
    var settings = ServerSettings()
    settings.bodySeconds = 1
    try await TestServer.run(ScriptedService(), settings: settings) { server in
      let connection = try server.connect()
      let answer = try await server.offThread {
        try connection.write(
          "POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n{")
        return try connection.readAnswer()
      }
      #expect(answer.status == 408)
    }
  }

  @Test func deepNestingIsRefused() async throws {
    try await TestServer.run(ScriptedService()) { server in
      let deep = String(repeating: "[", count: 100_000)
      let answer = try await server.post("/v1/completions", #"{"prompt":\#(deep)"#)
      #expect(answer.status == 400)
      let objects = String(repeating: #"{"items":"#, count: 400) + "{}" + String(repeating: "}", count: 400)
      let schema = try await server.post(
        "/v1/completions",
        #"{"prompt":"a","response_format":{"type":"json_schema","json_schema":{"schema":\#(objects)}}}"#)
      #expect(schema.status == 400)
    }
  }
}
