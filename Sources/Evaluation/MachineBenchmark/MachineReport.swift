// What `ra bench machine` found: the machine's limits, and how close kernels come.

/// Limits of the machine and rates of the kernels.
public struct MachineReport: Sendable, Codable, Hashable {
  /// Reading memory in order.
  public struct Stream: Sendable, Codable, Hashable {
    public var threads: Int
    public var hugePages: Bool
    /// 10^9 bytes a second.
    public var gigabytesPerSecond: Double
  }

  /// Reading rows in random order, one thread.
  public struct Gather: Sendable, Codable, Hashable {
    public var rowBytes: Int
    public var hugePages: Bool
    /// Rows asked for ahead of their use; 0 for none.
    public var prefetched: Int
    public var nanosecondsPerRow: Double
    public var gigabytesPerSecond: Double
  }

  /// One kernel, one thread.
  public struct Kernel: Sendable, Codable, Hashable {
    public var name: String
    /// Its shapes, for people.
    public var shape: String
    /// Bytes read from memory, 10^9 a second.
    public var gigabytesPerSecond: Double
    /// 10^9 f32 additions and multiplications a second; nil where integers are added.
    public var gigaflops: Double?
    /// Share of the one-thread stream.
    public var bandwidthShare: Double
    /// Share of the f32 peak.
    public var peakShare: Double?
    /// Operations for each byte that is read: memory is the limit below ``MachineReport/balance``.
    public var intensity: Double?
  }

  public var simd: String
  public var threads: Int
  /// Memory that was walked through.
  public var byteCount: Int
  public var streams: [Stream] = []
  public var gathers: [Gather] = []
  /// f32 multiply-adds in registers, one thread, 10^9 operations a second.
  public var peakGigaflops = 0.0
  public var kernels: [Kernel] = []
  /// Whether Ctrl-C ended it early.
  public var interrupted = true

  /// Bandwidth of one thread, the better of huge and small pages; 0 before it was measured.
  public var bandwidth: Double {
    streams.filter { $0.threads == 1 }.map(\.gigabytesPerSecond).max() ?? 0
  }
  /// Operations in the time of a byte: the bend of the roofline (Williams, Waterman and Patterson, 2009).
  public var balance: Double { bandwidth > 0 ? peakGigaflops / bandwidth : 0 }
}
