// A server of its own: address, signals, an orderly end.

public import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import Platform
import Serving
public import ServiceLifecycle
public import UnixSignals

extension InferenceServer {
  /// Serves until a signal comes, then lets running requests end; a second signal ends the process at once, with status
  /// 128 and its number.
  ///
  /// - Parameters:
  ///   - address: where to listen; port 0 takes a free one.
  ///   - reservation: the same address, if it was taken before; released once connections are accepted.
  ///   - signals: which signals end it; requests that run are given ``ServerSettings/drainSeconds``. They are the
  ///     process's, so one server at a time can have them.
  ///   - onRunning: told the port once connections are accepted.
  /// - Throws: ``ServerStartProblem`` when the address cannot be used.
  public func run(
    address: BindAddress, reservation: AddressReservation? = nil,
    signals: [UnixSignal] = [.sigterm, .sigint],
    onRunning: @escaping @Sendable (_ port: Int?) async -> Void = { _ in }
  ) async throws {
    #if canImport(Darwin)
      // There an address cannot be bound twice, not even by who has it.
      reservation?.release()
    #endif
    let endings = ShutdownSignals(signals.map(\.rawValue))
    defer { endings.stop() }
    let services = services(address: address) { port in
      reservation?.release()
      await onRunning(port)
    }
    var configuration = ServiceGroupConfiguration(
      services: services.map { .init(service: $0) } + [
        .init(service: SignalService(signals: endings), successTerminationBehavior: .gracefullyShutdownGroup)
      ], logger: logger)
    configuration.maximumGracefulShutdownDuration = .seconds(settings.drainSeconds + 10)
    do {
      try await ServiceGroup(configuration: configuration).run()
    } catch let error as IOError {
      throw ServerStartProblem(error)
    } catch let error as SocketAddressError {
      throw ServerStartProblem(error)
    } catch let error as SocketAddressError.UnknownHost {
      throw ServerStartProblem(error)
    }
  }

  /// What ``run(address:reservation:signals:onRunning:)`` runs, for a service group of your own.
  public func services(
    address: BindAddress, onRunning: @escaping @Sendable (_ port: Int?) async -> Void = { _ in }
  ) -> [any Service] {
    let router = Router(context: ServerRequestContext.self)
    addRoutes(to: router)
    // Routes keep the middleware of the time they were added, so this is for unknown paths alone.
    router.add(middleware: OriginMiddleware(allowed: AllowedOrigins(settings)))
    router.add(middleware: AnswerMiddleware(metrics: metrics, logger: logger))
    let limit = ConnectionLimit(settings.maximumConnections)
    let application = Application(
      responder: router.buildResponder(),
      server: HTTPServerBuilder { [settings, metrics] responder in
        LimitedChannel(
          limit: limit, configuration: .init(idleTimeout: .seconds(Int64(settings.idleSeconds))),
          responder: responder
        ) { metrics.count(path: "unknown", status: 503) }
      },
      configuration: ApplicationConfiguration(
        address: address, serverName: "ra",
        availableConnectionsDelegate: MaximumAvailableConnections(
          settings.maximumConnections + ConnectionLimit.refusedAtOnce)),
      onServerRunning: { channel in await onRunning(channel.localAddress?.port) }, logger: logger)
    // Services end in reverse order: first no new work, then no connections.
    return [application, DrainService(service: service, seconds: settings.drainSeconds)]
  }
}

/// Tells the engine to finish when the server ends.
private struct DrainService: Service {
  let service: any InferenceService
  let seconds: Int

  func run() async throws {
    try? await gracefulShutdown()
    await service.drain(until: .now + .seconds(seconds))
  }
}
