// Which layers of a model go to which devices.

import ArgumentParser
import LlamaHost

struct DeviceOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Layers whose weights go to a GPU, counted from the last, or 'all'. "
        + "(default: none, or all with --device or --rpc)", valueName: "count"),
    completion: .list(["all"]))
  var gpuLayers: LayerCount?

  @Option(
    help: ArgumentHelp(
      "Devices for them, as ra devices names them; separated by commas. (default: all GPUs and servers)",
      valueName: "names"))
  var device: CommaSeparated<String>?

  @Option(
    help: ArgumentHelp(
      "Machines with ggml-rpc-server, to take layers too; separated by commas.", valueName: "host:port"))
  var rpc: CommaSeparated<String>?

  @Option(
    help: ArgumentHelp("Most memory to take on each device; more is refused. Such as 6G.", valueName: "size"))
  var gpuMemoryLimit: ByteCount?

  @Option(
    help: ArgumentHelp(
      "Where prompts are attended to, for layers on devices: there, or on the cpu.", valueName: "device|cpu"))
  var prefillOn = AttentionPlace.device

  @Option(
    help: ArgumentHelp(
      "Where generated tokens attend to the first and the last tokens, for layers on devices: there, while the CPU "
        + "searches the rest, or on the cpu too.", valueName: "device|cpu"))
  var windowOn = AttentionPlace.cpu

  func validate() throws {
    if gpuLayers?.count == 0, device != nil || rpc != nil {
      throw ValidationError(
        "--gpu-layers is 0, which leaves nothing for \(device != nil ? "--device" : "--rpc").")
    }
  }

  /// How to load a model. Tells on standard error why a back end is of no use, and that the CPU computes instead.
  ///
  /// Throws ``LlamaHost/LlamaError`` for names and addresses that lead nowhere.
  func options(_ console: Console) throws -> LlamaModel.Options {
    var options = LlamaModel.Options()
    options.deviceMemoryLimit = gpuMemoryLimit?.bytes
    options.readsPromptsOnDevices = prefillOn == .device
    options.attendsToWindowsOnDevices = windowOn == .device
    guard gpuLayers?.count ?? 1 > 0, gpuLayers != nil || device != nil || rpc != nil else { return options }
    let failures = BackendModules.load()
    do {
      options.devices = try devices()
    } catch {
      // One of them may be why a device is not there.
      for failure in failures { console.note("note: \(failure)") }
      throw error
    }
    guard !options.devices.isEmpty else {
      for failure in failures { console.note("note: \(failure)") }
      let reason =
        failures.isEmpty
        ? "there is no back end for GPUs in \(BackendModules.folder.path), which scripts/bootstrap --backend builds"
        : "no back end offers a device"
      console.note("note: \(reason); going on with the CPU")
      return options
    }
    options.gpuLayers = gpuLayers?.count ?? .max
    return options
  }
}

extension DeviceOptions {
  /// Those that are named, or all that take layers; servers first, as llama.cpp has them.
  private func devices() throws -> [ComputeDevice] {
    let remote = try RemoteServers.connect(to: rpc?.elements ?? [])
    guard let names = device?.elements else { return ComputeDevice.preferred() }
    return try ComputeDevice.named(remote.filter { !names.contains($0) } + names)
  }
}

/// Where something is attended to.
enum AttentionPlace: String, ExpressibleByArgument, CaseIterable {
  case device, cpu
}

/// A number of layers, or all.
struct LayerCount: ExpressibleByArgument {
  let count: Int

  init?(argument: String) {
    if argument == "all" {
      count = .max
    } else {
      guard let number = Int(argument), number >= 0 else { return nil }
      count = number
    }
  }
}
