// A client that closes its connection wants no answer any more, also while nothing is being sent to it.

public import Hummingbird
public import NIOCore

/// A context that knows the connection, so that work stops when the client leaves.
///
/// Without it, the routes notice a client that left when they next write to it.
public protocol ConnectionContext: RequestContext {
  var channel: any Channel { get }
}

/// The context of ``InferenceServer/run(address:signals:onRunning:)``.
public struct ServerRequestContext: ConnectionContext {
  public var coreContext: CoreRequestContextStorage
  public let channel: any Channel

  public init(source: ApplicationRequestContextSource) {
    coreContext = CoreRequestContextStorage(source: source)
    channel = source.channel
  }
}

/// Somebody who may close the connection.
struct Client: Sendable {
  private let channel: (any Channel)?

  init(_ context: some RequestContext) {
    channel = (context as? any ConnectionContext)?.channel
  }

  /// Runs `work` and returns its result; throws `CancellationError`, with `work` cancelled, when the client leaves.
  func whilePresent<Value: Sendable>(_ work: @Sendable @escaping () async throws -> Value) async throws
    -> Value
  {
    guard let channel else { return try await work() }
    let (departure, continuation) = AsyncStream<Void>.makeStream()
    let observer = DepartureObserver { continuation.finish() }
    do {
      // First in the row: it hears of the end whatever the others make of it.
      try await channel.pipeline.addHandler(observer, position: .first).get()
    } catch {
      throw CancellationError()
    }
    defer {
      continuation.finish()
      channel.pipeline.removeHandler(observer, promise: nil)
    }
    return try await withThrowingTaskGroup(of: Value?.self) { group in
      group.addTask { try await work() }
      group.addTask {
        for await _ in departure {}
        return nil
      }
      defer { group.cancelAll() }
      guard let value = try await group.next() ?? nil else { throw CancellationError() }
      return value
    }
  }
}

/// Hears of the end of a connection: of its reading half, which is what closing looks like from here, or of all of it.
private final class DepartureObserver: ChannelInboundHandler, RemovableChannelHandler, Sendable {
  typealias InboundIn = NIOAny

  private let onDeparture: @Sendable () -> Void

  init(_ onDeparture: @escaping @Sendable () -> Void) { self.onDeparture = onDeparture }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    if let event = event as? ChannelEvent, event == .inputClosed { onDeparture() }
    context.fireUserInboundEventTriggered(event)
  }

  func channelInactive(context: ChannelHandlerContext) {
    onDeparture()
    context.fireChannelInactive()
  }
}
