// The limits of the machine that attention meets: bandwidth, random rows, multiply-adds.

import AttentionKernels
import Dispatch
import VectorIndex

/// Measures memory, arithmetic, and the kernels against both.
///
/// Every number is the best of many short pieces, since other programs take time from some of them.
package final class MachineBenchmark {
  package struct Settings: Sendable, Hashable {
    /// Memory to walk through; nil for a quarter more than the largest cache.
    package var byteCount: Int?
    package var threads = 1
    /// How often all memory is walked through for each number.
    package var rounds = 3

    package init() {}
  }

  /// How far the benchmark is: what it measures, and the steps done of all.
  package struct Progress: Sendable, Hashable {
    package var name: String
    package var done: Int
    package var total: Int
  }

  package internal(set) var report: MachineReport
  let kernels = Kernels.active
  let settings: Settings
  /// Pieces are measured one by one: longer than a clock's error by far, shorter than a time slice.
  let pieceBytes = 8 << 20
  /// Keeps what was computed alive.
  var sink: Float = 0

  /// Throws ``MachineBenchmarkError/invalidSetting(name:value:requirement:)``.
  package init(settings: Settings) throws(MachineBenchmarkError) {
    let bytes = settings.byteCount ?? max(CacheEviction.defaultByteCount, 4 * (8 << 20))
    for (name, value, range) in [
      ("memory in bytes", bytes, 1 << 25...1 << 36), ("number of threads", settings.threads, 1...1024),
      ("number of rounds", settings.rounds, 1...1000),
    ] where !range.contains(value) {
      throw .invalidSetting(name: name, value: value, requirement: "in \(range)")
    }
    self.settings = settings
    report = MachineReport(
      simd: kernels.level.rawValue, threads: settings.threads, byteCount: bytes / pieceBytes * pieceBytes)
  }

  /// Measures everything; ``report`` grows meanwhile.
  ///
  /// Throws ``MachineBenchmarkError`` or, when its task is cancelled, `CancellationError`.
  package func run(onProgress: (Progress) -> Void = { _ in }) throws {
    var done = 0
    let total = 5 + Self.kernelCount
    func step(_ name: String, _ body: () throws -> Void) throws {
      try Task.checkCancellation()
      onProgress(Progress(name: name, done: done, total: total))
      try body()
      done += 1
    }
    try step("multiply-adds") { measurePeak() }
    for hugePages in [false, true] {
      let memory = try ProbeMemory(byteCount: report.byteCount, hugePages: hugePages)
      if hugePages, !memory.advisesHugePages {
        done += 2
        continue
      }
      try step("streams") { measureStreams(memory) }
      try step("gathers") { measureGathers(memory) }
    }
    let memory = try ProbeMemory(byteCount: report.byteCount, hugePages: true)
    try measureKernels(memory, step: step)
    report.interrupted = false
  }

  /// The shortest time of `body`, called with the offset of each piece of the memory in turn.
  func shortest(bytes: Int, of memory: ProbeMemory, _ body: (Int) -> Void) -> Double {
    var best = Duration.seconds(1_000_000)
    for _ in 0..<settings.rounds {
      for offset in stride(from: 0, through: memory.byteCount - bytes, by: bytes) {
        best = min(best, ContinuousClock().measure { body(offset) })
      }
    }
    return best / .seconds(1)
  }

  private func measurePeak() {
    var best = 0.0
    for _ in 0..<50 {
      var operations = 0
      let time = ContinuousClock().measure { operations = kernels.multiplyAdd(rounds: 40_000, result: &sink) }
      best = max(best, Double(operations) / (time / .seconds(1)))
    }
    report.peakGigaflops = best / 1e9
  }

  private func measureStreams(_ memory: ProbeMemory) {
    for threads in Set([1, settings.threads]).sorted() {
      // Each thread reads a part of its own.
      let bytes = pieceBytes / 8 * threads
      let kernels = kernels
      let seconds = shortest(bytes: bytes, of: memory) { offset in
        if threads == 1 {
          unsafe sink += kernels.unsafeReadMemory(memory.base + offset, byteCount: bytes)
        } else {
          DispatchQueue.concurrentPerform(iterations: threads) { thread in
            let part = bytes / threads
            let sum = unsafe kernels.unsafeReadMemory(memory.base + offset + thread * part, byteCount: part)
            // Never so; without it nothing need be read.
            if sum == .infinity { print(sum) }
          }
        }
      }
      report.streams.append(
        MachineReport.Stream(
          threads: threads, hugePages: memory.advisesHugePages,
          gigabytesPerSecond: Double(bytes) / seconds / 1e9))
    }
  }

  private func measureGathers(_ memory: ProbeMemory) {
    for rowBytes in [128, 256] {
      for ahead in [0, 16] {
        let rows = memory.byteCount / rowBytes
        var generator = SeededGenerator(seed: 7)
        // No row twice: one that was read before would be in a cache.
        var order = (0..<UInt32(rows)).map { $0 }
        order.shuffle(using: &generator)
        let count = 8192
        var best = Duration.seconds(1_000_000)
        unsafe order.withUnsafeBufferPointer { order in
          for first in stride(from: 0, through: min(rows, count * 40) - count, by: count) {
            best = min(
              best,
              ContinuousClock().measure {
                unsafe sink += kernels.unsafeReadRows(
                  memory.base, stride: rowBytes, indices: order.baseAddress! + first, indexCount: count,
                  byteCount: rowBytes, ahead: ahead)
              })
          }
        }
        let seconds = best / .seconds(1) / Double(count)
        report.gathers.append(
          MachineReport.Gather(
            rowBytes: rowBytes, hugePages: memory.advisesHugePages, prefetched: ahead,
            nanosecondsPerRow: seconds * 1e9, gigabytesPerSecond: Double(rowBytes) / seconds / 1e9))
      }
    }
  }
}
