// The routes, and what is between them and an inference service.

public import Hummingbird
public import Logging
import NIOCore
package import Platform
public import Serving

/// OpenAI's HTTP interface for any ``Serving/InferenceService``.
///
/// On its own:
///
///     try await InferenceServer(service: service).run(address: .hostname("127.0.0.1", port: 8080))
///
/// In a Hummingbird application of your own:
///
///     InferenceServer(service: service).addRoutes(to: router.group("llm"))
///
/// A context that is a ``ConnectionContext`` lets work stop as soon as its client leaves.
public struct InferenceServer: Sendable {
  /// What answers.
  public let service: any InferenceService
  /// Limits, keys and times.
  public let settings: ServerSettings
  let logger: Logger
  let metrics = ServerMetrics()
  let responses = ResponseStore()
  /// For parsing and for encoding long answers.
  package var workers = WorkerThreads.shared

  /// Serves `service`; nothing is opened yet.
  public init(
    service: any InferenceService, settings: ServerSettings = ServerSettings(),
    logger: Logger = Logger(label: "InferenceServer")
  ) {
    self.service = service
    self.settings = settings
    self.logger = logger
  }

  /// Adds all routes. Those under `/v1` are there without it as well, and the others with it.
  public func addRoutes<Context: RequestContext>(to router: some RouterMethods<Context>) {
    let allowed = AllowedOrigins(settings)
    let open = router.group("")
      .add(middleware: OriginMiddleware(allowed: allowed))
      .add(middleware: AnswerMiddleware(metrics: metrics, logger: logger))
      .add(middleware: SameSiteMiddleware(allowedHosts: settings.allowedHosts, allowedOrigins: allowed))
    addRoute(open, "", [.get: { request, _ in try Self.page("index.html", for: request) }])
    for folder in ["", "vendor/"] {
      addRoute(
        open, "page/\(folder):file",
        [.get: { try Self.page(folder + ($1.parameters.get("file") ?? ""), for: $0) }])
    }
    addRoute(open, "openapi.json", [.get: { _, _ in Self.description }])
    addRoutes(open, "health", [.get: { _, _ in Self.health }])
    let routes = open.group("").add(middleware: KeyMiddleware(keys: settings.keys))
    addRoute(routes, "metrics", [.get: { _, _ in await metricsPage() }])
    addRoutes(routes, "models", [.get: { _, _ in models() }])
    addRoutes(routes, "models/:id", [.get: { _, context in try model(context.parameters.get("id") ?? "") }])
    addRoutes(routes, "props", [.get: { _, _ in try properties() }])
    addRoutes(routes, "tokenize", [.post: { request, _ in try await tokenize(request) }])
    addRoutes(routes, "detokenize", [.post: { request, _ in try await detokenize(request) }])
    addRoutes(routes, "apply-template", [.post: { request, _ in try await applyTemplate(request) }])
    addRoutes(routes, "embeddings", [.post: { try await embeddings($0, $1) }])
    for path in ["rerank", "reranking"] { addRoutes(routes, path, [.post: { try await rerank($0, $1) }]) }
    addRoutes(routes, "chat/completions", [.post: { try await complete($0, $1, kind: .chat) }])
    addRoutes(routes, "responses", [.post: { try await respond($0, $1) }])
    addRoutes(
      routes, "responses/:id",
      [
        .get: { _, context in try response(context.parameters.get("id") ?? "") },
        .delete: { _, context in try deleteResponse(context.parameters.get("id") ?? "") },
      ])
    addRoutes(routes, "messages", [.post: { try await message($0, $1) }])
    addRoutes(routes, "messages/count_tokens", [.post: { request, _ in try await countTokens(request) }])
    addRoutes(routes, "completions", [.post: { try await complete($0, $1, kind: .text) }])
    addRoutes(
      routes, "sessions",
      [.get: { _, _ in await sessionList() }, .post: { try await createSession($0, $1) }])
    addRoutes(
      routes, "sessions/:id",
      [
        .get: { _, context in try await session(context.parameters.get("id") ?? "") },
        .delete: { _, context in try await deleteSession(context.parameters.get("id") ?? "") },
      ])
  }

  private typealias Handler<Context> = @Sendable (Request, Context) async throws -> Response

  /// Adds a path with and without `/v1`.
  private func addRoutes<Context: RequestContext>(
    _ group: RouterGroup<Context>, _ path: String, _ handlers: [HTTPRequest.Method: Handler<Context>]
  ) {
    addRoute(group, "v1/\(path)", handlers)
    addRoute(group, path, handlers)
  }

  /// Adds a path; methods that it does not have get 405 with the list of those it has. What can be got can be asked for
  /// without its body (RFC 9110, section 9.3.2).
  private func addRoute<Context: RequestContext>(
    _ group: RouterGroup<Context>, _ path: String, _ handlers: [HTTPRequest.Method: Handler<Context>]
  ) {
    var handlers = handlers
    if let get = handlers[.get] { handlers[.head] = { try await get($0, $1).createHeadResponse() } }
    let allowed = handlers.keys.map(\.rawValue).sorted().joined(separator: ", ")
    for method in [HTTPRequest.Method.get, .post, .put, .patch, .delete, .head, .options] {
      if let handler = handlers[method] {
        group.on(RouterPath(path), method: method) { try await handler($0, $1) }
      } else {
        group.on(RouterPath(path), method: method) { _, _ -> Response in
          var error = APIError(
            .methodNotAllowed, "This path takes \(allowed), not \(method.rawValue).",
            code: "method_not_allowed")
          error.allowedMethods = allowed
          throw error
        }
      }
    }
  }

  /// A request's body, within the limits of size and time.
  func body(of request: Request) async throws -> ByteBuffer {
    let limit = settings.maximumBodyBytes
    let tooLarge = APIError(
      .contentTooLarge, "The body has more than \(limit) bytes.", code: "request_too_large")
    if let text = request.headers[.contentLength], let length = Int(text), length > limit { throw tooLarge }
    let seconds = settings.bodySeconds
    return try await withThrowingTaskGroup(of: ByteBuffer.self) { group in
      let body = request.body
      group.addTask {
        do {
          return try await body.collect(upTo: limit)
        } catch is NIOTooManyBytesError {
          throw tooLarge
        } catch let error where !(error is CancellationError) {
          // Bytes that are no body; a client that has left is noticed by whoever waits for it.
          throw APIError(.badRequest, "The body ended too early.", code: "incomplete_body")
        }
      }
      group.addTask {
        try await Task.sleep(for: .seconds(seconds))
        throw APIError(
          .requestTimeout, "The body did not come within \(seconds) s.", code: "request_timeout")
      }
      defer { group.cancelAll() }
      guard let first = try await group.next() else { throw CancellationError() }
      return first
    }
  }
}
