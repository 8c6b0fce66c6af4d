import Foundation
import InferenceServer
import Serving
import Testing

@Suite struct AccessTests {
  @Test func keysAreComparedWhole() throws {
    let keys = try APIKeys(parsing: "# ours\n\n  first-key \r\nsecond\n")
    #expect(keys.contains("first-key"))
    #expect(keys.contains("second"))
    for wrong in [
      "", "first", "first-key ", "first-keyx", "Second", "# ours", "second\0", "secon\u{64}\u{301}",
    ] {
      #expect(!keys.contains(wrong), "\(wrong)")
    }
    let longest = String(repeating: "k", count: APIKeys.maximumLength)
    let long = try APIKeys(parsing: longest)
    #expect(long.contains(longest))
    #expect(!long.contains(longest + "k"))
    #expect(!long.contains(String(longest.dropLast())))
    #expect(!long.contains(longest.dropLast() + "\0"))
    #expect(!APIKeys().contains(""))
  }

  @Test func uselessKeyFilesAreRefused() {
    #expect(throws: APIKeyProblem.noKeys) { try APIKeys(parsing: " \n# a\n") }
    #expect(throws: APIKeyProblem.notPrintable(line: 2)) { try APIKeys(parsing: "good\nnot good") }
    #expect(throws: APIKeyProblem.notPrintable(line: 1)) { try APIKeys(parsing: "schlüssel") }
    #expect(throws: APIKeyProblem.tooLong(line: 1, length: 600)) {
      try APIKeys(parsing: String(repeating: "x", count: 600))
    }
  }

  @Test func aKeyIsNeeded() async throws {
    var settings = ServerSettings()
    settings.keys = try APIKeys(parsing: "secret")
    try await TestServer.run(ScriptedService(), settings: settings) { server in
      for path in ["/v1/models", "/metrics", "/v1/sessions", "/v1/sessions/x"] {
        let none = try await server.send("GET", path)
        #expect(none.status == 401, "\(path)")
        #expect(none.headers["www-authenticate"] == "Bearer")
        #expect(try none.json["error/code"] == .string("missing_api_key"))
        for wrong in ["Bearer wrong", "Bearer", "secret", "Basic secret", "Bearer secretsecret"] {
          let answer = try await server.send("GET", path, headers: ["Authorization": wrong])
          #expect(answer.status == 401, "\(wrong)")
          #expect(try answer.json["error/code"] == .string("invalid_api_key"))
        }
      }
      // Before the body is looked at.
      #expect(try await server.post("/v1/chat/completions", "{").status == 401)
      #expect(
        try await server.send("GET", "/v1/models", headers: ["Authorization": "bearer secret"]).status == 200)
      for path in ["/", "/health", "/openapi.json"] {
        #expect(try await server.send("GET", path).status == 200, "\(path)")
      }
    }
  }

  @Test func pagesOfOtherSitesAreRefused() async throws {
    var settings = ServerSettings()
    settings.allowedHosts = ServerSettings.loopbackHosts
    try await TestServer.run(ScriptedService(), settings: settings) { server in
      for (headers, status) in [
        ([:], 200), (["Host": "localhost:\(server.port)"], 200), (["Host": "[::1]:\(server.port)"], 200),
        (["Host": "evil.example"], 403), (["Host": "localhost.evil.example"], 403),
        (["Host": "localhost:1", "Origin": "http://localhost:1"], 200),
        (["Host": "localhost:1", "Origin": "http://localhost:2"], 403),
        (["Origin": "https://evil.example"], 403), (["Origin": "null"], 403),
      ] {
        let answer = try await server.send("GET", "/v1/models", headers: headers)
        #expect(answer.status == status, "\(headers)")
      }
    }
  }
}
