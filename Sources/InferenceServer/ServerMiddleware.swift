// What every request passes: errors as JSON, a line in the log, the question who asks.

import Hummingbird
import Logging
import NIOCore

/// Turns errors into answers, and counts and logs every answer: route, status and time, never what was said.
struct AnswerMiddleware<Context: RequestContext>: RouterMiddleware {
  let metrics: ServerMetrics
  let logger: Logger

  func handle(
    _ request: Request, context: Context, next: (Request, Context) async throws -> Response
  ) async throws -> Response {
    let start = ContinuousClock.now
    var response: Response
    do {
      response = try await next(request, context)
    } catch {
      let answer = APIError(error)
      // Clients that left, a server that ends, and what this model does not do are no failures.
      if answer.status.code >= 500, answer.status != .serviceUnavailable, answer.status != .notImplemented {
        logger.error("request failed", metadata: ["error": "\(error)"])
      }
      response = answer.response
    }
    if Self.leavesBody(response.status), request.hasBody {
      response.headers[.connection] = "close"
      closeSoon(context)
    }
    let path = context.endpointPath ?? "unknown"
    metrics.count(path: path, status: response.status.code)
    logger.info(
      "request",
      metadata: [
        "method": "\(request.method)", "path": "\(path)", "status": "\(response.status.code)",
        "milliseconds": "\((ContinuousClock.now - start) / .milliseconds(1))",
      ])
    return response
  }

  /// Answers that may be given before the body was read: reading what is left of it could take for ever.
  private static func leavesBody(_ status: HTTPResponse.Status) -> Bool {
    [401, 403, 404, 405, 408, 413].contains(status.code)
  }

  /// Ends a connection whose client may be sending still: after a while, so that it can read the answer first.
  private func closeSoon(_ context: Context) {
    guard let channel = (context as? any ConnectionContext)?.channel else { return }
    channel.eventLoop.scheduleTask(in: .seconds(2)) { channel.close(promise: nil) }
  }
}

extension Request {
  fileprivate var hasBody: Bool {
    headers[.transferEncoding] != nil || headers[.contentLength].map { $0 != "0" } ?? false
  }
}

/// Refuses requests that a browser sends for a page of another site.
///
/// `Origin` names the page that asks; a page of ours has the host that is asked. `Host` names what the browser believes
/// to ask, which a page with a domain of its own can point at this machine.
struct SameSiteMiddleware<Context: RequestContext>: RouterMiddleware {
  let allowedHosts: Set<String>
  let allowedOrigins: AllowedOrigins

  func handle(
    _ request: Request, context: Context, next: (Request, Context) async throws -> Response
  ) async throws -> Response {
    let authority = request.head.authority ?? request.headers[.init("Host")!] ?? ""
    if !allowedHosts.isEmpty, !allowedHosts.contains(Self.host(authority)) {
      throw APIError(
        .forbidden, "This server is not known by the name '\(authority.prefix(100))'.", code: "unknown_host")
    }
    if let origin = request.headers[.origin], origin != "null" || !allowedHosts.isEmpty,
      !allowedOrigins.contains(origin)
    {
      let page = origin.split(separator: "/", maxSplits: 2).last.map(String.init) ?? ""
      guard page == authority else {
        throw APIError(.forbidden, "Pages of other sites may not use this server.", code: "cross_origin")
      }
    }
    return try await next(request, context)
  }

  /// The name without the port: `localhost:8080`, `[::1]:8080`.
  static func host(_ authority: String) -> String {
    if authority.hasPrefix("[") { return String(authority.dropFirst().prefix { $0 != "]" }) }
    return String(authority.prefix { $0 != ":" }).lowercased()
  }
}

/// Lets requests pass that show a key: `Authorization: Bearer KEY`.
struct KeyMiddleware<Context: RequestContext>: RouterMiddleware {
  let keys: APIKeys

  func handle(
    _ request: Request, context: Context, next: (Request, Context) async throws -> Response
  ) async throws -> Response {
    guard !keys.isEmpty else { return try await next(request, context) }
    // Anthropic's clients have a header of their own.
    if let key = request.headers[.init("x-api-key")!] {
      guard keys.contains(key) else { throw Self.unknownKey }
      return try await next(request, context)
    }
    guard let header = request.headers[.authorization] else {
      throw APIError(
        .unauthorized, "A key is needed: send it as 'Authorization: Bearer KEY'.", code: "missing_api_key")
    }
    let parts = header.split(separator: " ", maxSplits: 1)
    guard parts.count == 2, parts[0].lowercased() == "bearer", keys.contains(parts[1]) else {
      throw Self.unknownKey
    }
    return try await next(request, context)
  }

  private static var unknownKey: APIError {
    APIError(.unauthorized, "The key is not known to this server.", code: "invalid_api_key")
  }
}
