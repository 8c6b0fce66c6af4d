// Errors in the form that OpenAI's clients understand.

import Foundation
public import HTTPTypes
import Hummingbird
import Serving

/// An error answer: `{"error": {"message", "type", "param", "code"}}`.
public struct APIError: Error, Equatable, Sendable {
  /// Of the answer.
  public var status: HTTPResponse.Status
  /// What is wrong, for people.
  public var message: String
  /// OpenAI's class of the error, such as `invalid_request_error`.
  public var type: String
  /// The field of the request that is wrong.
  public var parameter: String?
  /// A word for programs.
  public var code: String?
  /// When to try again, in seconds; nil where that would not help.
  public var retryAfterSeconds: Int?
  /// Methods that the path knows, for status 405.
  public var allowedMethods: String?

  /// An error of one's own.
  public init(
    _ status: HTTPResponse.Status, _ message: String, type: String = "invalid_request_error",
    parameter: String? = nil, code: String? = nil, retryAfterSeconds: Int? = nil
  ) {
    self.status = status
    self.message = message
    self.type = type
    self.parameter = parameter
    self.code = code
    self.retryAfterSeconds = retryAfterSeconds
  }

  static func invalid(_ parameter: String, _ message: String) -> APIError {
    APIError(.badRequest, message, parameter: parameter, code: "invalid_value")
  }

  /// A model that is not the one that is served.
  static func unknownModel(_ name: String, _ model: ModelCard) -> APIError {
    APIError(
      .notFound, "The model '\(name.prefix(100))' does not exist. This server has '\(model.id)'.",
      parameter: "model", code: "model_not_found")
  }

  /// More connections than the server wants, all of them with a request.
  static let tooManyConnections = APIError(
    .serviceUnavailable, "The server has as many connections as it takes. Try again in a moment.",
    type: "server_error", code: "too_many_connections", retryAfterSeconds: 2)

  /// Any error as an answer. Errors that are not known tell nothing of the inside.
  init(_ error: any Error) {
    switch error {
    case let error as APIError: self = error
    case let error as ServingError: self.init(serving: error)
    case let error as HTTPError:
      let isMissing = error.status == .notFound
      self.init(
        error.status,
        error.body ?? (isMissing ? "There is nothing at this path." : error.status.reasonPhrase),
        code: isMissing ? "not_found" : nil)
    case is CancellationError, is ClientDeparture:
      self.init(.serviceUnavailable, "The request was cancelled.", type: "server_error", code: "cancelled")
    default:
      self.init(.internalServerError, "The server failed at this request.", type: "server_error")
    }
  }

  private init(serving error: ServingError) {
    let message = "\(error)"
    switch error {
    case .invalidParameter(let parameter, _): self = .invalid(parameter, message)
    case .contextTooLong, .promptTooLong:
      self.init(.badRequest, message, parameter: "messages", code: "context_length_exceeded")
    case .unknownSession:
      self.init(.notFound, message, parameter: "session", code: "session_not_found")
    case .sessionNotReady:
      self.init(.conflict, message, parameter: "session", code: "session_not_ready", retryAfterSeconds: 2)
    case .noSessions:
      self.init(.notImplemented, message, code: "sessions_unavailable")
    case .readOnlySession:
      self.init(.forbidden, message, parameter: "session", code: "session_read_only")
    case .outOfMemory:
      self.init(.contentTooLarge, message, code: "out_of_memory")
    case .queueFull(_, let seconds):
      self.init(
        .tooManyRequests, message, type: "rate_limit_error", code: "queue_full", retryAfterSeconds: seconds)
    case .draining:
      self.init(.serviceUnavailable, message, type: "server_error", code: "draining", retryAfterSeconds: 5)
    case .engineFailure:
      self.init(.internalServerError, message, type: "server_error", code: "engine_failure")
    case .unsupported:
      self.init(.notImplemented, message, type: "not_supported_error", code: "unsupported")
    }
  }

  private struct Body: Encodable {
    struct Fields: Encodable {
      var message, type: String
      @Nullable var param: String? = nil
      @Nullable var code: String? = nil
    }

    var error: Fields
  }

  /// The error as JSON, for a body or an event.
  var json: ByteBuffer {
    JSONText.encode(Body(error: .init(message: message, type: type, param: parameter, code: code)))
  }

  var response: Response {
    var headers: HTTPFields = [.contentType: "application/json"]
    if let retryAfterSeconds { headers[.retryAfter] = "\(retryAfterSeconds)" }
    if let allowedMethods { headers[.allow] = allowedMethods }
    if status == .unauthorized { headers[.wwwAuthenticate] = "Bearer" }
    return Response(status: status, headers: headers, body: .init(byteBuffer: json))
  }
}
