import Foundation
import InferenceServer
import Serving
import Testing

/// llama-server's paths about tokens, the model and the prompt.
@Suite struct TokenTests {
  @Test func textsBecomeTokensAndTexts() async throws {
    try await TestServer.run(ScriptedService()) { server in
      let tokens = try await server.post("/tokenize", #"{"content":"hé"}"#)
      #expect(try tokens.json["tokens"] == .array([.integer(104), .integer(195), .integer(169)]))
      let text = try await server.post("/detokenize", #"{"tokens":[104,195,169]}"#)
      #expect(try text.json["content"] == .string("hé"))
      // Token 1 begins a text.
      let special = try await server.post("/tokenize", #"{"content":["a",7,"b"],"add_special":true}"#)
      #expect(try special.json["tokens"] == .array([1, 97, 7, 98].map { .integer($0) }))
      let pieces = try await server.post("/tokenize", #"{"content":"aé","with_pieces":true}"#)
      #expect(try pieces.json["tokens/0/piece"] == .string("a"))
      #expect(try pieces.json["tokens/1/piece"] == .array([.integer(195)]))
      #expect(try pieces.json["tokens/2/id"] == .integer(169))
      let empty = try await server.post("/tokenize", #"{"content":""}"#)
      #expect(try empty.json["tokens"] == .array([]))
      for (path, body, field) in [
        ("/tokenize", "{}", "content"), ("/tokenize", #"{"content":7}"#, "content"),
        ("/tokenize", #"{"content":"a","with_pieces":1}"#, "with_pieces"), ("/detokenize", "{}", "tokens"),
        ("/detokenize", #"{"tokens":["a"]}"#, "tokens"), ("/detokenize", #"{"tokens":[1000]}"#, "tokens"),
      ] {
        let answer = try await server.post(path, body)
        #expect(answer.status == 400, "\(body)")
        #expect(try answer.json["error/param"] == .string(field), "\(body)")
      }
    }
  }

  @Test func conversationsBecomePrompts() async throws {
    try await TestServer.run(ScriptedService()) { server in
      let body = #"{"messages":[{"role":"system","content":"s"},{"role":"user","content":"u"}]"#
      let prompt = try await server.post("/apply-template", body + "}")
      #expect(try prompt.json["prompt"] == .string("system:s|user:u|assistant:"))
      let closed = try await server.post("/apply-template", body + #","add_generation_prompt":false}"#)
      #expect(try closed.json["prompt"] == .string("system:s|user:u|"))
      #expect(try await server.post("/apply-template", "{}").status == 400)
    }
  }

  @Test func theModelIsDescribed() async throws {
    try await TestServer.run(ScriptedService()) { server in
      let props = try await server.send("GET", "/props").json
      #expect(props["model_path"] == .string("scripted.gguf"))
      #expect(props["total_slots"] == .integer(3))
      #expect(props["default_generation_settings/n_ctx"] == .integer(1000))
      #expect(props["default_generation_settings/params/seed"] == .integer(4_294_967_295))
      #expect(props["chat_template"] == .string("{{ messages }}"))
      #expect(props["modalities/vision"] == .bool(false))
      let card = try await server.send("GET", "/v1/models").json
      #expect(card["data/0/meta/n_ctx_train"] == .integer(4096))
      #expect(card["data/0/meta/n_params"] == .integer(1234))
      #expect(card["data/0/meta/size"] == .integer(5678))
      #expect(card["data/0/meta/family"] == .string("llama"))
      #expect(card["data/0/max_model_len"] == .integer(1000))
      #expect(card["data/0/aliases"] == .array([.string("other")]))
      #expect(card["data/0/capabilities"] == .array([.string("completion")]))
      #expect(try await server.send("GET", "/v1/models/other").json["id"] == .string("scripted"))
    }
  }

  /// Every path has a twin, and what can be got can be asked for without its body.
  @Test func pathsComeWithAndWithoutTheirVersion() async throws {
    try await TestServer.run(ScriptedService()) { server in
      for path in ["health", "models", "models/scripted", "props", "sessions"] {
        for place in ["/\(path)", "/v1/\(path)"] {
          let answer = try await server.send("GET", place)
          #expect(answer.status == 200, "\(place)")
          let head = try await server.send("HEAD", place)
          #expect(head.status == 200 && head.body.isEmpty, "\(place)")
          #expect(head.headers["content-length"] == "\(answer.body.utf8.count)", "\(place)")
        }
      }
      for path in ["", "openapi.json", "metrics"] {
        #expect(try await server.send("HEAD", "/\(path)").status == 200, "\(path)")
      }
      for (path, body) in [
        ("tokenize", #"{"content":"a"}"#), ("detokenize", #"{"tokens":[97]}"#),
        ("apply-template", #"{"messages":[{"role":"user","content":"x"}]}"#),
        ("completions", #"{"prompt":"a"}"#),
        ("chat/completions", #"{"messages":[{"role":"user","content":"x"}]}"#),
        ("embeddings", #"{"input":"a"}"#), ("rerank", #"{"query":"a","documents":["b"]}"#),
        ("reranking", #"{"query":"a","documents":["b"]}"#),
      ] {
        for place in ["/\(path)", "/v1/\(path)"] {
          #expect(try await server.post(place, body).status == 200, "\(place)")
        }
      }
      #expect(try await server.send("HEAD", "/v1/completions").status == 405)
    }
  }
}

@Suite struct EmbeddingTests {
  @Test func textsBecomeVectors() async throws {
    try await TestServer.run(ScriptedService()) { server in
      let one = try await server.post("/v1/embeddings", #"{"input":"abc","model":"text-embedding-3-small"}"#)
      let json = try one.json
      #expect(json["object"] == .string("list"))
      #expect(json["model"] == .string("scripted"))
      #expect(json["data/0/object"] == .string("embedding"))
      // (3, 4) of length 5.
      #expect(json["data/0/embedding/0"]?.number.map { abs($0 - 0.6) < 1e-6 } == true)
      #expect(json["usage/prompt_tokens"] == .integer(3))
      #expect(json["usage/total_tokens"] == .integer(3))
      let several = try await server.post("/v1/embeddings", #"{"input":["a",[1,2],"bc"]}"#).json
      #expect(several["data"]?.array?.map { $0["index"] } == [.integer(0), .integer(1), .integer(2)])
      #expect(several["usage/prompt_tokens"] == .integer(5))
      let tokens = try await server.post("/v1/embeddings", #"{"input":[1,2,3]}"#).json
      #expect(tokens["data"]?.array?.count == 1)
      let text = try await server.post("/v1/embeddings", #"{"input":"a","encoding_format":"base64"}"#).json
      let data = try #require(text["data/0/embedding"]?.string.flatMap { Data(base64Encoded: $0) })
      #expect(data.count == 8)
      #expect(Array(data.prefix(4)) == [0x9A, 0x99, 0x19, 0x3F])
      for (norm, first) in [("-1", 3.0), ("1", 3.0 / 7), ("0", 3.0 / 4 * 32760), ("3", 3 / 4.497941445)] {
        let raw = try await server.post("/embeddings", #"{"content":"a","embd_normalize":\#(norm)}"#).json
        let value = try #require(raw["data/0/embedding/0"]?.number)
        #expect(abs(value - first) < 1e-3 * first, "\(norm)")
      }
    }
  }

  @Test func wrongInputsNameTheField() async throws {
    var settings = ServerSettings()
    settings.maximumInputs = 2
    try await TestServer.run(ScriptedService(), settings: settings) { server in
      for (path, body, field) in [
        ("/v1/embeddings", "{}", "input"), ("/v1/embeddings", #"{"input":[]}"#, "input"),
        ("/v1/embeddings", #"{"input":7}"#, "input"), ("/v1/embeddings", #"{"input":["a",7]}"#, "input"),
        ("/v1/embeddings", #"{"input":["a","b","c"]}"#, "input"),
        ("/v1/embeddings", #"{"input":"a","encoding_format":"hex"}"#, "encoding_format"),
        ("/v1/embeddings", #"{"input":"a","dimensions":3}"#, "dimensions"),
        ("/v1/rerank", #"{"documents":["a"]}"#, "query"), ("/v1/rerank", #"{"query":"a"}"#, "documents"),
        ("/v1/rerank", #"{"query":"a","documents":[]}"#, "documents"),
        ("/v1/rerank", #"{"query":"a","documents":123}"#, "documents"),
        ("/v1/rerank", #"{"query":"a","documents":[1]}"#, "documents[0]"),
        ("/v1/rerank", #"{"query":"a","documents":["a"],"top_n":0}"#, "top_n"),
      ] {
        let answer = try await server.post(path, body)
        #expect(answer.status == 400, "\(body)")
        #expect(try answer.json["error/param"] == .string(field), "\(body)")
      }
      #expect(try await server.post("/v1/embeddings", #"{"input":"a","dimensions":2}"#).status == 200)
    }
  }

  /// In the forms of Jina and of Text Embeddings Inference.
  @Test func documentsAreRanked() async throws {
    try await TestServer.run(ScriptedService()) { server in
      let jina = try await server.post(
        "/v1/rerank",
        #"{"query":"q","documents":["a","ccc",{"text":"bb"}],"top_n":2,"return_documents":true}"#
      ).json
      #expect(jina["results"]?.array?.map { $0["index"] } == [.integer(1), .integer(2)])
      #expect(jina["results/0/relevance_score"]?.number == 3)
      #expect(jina["results/0/document/text"] == .string("ccc"))
      #expect(jina["usage/prompt_tokens"] == .integer(9))
      let plain = try await server.post("/rerank", #"{"query":"q","texts":["a","ccc"],"top_n":99}"#).json
      #expect(plain.array?.map { $0["index"] } == [.integer(1), .integer(0)])
      #expect(plain.array?.first?["score"]?.number == 3)
      #expect(plain.array?.first?["text"] == nil)
    }
  }

  /// An engine that says nothing about it refuses.
  @Test func enginesWithoutEmbeddingsSaySo() async throws {
    try await TestServer.run(ScriptedService(isPlain: true)) { server in
      for (path, body) in [
        ("/v1/embeddings", #"{"input":"x"}"#), ("/v1/rerank", #"{"query":"x","documents":["y"]}"#),
        ("/tokenize", #"{"content":"x"}"#), ("/detokenize", #"{"tokens":[1]}"#),
      ] {
        let answer = try await server.post(path, body)
        #expect(answer.status == 501, "\(path)")
        #expect(try answer.json["error/type"] == .string("not_supported_error"))
      }
      #expect(try await server.send("GET", "/props").status == 501)
    }
  }
}
