// How many threads do useful work on this computer.

import Platform

package enum ProcessorCount {
  /// Physical cores that this process may use: hyperthreads share the units that matter here, and efficiency
  /// cores make everyone wait at the next barrier.
  package static func physical() -> Int {
    #if canImport(Darwin)
      for name in ["hw.perflevel0.physicalcpu", "hw.physicalcpu"] {
        var count: Int32 = 0
        var size = MemoryLayout<Int32>.size
        if sysctlbyname(name, &count, &size, nil, 0) == 0, count > 0 { return Int(count) }
      }
      return max(1, Int(sysconf(_SC_NPROCESSORS_ONLN)))
    #else
      let allowed = allowedProcessors()
      guard !allowed.isEmpty else { return max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))) }
      var count = distinctCores(allowed, topology: "/sys/devices/system/cpu")
      if let quota = controlGroupQuota() { count = min(count, quota) }
      return max(1, count)
    #endif
  }

  #if !canImport(Darwin)
    /// The processors in the affinity mask. `sched_getaffinity` is hidden behind a GNU macro, so ask the file
    /// system.
    private static func allowedProcessors() -> [Int] {
      guard let file = unsafe fopen("/proc/self/status", "r") else { return [] }
      defer { unsafe fclose(file) }
      return unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: 4096) { buffer in
        guard let start = buffer.baseAddress else { return [] }
        while unsafe fgets(start, 4096, file) != nil {
          let line = unsafe String(cString: start)
          let key = "Cpus_allowed_list:"
          if line.hasPrefix(key) { return processors(String(line.dropFirst(key.count))) }
        }
        return []
      }
    }

    /// `"0-3,8"` is 0, 1, 2, 3 and 8.
    package static func processors(_ list: String) -> [Int] {
      list.split { $0 == "," || $0.isWhitespace }.flatMap { part -> [Int] in
        let ends = part.split(separator: "-").compactMap { Int($0) }
        guard let first = ends.first, let last = ends.last, first <= last else { return [] }
        return Array(first...last)
      }
    }

    /// Cores among `processors`: hyperthreads of one core list the same siblings.
    static func distinctCores(_ processors: [Int], topology: String) -> Int {
      var cores: Set<String> = []
      for processor in processors {
        let siblings = read("\(topology)/cpu\(processor)/topology/thread_siblings_list")
        cores.insert(siblings ?? "alone \(processor)")
      }
      return cores.count
    }

    /// The quota of the control group, rounded up; nil for no limit.
    private static func controlGroupQuota() -> Int? {
      if let text = read("/sys/fs/cgroup/cpu.max") { return quota(text) }
      guard let quota = read("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"),
        let period = read("/sys/fs/cgroup/cpu/cpu.cfs_period_us")
      else { return nil }
      return Self.quota("\(quota) \(period)")
    }

    /// `"150000 100000"` is one and a half processors, hence 2; `"max 100000"` and `"-1 100000"` are no
    /// limit.
    package static func quota(_ text: String) -> Int? {
      let parts = text.split(separator: " ")
      guard parts.count == 2, let time = Int(parts[0]), let period = Int(parts[1]), time > 0, period > 0
      else { return nil }
      return (time + period - 1) / period
    }

    /// The first line of a short file, nil when it is not there.
    private static func read(_ path: String) -> String? {
      guard let file = unsafe fopen(path, "r") else { return nil }
      defer { unsafe fclose(file) }
      return unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { buffer in
        guard let start = buffer.baseAddress, unsafe fgets(start, 256, file) != nil else { return nil }
        return unsafe String(String(cString: start).prefix { !$0.isNewline })
      }
    }
  #endif
}
