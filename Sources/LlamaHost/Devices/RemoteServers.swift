// Devices of other machines, through ggml's own RPC back end.

import CLlama
import Foundation

/// The machines on which `ggml-rpc-server` runs.
///
/// ggml ends the process when a server cannot be reached, speaks another version or goes away in the middle of a
/// computation. The first two are found out here before ggml is told; the third cannot be. Nothing is encrypted and
/// nobody is asked for a password: such servers belong on a private network.
public enum RemoteServers {
  /// Makes the devices of servers known, for example `["10.0.0.2:50052"]`; again is no mistake.
  ///
  /// - Returns: the names of the servers' devices.
  /// - Throws: ``LlamaError/remoteServer(address:reason:)`` for the first one that is of no use, or
  ///   ``LlamaError/noServerBackend(address:folder:)``. Those before it stay known, which does no harm.
  @discardableResult
  public static func connect(to addresses: [String]) throws -> [String] {
    let failures = BackendModules.load()
    typealias AddServer = @convention(c) (UnsafePointer<CChar>?) -> ggml_backend_reg_t?
    return try addresses.flatMap { address -> [String] in
      func refuse(_ reason: String) -> LlamaError { .remoteServer(address: address, reason: reason) }
      let (host, port) = try parse(address)
      guard let registry = unsafe ggml_backend_reg_by_name(BackendModules.remote),
        let function = unsafe ggml_backend_reg_get_proc_address(registry, "ggml_backend_rpc_add_server")
      else {
        let failure = failures.first { $0.path.contains("ggml-rpc") }
        guard let failure else {
          throw LlamaError.noServerBackend(address: address, folder: BackendModules.folder.path)
        }
        throw refuse(failure.description)
      }
      if !known(address) { try Greeting(host: host, port: port).check(refuse) }
      guard let server = unsafe unsafeBitCast(function, to: AddServer.self)(address) else {
        throw refuse("it offers no device")
      }
      unsafe ggml_backend_register(server)
      return unsafe (0..<ggml_backend_reg_dev_count(server)).compactMap { index in
        unsafe ggml_backend_reg_dev_get(server, index).flatMap { unsafe ggml_backend_dev_name($0) }.map {
          unsafe String(cString: $0)
        }
      }
    }
  }

  /// Host and port as ggml reads them: what is before the colon, and a number.
  package static func parse(_ address: String) throws -> (host: String, port: UInt16) {
    let parts = address.split(separator: ":", omittingEmptySubsequences: false)
    guard parts.count == 2, !parts[0].isEmpty, let port = UInt16(parts[1]), port > 0 else {
      throw LlamaError.remoteServer(
        address: address, reason: "it is not of the form HOST:PORT, such as 10.0.0.2:50052")
    }
    return (String(parts[0]), port)
  }

  /// A server that is in use talks to nobody else, so that it must not be greeted a second time.
  private static func known(_ address: String) -> Bool {
    ComputeDevice.all().contains { $0.backend == BackendModules.remote && $0.description == address }
  }
}
