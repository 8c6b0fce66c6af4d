// Limits of a server, and who may talk to it.

/// How a server behaves. The defaults suit one machine and a few clients.
public struct ServerSettings: Sendable {
  /// Keys of which a request must show one; empty: no key is needed.
  public var keys = APIKeys()
  /// Largest request body in bytes; larger ones get 413.
  public var maximumBodyBytes = 32 << 20
  /// Seconds in which a request's body must have come; else 408.
  public var bodySeconds = 60
  /// Most choices (`n`) of one request.
  public var maximumChoices = 8
  /// Names by which a browser may call the server in its `Host` header; empty: any.
  ///
  /// A page of another site can make a browser talk to a server on the same machine (DNS rebinding). A server without
  /// keys should know its own names.
  public var allowedHosts: Set<String> = []
  /// Seconds after which a silent connection between requests is closed.
  public var idleSeconds = 60
  /// Most connections at once. One more takes the place of one that is silent between requests; when there is none, it
  /// gets status 503.
  public var maximumConnections = 256
  /// Seconds that running requests are given to end when the server stops.
  public var drainSeconds = 10

  /// As documented at each.
  public init() {}

  /// The names of the machine itself.
  public static let loopbackHosts: Set<String> = ["localhost", "127.0.0.1", "::1"]
}
