// A client that closes its connection wants no answer any more, also while nothing is being sent to it.

public import Hummingbird
public import NIOCore
import Synchronization

/// A context that knows the connection, so that work stops when the client leaves.
///
/// Without it, the routes notice a client that left when they next write to it.
public protocol ConnectionContext: RequestContext {
  /// The connection that the request came over.
  var channel: any Channel { get }
}

/// The context of ``InferenceServer/run(address:reservation:signals:onRunning:)``.
public struct ServerRequestContext: ConnectionContext {
  /// Hummingbird's own part.
  public var coreContext: CoreRequestContextStorage
  /// The connection that the request came over.
  public let channel: any Channel

  /// As Hummingbird makes one.
  public init(source: ApplicationRequestContextSource) {
    coreContext = CoreRequestContextStorage(source: source)
    channel = source.channel
  }
}

/// The client left before its answer was complete.
struct ClientDeparture: Error {}

/// Who waits for the answer to one request, and may close the connection meanwhile.
///
/// Watched until ``release()``, so that a departure between two pieces of work is not missed.
final class Client: Sendable {
  private let channel: (any Channel)?
  private let observer: DepartureObserver

  /// - Parameter onDeparture: called once, if the client leaves while it is watched.
  init(_ context: some RequestContext, onDeparture: @escaping @Sendable () -> Void) async {
    channel = (context as? any ConnectionContext)?.channel
    observer = DepartureObserver(onDeparture)
    guard let channel else { return }
    do {
      // First in the row: it hears of the end whatever the others make of it.
      try await channel.pipeline.addHandler(observer, position: .first).get()
    } catch {
      observer.leave()
    }
  }

  /// Whether the client is known to have left.
  var hasLeft: Bool { observer.hasLeft }

  /// For whoever finds that nothing can be written any more.
  func noteDeparture() { observer.leave() }

  /// Ends the watch.
  func release() {
    observer.stop()
    channel?.pipeline.removeHandler(observer, promise: nil)
  }

  /// Ends the connection when the client leaves, and with it a write that waits for a client that does not read.
  func disconnectOnDeparture() { observer.wake { [channel] in channel?.close(promise: nil) } }

  /// Runs `work` and returns its result; throws ``ClientDeparture``, with `work` cancelled, when the client leaves.
  func whilePresent<Value: Sendable>(_ work: @Sendable @escaping () async throws -> Value) async throws
    -> Value
  {
    guard channel != nil else { return try await work() }
    let (departure, continuation) = AsyncStream<Void>.makeStream()
    observer.wake { continuation.finish() }
    defer {
      observer.wake(nil)
      continuation.finish()
    }
    return try await withThrowingTaskGroup(of: Value?.self) { group in
      group.addTask { try await work() }
      group.addTask {
        for await _ in departure {}
        return nil
      }
      defer { group.cancelAll() }
      do {
        guard let value = try await group.next() ?? nil else {
          throw hasLeft ? ClientDeparture() : CancellationError()
        }
        return value
      } catch  where hasLeft {
        // A body that ends too early, say: that it does is not the reason.
        throw ClientDeparture()
      }
    }
  }
}

/// Hears of the end of a connection: of its reading half, which is what closing looks like from here, or of all of it.
private final class DepartureObserver: ChannelInboundHandler, RemovableChannelHandler, Sendable {
  typealias InboundIn = NIOAny

  private struct State {
    var hasLeft = false
    var isOver = false
    var wake: (@Sendable () -> Void)?
  }

  private let onDeparture: @Sendable () -> Void
  private let state = Mutex(State())

  init(_ onDeparture: @escaping @Sendable () -> Void) { self.onDeparture = onDeparture }

  var hasLeft: Bool { state.withLock { $0.hasLeft } }

  /// Calls `action` at the departure as well, at once if that was before; nil for nothing any more.
  func wake(_ action: (@Sendable () -> Void)?) {
    let hasLeft = state.withLock { state in
      guard !state.isOver else { return false }
      state.wake = action
      return state.hasLeft
    }
    if hasLeft { action?() }
  }

  func leave() {
    let (isFirst, wake) = state.withLock { state in
      defer { state.hasLeft = true }
      return (!state.hasLeft && !state.isOver, state.wake)
    }
    guard isFirst else { return }
    onDeparture()
    wake?()
  }

  /// Nobody is interested any more.
  func stop() {
    state.withLock {
      $0.isOver = true
      $0.wake = nil
    }
  }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    if let event = event as? ChannelEvent, event == .inputClosed { leave() }
    context.fireUserInboundEventTriggered(event)
  }

  func channelInactive(context: ChannelHandlerContext) {
    leave()
    context.fireChannelInactive()
  }
}
