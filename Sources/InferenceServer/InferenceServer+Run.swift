// A server of its own: address, signals, an orderly end.

import Foundation
public import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import Serving
public import ServiceLifecycle
public import UnixSignals

extension InferenceServer {
  /// Serves until a signal comes, then lets running requests end.
  ///
  /// - Parameters:
  ///   - address: where to listen; port 0 takes a free one.
  ///   - signals: which signals end it; requests that run are given ``ServerSettings/drainSeconds``.
  ///   - onRunning: told the port once connections are accepted.
  /// - Throws: ``ServerStartProblem`` when the address cannot be used.
  public func run(
    address: BindAddress, signals: [UnixSignal] = [.sigterm, .sigint],
    onRunning: @escaping @Sendable (_ port: Int?) async -> Void = { _ in }
  ) async throws {
    var configuration = ServiceGroupConfiguration(
      services: services(address: address, onRunning: onRunning), gracefulShutdownSignals: signals,
      logger: logger)
    configuration.maximumGracefulShutdownDuration = .seconds(settings.drainSeconds + 10)
    do {
      try await ServiceGroup(configuration: configuration).run()
    } catch let error as IOError {
      throw ServerStartProblem(reason: String(cString: strerror(error.errnoCode)))
    } catch let error as SocketAddressError {
      throw ServerStartProblem(reason: "\(error)")
    }
  }

  /// What ``run(address:signals:onRunning:)`` runs, for a service group of your own.
  public func services(
    address: BindAddress, onRunning: @escaping @Sendable (_ port: Int?) async -> Void = { _ in }
  ) -> [any Service] {
    let router = Router(context: ServerRequestContext.self)
    addRoutes(to: router)
    // Routes keep the middleware of the time they were added, so this is for unknown paths alone.
    router.add(middleware: AnswerMiddleware(metrics: metrics, logger: logger))
    let application = Application(
      responder: router.buildResponder(),
      server: .http1(configuration: .init(idleTimeout: .seconds(Int64(settings.idleSeconds)))),
      configuration: ApplicationConfiguration(
        address: address, serverName: "ra",
        availableConnectionsDelegate: MaximumAvailableConnections(settings.maximumConnections)),
      onServerRunning: { channel in await onRunning(channel.localAddress?.port) }, logger: logger)
    // Services end in reverse order: first no new work, then no connections.
    return [application, DrainService(service: service, seconds: settings.drainSeconds)]
  }
}

/// Why a server cannot listen.
public struct ServerStartProblem: Error, CustomStringConvertible {
  public var reason: String

  public var description: String { "cannot listen there: \(reason)" }
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
