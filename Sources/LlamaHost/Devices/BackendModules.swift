// ggml's back ends for GPUs, which are libraries of their own beside the program.

import CLlama
public import Foundation
import Synchronization

/// The back ends that `scripts/bootstrap --backend` builds, `libggml-vulkan.so` and the like.
///
/// They are looked for beside the program, in `../lib/ra` of an installed one, or where the environment variable
/// `RA_BACKENDS` points, and only when asked for: drivers take time to start, and a faulty one must not be in the way
/// of those who compute on the CPU. A module uses the ggml inside the program, which therefore has to export it:
/// `-Xlinker --export-dynamic` does that on Linux.
public enum BackendModules {
  /// What ggml calls the back end that talks to servers.
  static let remote = "RPC"

  /// Why a back end is of no use here.
  public struct Failure: Sendable, Hashable, Encodable, CustomStringConvertible {
    /// The file of the module.
    public let path: String
    /// What the system, or the module, says.
    public let reason: String

    /// The path and the reason, without a full stop.
    public var description: String { "\(path): \(reason)" }
  }

  /// Where modules are looked for.
  public static var folder: URL {
    if let path = ProcessInfo.processInfo.environment["RA_BACKENDS"], !path.isEmpty {
      return URL(fileURLWithPath: path)
    }
    let program = Bundle.main.executableURL ?? URL(fileURLWithPath: CommandLine.arguments[0])
    return folder(beside: program.resolvingSymlinksInPath())
  }

  /// The folder of a program: that of its installation, if it is installed, or its own.
  static func folder(beside program: URL) -> URL {
    let own = program.deletingLastPathComponent()
    let installed = own.deletingLastPathComponent().appendingPathComponent("lib/ra", isDirectory: true)
    return FileManager.default.fileExists(atPath: installed.path) ? installed : own
  }

  /// Loads every module in ``folder``, once; later calls give the same answer.
  ///
  /// - Returns: the modules that could not be loaded or found nothing to drive, with the reasons.
  @discardableResult
  public static func load() -> [Failure] {
    failures.withLock { known in
      if let known { return known }
      HostBackend.start()
      let found = paths().compactMap(load)
      known = found
      return found
    }
  }

  private static let failures = Mutex<[Failure]?>(nil)

  /// The modules in ``folder``, in the order of their names.
  static func paths() -> [String] {
    let folder = folder
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
    // Parts of an installed llama.cpp are not modules, and the CPU is there already.
    return names.filter {
      $0.hasPrefix("libggml-") && $0.hasSuffix(".so") && !$0.hasPrefix("libggml-base")
        && !$0.hasPrefix("libggml-cpu")
    }.sorted().map { folder.appendingPathComponent($0).path }
  }

  private static func load(_ path: String) -> Failure? {
    let mark = HostLog.mark()
    guard let registry = unsafe ggml_backend_load(path) else {
      return Failure(path: path, reason: reason(HostLog.lines(since: mark)))
    }
    // Servers are registered one by one, when they are named.
    let name = unsafe ggml_backend_reg_name(registry).map { unsafe String(cString: $0) }
    guard name != remote, unsafe ggml_backend_reg_dev_count(registry) == 0 else { return nil }
    let log = HostLog.lines(since: mark)
    return Failure(
      path: path, reason: "it found no device" + (log.isEmpty ? "" : ": " + log.joined(separator: " | ")))
  }

  /// ggml's words, with advice where they leave people alone.
  static func reason(_ log: [String]) -> String {
    let text = log.isEmpty ? "ggml gives no reason" : log.joined(separator: " | ")
    if text.contains("undefined symbol") || text.contains("symbol not found") {
      return text
        + " (was the program linked with --export-dynamic, and the module built with the same llama.cpp?)"
    }
    if ["libcudart.so", "libcublas.so", "libcublasLt.so"].contains(where: text.contains) {
      return text
        + " (CUDA's libraries are looked for where they were when the module was built; LD_LIBRARY_PATH names other"
        + " folders)"
    }
    // NVIDIA's driver brings libcuda.so.1.
    let lacksDriver = text.contains("returned NULL") || text.contains("libcuda.so.1: cannot open")
    return lacksDriver ? text + " (is a driver installed?)" : text
  }
}
