import Foundation
import InferenceServer
import Serving
import TestSupport
import Testing

@Suite struct PageTests {
  /// Every file of the page's folder is served under its name, with its type, and only this server is asked by it.
  @Test func thePageLoadsNothingFromElsewhere() async throws {
    let types = [
      "html": "text/html; charset=utf-8", "css": "text/css; charset=utf-8",
      "js": "text/javascript; charset=utf-8",
      "mjs": "text/javascript; charset=utf-8", "txt": "text/plain; charset=utf-8",
    ]
    let files = try Self.files()
    #expect(files.contains("vendor/marked.mjs") && files.contains("app.mjs"))
    var settings = ServerSettings()
    settings.keys = try APIKeys(parsing: "key")
    try await TestServer.run(ScriptedService(), settings: settings) { server in
      for file in files {
        let answer = try await server.send("GET", file == "index.html" ? "/" : "/page/\(file)")
        #expect(answer.status == 200, "\(file)")
        #expect(
          answer.headers["content-type"] == types[String(file.split(separator: ".").last ?? "")], "\(file)")
        #expect(answer.headers["x-content-type-options"] == "nosniff")
        #expect(answer.headers["cache-control"] == "no-cache")
        #expect(
          answer.body == (try String(contentsOf: Self.folder.appendingPathComponent(file), encoding: .utf8)))
        let policy = try #require(answer.headers["content-security-policy"])
        let rules = Dictionary(
          uniqueKeysWithValues: policy.split(separator: ";").map { rule in
            let words = rule.split(separator: " ").map(String.init)
            return (words[0], words.dropFirst().joined(separator: " "))
          })
        #expect(
          rules["default-src"] == "'none'" && rules["script-src"] == "'self'"
            && rules["style-src"] == "'self'")
        #expect(
          rules["connect-src"] == "'self'" && rules["img-src"] == "data:"
            && rules["frame-ancestors"] == "'none'")
        // Comments of the libraries and the licences name their homes.
        guard !file.hasPrefix("vendor/"), file != "licences.txt" else { continue }
        for reference in ["http://", "https://", "@import", "url("] {
          #expect(!answer.body.contains(reference), "\(reference) in \(file)")
        }
      }
      let page = try await server.send("GET", "/").body
      let references = try Regex(#"(?:src|href)="([^"]*)""#, as: (Substring, Substring).self)
      for reference in page.matches(of: references) {
        let name = String(reference.output.1)
        #expect(
          name == "data:," || (name.hasPrefix("page/") && files.contains(String(name.dropFirst(5)))),
          "\(name)")
      }
      for missing in [
        "index", "vendor", "README.md", "..%2fopenapi.json", "vendor/app.mjs", "vendor%2fmarked.mjs",
      ] {
        #expect(try await server.send("GET", "/page/\(missing)").status == 404, "\(missing)")
      }
    }
  }

  /// A browser that has a file already is told that it is the same.
  @Test func filesOfThePageAreSentOnce() async throws {
    try await TestServer.run(ScriptedService()) { server in
      let tag = try #require(try await server.send("GET", "/page/app.mjs").headers["etag"])
      for known in [tag, "W/\(tag)", "\"x\", \(tag)"] {
        let again = try await server.send("GET", "/page/app.mjs", headers: ["If-None-Match": known])
        #expect(again.status == 304 && again.body.isEmpty, "\(known)")
        #expect(again.headers["etag"] == tag)
      }
      #expect(
        try await server.send("GET", "/page/app.mjs", headers: ["If-None-Match": "\"x\""]).status == 200)
      #expect(try await server.send("GET", "/page/chat.mjs").headers["etag"] != tag)
    }
  }

  /// The page's modules that need no browser: what the model is told, circles, time left, Markdown, what is stored.
  @Test(.enabled(if: PageTests.node != nil, "needs Node.js"))
  func modulesOfThePage() throws {
    let process = Process()
    process.executableURL = try #require(Self.node)
    let folder = Repository.root.appendingPathComponent("Tests/page")
    let tests = try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
    process.arguments = ["--test"] + tests.map(\.path).filter { $0.hasSuffix(".test.mjs") }.sorted()
    #expect((process.arguments ?? []).count > 5)
    try process.run()
    process.waitUntilExit()
    #expect(process.terminationStatus == 0)
  }

  private static let folder = Repository.root.appendingPathComponent("Sources/InferenceServer/Resources/Page")

  private static func files() throws -> [String] {
    try FileManager.default.subpathsOfDirectory(atPath: folder.path).filter {
      $0.contains(".") && !$0.hasSuffix(".md")
    }
  }

  private static let node = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":")
    .map { URL(fileURLWithPath: "\($0)/node") }
    .first { FileManager.default.isExecutableFile(atPath: $0.path) }

  /// Every path of the description answers, and every path that answers is described.
  @Test func theDescriptionIsTrue() async throws {
    try await TestServer.run(ScriptedService()) { server in
      let description = try await server.send("GET", "/openapi.json").json
      let paths = try #require(description["paths"]?.object)
      #expect(
        Set(paths.keys) == [
          "/", "/page/{file}", "/page/vendor/{file}", "/health", "/openapi.json", "/metrics", "/props",
          "/tokenize", "/detokenize",
          "/apply-template",
          "/v1/models", "/v1/models/{id}", "/v1/embeddings", "/v1/rerank", "/v1/reranking",
          "/v1/chat/completions", "/v1/completions", "/v1/sessions", "/v1/sessions/{id}",
          "/v1/responses", "/v1/responses/{id}", "/v1/messages", "/v1/messages/count_tokens",
        ])
      for (path, operations) in paths {
        for (method, operation) in operations.object ?? [:] where method != "parameters" {
          let answer = try await server.send(
            method.uppercased(), path.replacing("{id}", with: "x").replacing("{file}", with: "x"),
            body: method == "post" ? "{}" : nil)
          #expect(answer.status != 405, "\(method) \(path)")
          #expect(operation["responses/\(answer.status)"] != nil, "\(method) \(path) gave \(answer.status)")
        }
      }
    }
  }

  @Test func modelsAndHealth() async throws {
    try await TestServer.run(ScriptedService()) { server in
      let list = try await server.send("GET", "/v1/models").json
      #expect(list["data/0/id"] == .string("scripted"))
      #expect(list["data/0/context_length"] == .integer(1000))
      #expect(try await server.send("GET", "/v1/models/scripted").json["object"] == .string("model"))
      #expect(try await server.send("GET", "/health").json["status"] == .string("ok"))
    }
  }

  @Test func metricsCount() async throws {
    try await TestServer.run(ScriptedService()) { server in
      _ = try await server.post("/v1/completions", #"{"prompt":"a"}"#)
      _ = try await server.post("/v1/completions", "x")
      _ = try await server.send("GET", #"/nowhere"}{"#)
      let answer = try await server.send("GET", "/metrics")
      #expect(answer.headers["content-type"]?.hasPrefix("text/plain") == true)
      let lines = answer.body.split(separator: "\n")
      #expect(lines.contains(#"ra_http_requests_total{path="/v1/completions",status="200"} 1"#))
      #expect(lines.contains(#"ra_http_requests_total{path="/v1/completions",status="400"} 1"#))
      #expect(lines.contains { $0.hasPrefix("ra_http_requests_total") && $0.hasSuffix(#"status="404"} 1"#) })
      #expect(!answer.body.contains("nowhere"))
      #expect(lines.contains("ra_requests_accepted_total 1"))
      #expect(lines.contains("ra_first_token_seconds_count 1"))
      #expect(lines.contains("ra_between_tokens_seconds_count 2"))
      #expect(lines.contains(#"ra_request_seconds_bucket{le="+Inf"} 1"#))
      // The format: a help and a type for each name, then numbers.
      for line in lines where !line.hasPrefix("#") {
        let parts = line.split(separator: " ")
        #expect(parts.count == 2 && Double(parts[1]) != nil, "\(line)")
      }
    }
  }

  @Test func sessionsLiveAndGo() async throws {
    try await TestServer.run(ScriptedService()) { server in
      let made = try await server.post("/v1/sessions", #"{"name":"novel","text":"Once upon a time"}"#)
      #expect(made.status == 201)
      #expect(try made.json["state"] == .string("ready"))
      #expect(try made.json["tokens_read"] == .integer(10))
      #expect(try await server.send("GET", "/v1/sessions").json["data/0/name"] == .string("novel"))
      #expect(try await server.send("GET", "/v1/sessions/ses-1").json["id"] == .string("ses-1"))
      #expect(try await server.send("DELETE", "/v1/sessions/ses-1").json["deleted"] == .bool(true))
      #expect(try await server.send("GET", "/v1/sessions/ses-1").status == 404)
      let streamed = try await server.post("/v1/sessions", #"{"text":"Once","stream":true}"#)
      let events = try streamed.events.dropLast().map { try JSONValue(parsing: Data($0.utf8)) }
      #expect(events.map { $0["object"]?.string } == ["session", "session.progress", "session"])
      #expect(events[1]["processed"] == .integer(5) && events[1]["seconds_left"] == .number(2.5))
      for body in [
        #"{}"#, #"{"text":""}"#, #"{"text":" \n"}"#, #"{"text":"a","name":""}"#,
        #"{"text":"a","name":"\u0000"}"#,
      ] {
        #expect(try await server.post("/v1/sessions", body).status == 400, "\(body)")
      }
    }
  }

  /// Requests that run are finished; the server then ends by itself.
  @Test func theServerEndsInGoodOrder() async throws {
    let service = ScriptedService(pause: .milliseconds(100))
    nonisolated(unsafe) var answer: Task<Answer, any Error>?
    try await TestServer.run(service) { server in
      answer = Task { try await server.post("/v1/completions", #"{"prompt":"a","stream":true}"#) }
      while service.requests.isEmpty { try await Task.sleep(for: .milliseconds(5)) }
    }
    let result = try #require(await answer?.value)
    #expect(result.status == 200)
    #expect(result.events.last == "[DONE]")
    #expect(service.state.withLock { $0.isDraining })
  }
}
