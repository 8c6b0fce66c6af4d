// More connections than a server wants: who has no request makes room, and who finds no room is told so.

import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import Synchronization

/// Which connections are served when there are many.
///
/// A connection that is kept for a later request has a place until somebody else needs it: the one that was silent for
/// longest is closed then, as nginx does with its reusable connections. When all places have a request, others are
/// refused.
final class ConnectionLimit: Sendable {
  private struct Entry {
    let channel: any Channel
    var hasPlace: Bool
    var requests = 0
    var idleSince = ContinuousClock.now
  }

  private struct State {
    var entries: [ObjectIdentifier: Entry] = [:]
    var places = 0
  }

  private enum Verdict {
    case served, refused
    case instead(of: any Channel)
  }

  /// Silence before a connection may lose its place: a client that has just read an answer may be writing again.
  static let leastIdle = Duration.seconds(1)
  /// How long a connection without a place may take to send its request, and to read that it is refused.
  static let patience = TimeAmount.seconds(2)
  /// Connections that are accepted to be refused. More wait for some of these to be done.
  static let refusedAtOnce = 64

  private let limit: Int
  private let state = Mutex(State())

  init(_ limit: Int) { self.limit = limit }

  /// Takes note of a new connection.
  func open(_ channel: any Channel) {
    let key = ObjectIdentifier(channel)
    let hasPlace = state.withLock { state in
      let hasPlace = state.places < limit
      if hasPlace { state.places += 1 }
      state.entries[key] = Entry(channel: channel, hasPlace: hasPlace)
      return hasPlace
    }
    channel.closeFuture.whenComplete { [self] _ in remove(key) }
    guard !hasPlace else { return }
    channel.eventLoop.scheduleTask(in: Self.patience) { [self] in
      if state.withLock({ $0.entries[key].map { !$0.hasPlace && $0.requests == 0 } ?? false }) {
        channel.close(promise: nil)
      }
    }
  }

  /// A request begins; returns whether it is served.
  func begin(_ channel: any Channel) -> Bool {
    let verdict = state.withLock { state -> Verdict in
      let key = ObjectIdentifier(channel)
      guard let entry = state.entries[key] else { return .served }
      state.entries[key]?.requests += 1
      if entry.hasPlace { return .served }
      if state.places < limit {
        state.places += 1
        state.entries[key]?.hasPlace = true
        return .served
      }
      let latest = ContinuousClock.now - Self.leastIdle
      let idle = state.entries.filter { $1.hasPlace && $1.requests == 0 && $1.idleSince <= latest }
      guard let (other, longest) = idle.min(by: { $0.value.idleSince < $1.value.idleSince }) else {
        return .refused
      }
      state.entries[other] = nil
      state.entries[key]?.hasPlace = true
      return .instead(of: longest.channel)
    }
    switch verdict {
    case .served: return true
    case .refused: return false
    case .instead(let other):
      other.close(promise: nil)
      return true
    }
  }

  /// A request was answered.
  func end(_ channel: any Channel) {
    state.withLock {
      $0.entries[ObjectIdentifier(channel)]?.requests -= 1
      $0.entries[ObjectIdentifier(channel)]?.idleSince = .now
    }
  }

  private func remove(_ key: ObjectIdentifier) {
    state.withLock {
      if $0.entries.removeValue(forKey: key)?.hasPlace == true { $0.places -= 1 }
    }
  }
}

/// HTTP/1.1 within a limit of connections.
struct LimitedChannel: ServerChildChannel {
  private let base: HTTP1Channel
  private let limit: ConnectionLimit

  /// - Parameter onRefusal: called for each request that is refused.
  init(
    limit: ConnectionLimit, configuration: HTTP1Channel.Configuration,
    responder: @escaping HTTPChannelHandler.Responder, onRefusal: @escaping @Sendable () -> Void
  ) {
    self.limit = limit
    base = HTTP1Channel(
      responder: { request, writer, channel in
        defer { limit.end(channel) }
        guard limit.begin(channel) else {
          onRefusal()
          var response = APIError.tooManyConnections.response
          response.headers[.connection] = "close"
          channel.eventLoop.scheduleTask(in: ConnectionLimit.patience) { channel.close(promise: nil) }
          try await writer.write(response: response.head, body: response.body)
          // Who is still sending reads the answer only then.
          for try await _ in request.body {}
          return
        }
        try await responder(request, writer, channel)
      }, configuration: configuration)
  }

  func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<HTTP1Channel.Value> {
    limit.open(channel)
    return base.setup(channel: channel, logger: logger)
  }

  func handle(value: HTTP1Channel.Value, logger: Logger) async {
    await base.handle(value: value, logger: logger)
  }
}
