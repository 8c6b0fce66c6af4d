// What a model's devices hold, for reports.

import Foundation
import Generation
import LlamaHost
import RetrievalAttention

/// One device's share of a run, in bytes.
struct DeviceReport: Encodable {
  var use: DeviceMemoryUse
  /// Free before the model was loaded, and now; nil where the device does not tell.
  var freeBefore: Int?
  var freeAfter: Int?
  /// Keys and values that it held while it attended to the prompt; nil if it did not.
  var promptCache: Int?
  /// First and last tokens, with room for what is computed of them; nil if it did not attend to them.
  var window: Int?
  /// Queries, keys, values and outputs that a token moves between all devices and the attention on the CPU.
  var trafficPerToken: Int

  /// The devices of a model, after it has evaluated `tokens`.
  static func all(_ host: GuestHost, tokens: Int) -> [DeviceReport] {
    let now = ComputeDevice.all()
    let traffic = host.deviceTraffic
    return host.deviceMemory.map { use in
      DeviceReport(
        use: use, freeBefore: host.model.devices.first { $0.name == use.device }?.freeBytes,
        freeAfter: now.first { $0.name == use.device }?.freeBytes,
        promptCache: host.promptReading.memory.first { $0.device == use.device }?.cache,
        window: host.windowReading.byteCounts[use.device],
        trafficPerToken: (traffic.readBytes + traffic.writtenBytes) / max(1, tokens))
    }
  }

  /// The same for people.
  var summary: String {
    var text =
      "\(use.device): weights \(formatBytes(use.weights)), cache of a batch \(formatBytes(use.cache)), intermediate "
      + "results \(formatBytes(use.compute))"
    if let freeBefore, let freeAfter {
      text += "; \(formatBytes(freeBefore)) free before, \(formatBytes(freeAfter)) after"
    }
    text += "; \(formatBytes(trafficPerToken)) a token to and from the CPU"
    if let promptCache { text += "; \(formatBytes(promptCache)) of keys and values while it read the prompt" }
    if let window { text += "; \(formatBytes(window)) for first and last tokens" }
    return text
  }
}

extension PromptActivity {
  /// The same for people.
  var summary: String {
    var parts = ["keys and values of \(residentLayers) layers stayed on devices"]
    if streamedLayers > 0 { parts.append("those of \(streamedLayers) were sent for each batch") }
    if sentBytes > 0 {
      parts.append("\(formatBytes(sentBytes)) sent in \(formatted(sendingSeconds)) s")
    }
    parts.append(
      "the CPU worked \(formatted(sharedSeconds)) s beside them and waited \(formatted(waitingSeconds)) s")
    return parts.joined(separator: ", ")
  }

  private func formatted(_ seconds: Double) -> String { String(format: "%.2f", seconds) }
}

extension WindowActivity {
  /// The same for people.
  var summary: String {
    guard let times = microsecondsPerLayer else { return "not used" }
    var text =
      "a layer's CPU part \(Int(times.cpu.rounded())) us, then \(Int(times.waiting.rounded())) us waited"
    if let device = times.device { text += "; the device's alone \(Int(device.rounded())) us" }
    return text
  }
}
