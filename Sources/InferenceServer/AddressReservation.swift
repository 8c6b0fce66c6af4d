// An address is taken before the model is loaded, so that one that cannot be had is told in a moment.

import Foundation
import NIOCore
import Platform
import Synchronization

/// An address that is bound, but does not listen: clients that come now are refused by the system at once, instead of
/// waiting for a model to be loaded.
///
///     let reservation = try AddressReservation(host: "127.0.0.1", port: 8080)
///     let scheduler = try await Scheduler.start(model: try LlamaModel.load(path: path), settings: settings)
///     try await InferenceServer(service: scheduler)
///       .run(address: .hostname("127.0.0.1", port: 8080), reservation: reservation)
///
/// Programs that do not ask to reuse addresses cannot take it meanwhile. One that does, such as a second server that is
/// being started, can on Linux; whoever listens first has it then, and the other one is told so when it wants to
/// listen.
public final class AddressReservation: Sendable {
  /// -1 when there is none any more.
  private let descriptor: Atomic<Int32>

  /// Binds the address. Port 0, any that is free, is only tried.
  ///
  /// - Throws: ``ServerStartProblem`` with the system's reason.
  public init(host: String, port: Int) throws {
    let address: SocketAddress
    do {
      address = try SocketAddress.makeAddressResolvingHost(host, port: port)
    } catch {
      throw ServerStartProblem(error)
    }
    descriptor = Atomic(socket(address.protocol == .inet6 ? AF_INET6 : AF_INET, streamSocket, 0))
    let taken = descriptor.load(ordering: .relaxed)
    guard taken >= 0 else { throw ServerStartProblem(code: errno) }
    _ = fcntl(taken, F_SETFD, FD_CLOEXEC)
    // As the server itself does: connections of the one before may still be coming to their end.
    var isReused: Int32 = 1
    unsafe setsockopt(taken, SOL_SOCKET, SO_REUSEADDR, &isReused, socklen_t(MemoryLayout<Int32>.size))
    guard unsafe address.withSockAddr({ unsafe bind(taken, $0, socklen_t($1)) }) == 0 else {
      throw ServerStartProblem(code: errno)
    }
    if port == 0 { release() }
  }

  deinit { release() }

  /// Gives the address free.
  public func release() {
    let taken = descriptor.exchange(-1, ordering: .acquiringAndReleasing)
    if taken >= 0 { close(taken) }
  }
}

/// Why a server cannot listen.
public struct ServerStartProblem: Error, CustomStringConvertible {
  /// The system's words.
  public var reason: String

  /// A clause without a full stop.
  public var description: String { "cannot listen there: \(reason)" }

  init(code: Int32) { reason = systemMessage(code) }

  init(_ error: any Error) {
    reason =
      switch error {
      case let error as IOError: systemMessage(error.errnoCode)
      case is SocketAddressError.UnknownHost: "no address is known for this name"
      default: "\(error)"
      }
  }
}
