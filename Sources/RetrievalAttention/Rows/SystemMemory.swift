// How much memory is left, so that a context that cannot fit is refused before an hour of prefill, not after.

import Platform

public enum SystemMemory {
  /// Bytes that can be used without swapping, as far as the system tells; nil when it does not.
  ///
  /// Linux: the smaller of `MemAvailable` and what the control group leaves. Elsewhere: the physical memory.
  public static var availableBytes: Int? {
    #if os(Linux)
      let free = kilobytes("MemAvailable:", inFile: "/proc/meminfo")
      guard let limit = integer(inFile: "/sys/fs/cgroup/memory.max"),
        let used = integer(inFile: "/sys/fs/cgroup/memory.current")
      else { return free }
      return min(free ?? .max, max(0, limit - used))
    #else
      let pages = sysconf(Int32(_SC_PHYS_PAGES))
      let size = sysconf(Int32(_SC_PAGESIZE))
      return pages > 0 && size > 0 ? Int(pages) * Int(size) : nil
    #endif
  }

  /// The process's memory in use (resident set), in bytes; nil when the system does not tell.
  public static var residentBytes: Int? {
    #if os(Linux)
      guard let text = contents("/proc/self/statm") else { return nil }
      let fields = text.split(separator: " ")
      guard fields.count > 1, let pages = Int(fields[1]) else { return nil }
      return pages * Int(sysconf(Int32(_SC_PAGESIZE)))
    #else
      return peakResidentBytes
    #endif
  }

  /// The most memory that the process has had in use so far, in bytes; nil when the system does not tell.
  public static var peakResidentBytes: Int? {
    #if os(Linux)
      return kilobytes("VmHWM:", inFile: "/proc/self/status")
    #else
      var usage = rusage()
      guard getrusage(RUSAGE_SELF, &usage) == 0 else { return nil }
      return Int(usage.ru_maxrss)
    #endif
  }

  /// Most mappings that the process may have (`vm.max_map_count`); nil where there is no such limit.
  public static var maximumMappings: Int? {
    #if os(Linux)
      integer(inFile: "/proc/sys/vm/max_map_count")
    #else
      nil
    #endif
  }

  /// The number behind a key, in bytes.
  private static func kilobytes(_ key: String, inFile path: String) -> Int? {
    contents(path).flatMap { kilobytes(key, in: $0) }
  }

  /// The same in a text of such lines.
  package static func kilobytes(_ key: String, in text: String) -> Int? {
    for line in text.split(separator: "\n") where line.hasPrefix(key) {
      // Large numbers leave no space behind the tab.
      let fields = line.split { $0 == " " || $0 == "\t" }
      return fields.count > 1 ? Int(fields[1]).map { $0 * 1024 } : nil
    }
    return nil
  }

  private static func integer(inFile path: String) -> Int? {
    guard let text = contents(path) else { return nil }
    return Int(text.prefix { $0.isNumber })
  }

  private static func contents(_ path: String) -> String? {
    guard let file = unsafe fopen(path, "r") else { return nil }
    defer { unsafe fclose(file) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 4096)
    while true {
      let count = unsafe fread(&chunk, 1, chunk.count, file)
      guard count > 0 else { break }
      bytes.append(contentsOf: chunk[0..<count])
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}
