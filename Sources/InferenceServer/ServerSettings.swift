// Limits of a server, and who may talk to it.

/// How a server behaves. The defaults suit one machine and a few clients.
public struct ServerSettings: Sendable {
  /// Keys of which a request must show one; empty: no key is needed.
  public var keys = APIKeys()
  /// Largest request body in bytes; larger ones get 413.
  public var maximumBodyBytes = 32 << 20
  /// Seconds in which a request's body must have come; else 408.
  public var bodySeconds = 60
  /// Most choices (`n`) of one request. Each waits for its turn as a request of its own does.
  public var maximumChoices = 32
  /// Most prompts of one request for completions.
  public var maximumPrompts = 256
  /// Most inputs of one request for embeddings, or documents to be ranked.
  public var maximumInputs = 2048
  /// Whether requests that call the model by another name than its own are refused. Otherwise the one model that there
  /// is answers them, since clients come with names built in.
  public var isModelStrict = false
  /// Names by which a browser may call the server in its `Host` header; empty: any.
  ///
  /// A page of another site can make a browser talk to a server on the same machine (DNS rebinding). A server without
  /// keys should know its own names.
  public var allowedHosts: Set<String> = []
  /// Origins, such as `https://app.example`, whose pages may use the server from a browser; `*` for all of them, which
  /// only counts where keys are needed. Pages of the server itself always may.
  public var allowedOrigins: Set<String> = []
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
