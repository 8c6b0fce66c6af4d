import Foundation
import InferenceServer
import Serving
import Testing

/// Pages of other sites (the Fetch standard's CORS protocol).
@Suite struct OriginTests {
  private static let app = "https://app.example"

  private func settings(_ origins: Set<String>, keys: String? = nil) throws -> ServerSettings {
    var settings = ServerSettings()
    settings.allowedHosts = ServerSettings.loopbackHosts
    settings.allowedOrigins = origins
    if let keys { settings.keys = try APIKeys(parsing: keys) }
    return settings
  }

  @Test func allowedPagesMayReadAnswers() async throws {
    try await TestServer.run(ScriptedService(), settings: settings([Self.app])) { server in
      for (method, path, body, status) in [
        ("GET", "/v1/models", nil, 200), ("POST", "/v1/completions", #"{"prompt":"a"}"#, 200),
        ("POST", "/v1/completions", "{", 400), ("GET", "/nowhere", nil, 404),
        ("DELETE", "/v1/models", nil, 405),
      ] as [(String, String, String?, Int)] {
        let answer = try await server.send(
          method, path, body: body, headers: ["Origin": "HTTPS://app.example"])
        #expect(answer.status == status, "\(path)")
        #expect(answer.headers["access-control-allow-origin"] == "HTTPS://app.example", "\(path)")
        #expect(answer.headers["vary"] == "Origin")
      }
      for origin in ["https://other.example", "http://app.example", "https://app.example:8443", "null"] {
        let answer = try await server.send("GET", "/v1/models", headers: ["Origin": origin])
        #expect(answer.status == 403, "\(origin)")
        #expect(answer.headers["access-control-allow-origin"] == nil, "\(origin)")
      }
      // Without an origin there is nobody to tell, and the host still counts.
      #expect(try await server.send("GET", "/v1/models").headers["access-control-allow-origin"] == nil)
      let host = try await server.send(
        "GET", "/v1/models", headers: ["Origin": Self.app, "Host": "evil.example"])
      #expect(host.status == 403)
    }
  }

  @Test func browsersMayAskBeforehand() async throws {
    try await TestServer.run(ScriptedService(), settings: settings([Self.app], keys: "secret")) { server in
      let asked = [
        "Origin": Self.app, "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization, content-type, x-stainless-os",
      ]
      let answer = try await server.send("OPTIONS", "/v1/chat/completions", headers: asked)
      #expect(answer.status == 204)
      #expect(answer.headers["access-control-allow-origin"] == Self.app)
      #expect(answer.headers["access-control-allow-methods"]?.contains("POST") == true)
      #expect(answer.headers["access-control-allow-headers"] == "authorization, content-type, x-stainless-os")
      #expect(answer.headers["access-control-max-age"] == "600")
      var other = asked
      other["Origin"] = "https://other.example"
      #expect(try await server.send("OPTIONS", "/v1/chat/completions", headers: other).status == 403)
      var odd = asked
      odd["Access-Control-Request-Headers"] = "a\"b"
      let oddAnswer = try await server.send("OPTIONS", "/v1/models", headers: odd)
      #expect(oddAnswer.headers["access-control-allow-headers"] == nil)
      // A question about methods that is no preflight.
      #expect(try await server.send("OPTIONS", "/health", headers: ["Origin": Self.app]).status == 405)
      // The key is needed all the same, and the page may read that it is.
      let refused = try await server.send("GET", "/v1/models", headers: ["Origin": Self.app])
      #expect(refused.status == 401)
      #expect(refused.headers["access-control-allow-origin"] == Self.app)
    }
  }

  @Test func everybodyIsOnlyLetInWithKeys() async throws {
    try await TestServer.run(ScriptedService(), settings: settings(["*"])) { server in
      let answer = try await server.send("GET", "/v1/models", headers: ["Origin": Self.app])
      #expect(answer.status == 403)
    }
    try await TestServer.run(ScriptedService(), settings: settings(["*"], keys: "secret")) { server in
      let answer = try await server.send(
        "GET", "/v1/models", headers: ["Origin": Self.app, "Authorization": "Bearer secret"])
      #expect(answer.status == 200)
      #expect(answer.headers["access-control-allow-origin"] == Self.app)
    }
  }
}
