// Signals for a group of services.

import Platform
import ServiceLifecycle

/// Ends a group of services, in good order, when a signal comes.
struct SignalService: Service {
  let signals: ShutdownSignals

  func run() async throws {
    await cancelWhenGracefulShutdown { for await _ in signals.first {} }
  }
}
