import ArgumentParser
import Foundation
import LlamaHost
import RetrievalAttention

struct DevicesCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "devices",
    abstract: "List the devices that can compute layers, and why a back end offers none.",
    discussion: """
      Back ends for GPUs are libraries beside this program, or in the folder that RA_BACKENDS names; \
      scripts/bootstrap --backend vulkan builds one. See docs/devices.md.
      """)

  @Option(
    help: ArgumentHelp(
      "List the devices of machines with ggml-rpc-server too; separated by commas.", valueName: "host:port"))
  var rpc: CommaSeparated<String>?

  @Flag(help: "Write JSON.")
  var json = false

  func run() async throws {
    let console = Console()
    let failures = BackendModules.load()
    if let rpc { try RemoteServers.connect(to: rpc.elements) }
    let list = DeviceList(
      folder: BackendModules.folder.path, devices: ComputeDevice.all(), failures: failures)
    if json { try console.json(list) } else { console.output(list.text) }
  }
}

/// What `ra devices --json` writes.
private struct DeviceList: Encodable {
  var folder: String
  var devices: [ComputeDevice]
  var failures: [BackendModules.Failure]

  /// The same for people.
  var text: String {
    let rows = devices.map { device in
      var memory = "memory unknown"
      if let free = device.freeBytes, let total = device.totalBytes {
        memory = "\(formatBytes(free)) of \(formatBytes(total)) free"
      }
      return [device.name, device.backend, device.kind.rawValue, memory, device.description]
    }
    let widths = (0..<4).map { column in rows.map { $0[column].count }.max() ?? 0 }
    var lines = rows.map { row in
      zip(row, widths).map { $0 + String(repeating: " ", count: $1 - $0.count) }.joined(separator: "  ")
        + "  " + row[4]
    }
    if !devices.contains(where: \.takesLayers), failures.isEmpty {
      lines.append("No back end for GPUs in \(folder); scripts/bootstrap --backend builds them.")
    }
    lines += failures.map { "failed: \($0)" }
    return lines.joined(separator: "\n") + "\n"
  }
}
