// The machine in words, for reports: times mean nothing without it.

import AttentionKernels
import Foundation

package enum MachineDescription {
  /// `AMD EPYC 9R14, 2 cores, 15.4 GB, avx512, Linux`; what the system does not tell is left out.
  package static var current: String {
    var parts: [String] = []
    if let name = processor { parts.append(name) }
    let process = ProcessInfo.processInfo
    parts.append("\(process.activeProcessorCount) cores")
    parts.append(
      String(format: "%.1f GB memory", Double(process.physicalMemory) / Double(1 << 30)))
    parts.append(SIMDLevel.active.rawValue)
    #if os(Linux)
      parts.append("Linux")
    #elseif os(macOS)
      parts.append("macOS")
    #endif
    return parts.joined(separator: ", ")
  }

  private static var processor: String? {
    #if canImport(Darwin)
      var size = 0
      guard sysctlbyname("machdep.cpu.brand_string", nil, &size, nil, 0) == 0, size > 1 else { return nil }
      var name = [UInt8](repeating: 0, count: size)
      guard sysctlbyname("machdep.cpu.brand_string", &name, &size, nil, 0) == 0 else { return nil }
      return String(decoding: name.prefix { $0 != 0 }, as: UTF8.self)
    #else
      // Files of this kind have no size, so they are read as a stream.
      guard let file = FileHandle(forReadingAtPath: "/proc/cpuinfo"), let data = try? file.readToEnd() else {
        return nil
      }
      let line = String(decoding: data, as: UTF8.self).split(separator: "\n").first {
        $0.hasPrefix("model name")
      }
      return line?.split(separator: ":", maxSplits: 1).last.map { $0.trimmingCharacters(in: .whitespaces) }
    #endif
  }
}
