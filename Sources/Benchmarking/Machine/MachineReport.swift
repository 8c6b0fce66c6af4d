// What `ra bench machine` found: the machine's limits, and how close kernels come.

/// Limits of the machine and rates of the kernels.
package struct MachineReport: Sendable, Codable, Hashable {
  /// Reading memory in order.
  package struct Stream: Sendable, Codable, Hashable {
    package var threads: Int
    package var hugePages: Bool
    /// 10^9 bytes a second.
    package var gigabytesPerSecond: Double
  }

  /// Reading rows in random order, one thread.
  package struct Gather: Sendable, Codable, Hashable {
    package var rowBytes: Int
    package var hugePages: Bool
    /// Rows asked for ahead of their use; 0 for none.
    package var prefetched: Int
    package var nanosecondsPerRow: Double
    package var gigabytesPerSecond: Double
  }

  /// One kernel, one thread.
  package struct Kernel: Sendable, Codable, Hashable {
    package var name: String
    /// Its shapes, for people.
    package var shape: String
    /// Bytes read from memory, 10^9 a second.
    package var gigabytesPerSecond: Double
    /// 10^9 f32 additions and multiplications a second; nil where integers are added.
    package var gigaflops: Double?
    /// Share of the one-thread stream.
    package var bandwidthShare: Double
    /// Share of the f32 peak.
    package var peakShare: Double?
    /// Operations for each byte that is read: memory is the limit below ``MachineReport/balance``.
    package var intensity: Double?
  }

  package var simd: String
  package var threads: Int
  /// Memory that was walked through.
  package var byteCount: Int
  package var streams: [Stream] = []
  package var gathers: [Gather] = []
  /// f32 multiply-adds in registers, one thread, 10^9 operations a second.
  package var peakGigaflops = 0.0
  package var kernels: [Kernel] = []
  /// Whether Ctrl-C ended it early.
  package var interrupted = true

  /// Bandwidth of one thread, the better of huge and small pages; 0 before it was measured.
  package var bandwidth: Double {
    streams.filter { $0.threads == 1 }.map(\.gigabytesPerSecond).max() ?? 0
  }
  /// Operations in the time of a byte: the bend of the roofline (Williams, Waterman and Patterson, 2009).
  package var balance: Double { bandwidth > 0 ? peakGigaflops / bandwidth : 0 }
}
