// Which pages may use the server from a browser (the Fetch standard's CORS protocol).

import HTTPTypes
import Hummingbird

/// Origins that a server lets in besides its own.
struct AllowedOrigins: Sendable {
  private let origins: Set<String>
  private let allowsAny: Bool

  /// `*` counts only where requests must show a key: without one, any page that somebody visits could use the server.
  init(_ settings: ServerSettings) {
    origins = Set(settings.allowedOrigins.map { $0.lowercased() })
    allowsAny = origins.contains("*") && !settings.keys.isEmpty
  }

  func contains(_ origin: String) -> Bool {
    // Files, and frames without an origin, all call themselves null.
    allowsAny || origin != "null" && origins.contains(origin.lowercased())
  }
}

/// Tells browsers that a page of an allowed origin may read the answer, errors included, and answers what browsers ask
/// beforehand.
struct OriginMiddleware<Context: RequestContext>: RouterMiddleware {
  let allowed: AllowedOrigins

  /// How long a browser may remember what it was told.
  private static var maximumAge: String { "600" }

  func handle(
    _ request: Request, context: Context, next: (Request, Context) async throws -> Response
  ) async throws -> Response {
    guard let origin = request.headers[.origin], allowed.contains(origin) else {
      return try await next(request, context)
    }
    var response: Response
    if request.method == .options, request.headers[.accessControlRequestMethod] != nil {
      response = Response(status: .noContent)
      response.headers[.accessControlAllowMethods] = "GET, HEAD, POST, DELETE, OPTIONS"
      // Clients of OpenAI's API send headers of their own. With `*`, Authorization would be left out.
      if let wanted = request.headers[.accessControlRequestHeaders], Self.areNames(wanted) {
        response.headers[.accessControlAllowHeaders] = wanted
      }
      response.headers[.accessControlMaxAge] = Self.maximumAge
      if request.headers[HTTPField.Name("Access-Control-Request-Private-Network")!] == "true" {
        response.headers[HTTPField.Name("Access-Control-Allow-Private-Network")!] = "true"
      }
    } else {
      response = try await next(request, context)
      response.headers[.accessControlExposeHeaders] = "Retry-After"
    }
    response.headers[.accessControlAllowOrigin] = origin
    response.headers[.vary] = "Origin"
    return response
  }

  /// Whether a header lists names and nothing else.
  private static func areNames(_ list: String) -> Bool {
    list.utf8.count <= 4096
      && list.utf8.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
          UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: ","),
          UInt8(ascii: " "):
          true
        default: false
        }
      }
  }
}
