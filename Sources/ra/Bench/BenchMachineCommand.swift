import ArgumentParser
import Benchmarking
import Foundation

struct BenchMachineCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "machine", abstract: "What memory and arithmetic allow, and how close the kernels come.",
    discussion: """
      Bandwidth of memory, random rows and multiply-adds are measured, then the kernels of decode and prefill. Every \
      number is the best of many short pieces. No model is needed.

      Example: ra bench machine --threads 2
      """)

  @Option(
    help: ArgumentHelp(
      "Memory to walk through. (default: a quarter more than the largest cache)", valueName: "MiB"))
  var memory: Int?
  @Option(help: ArgumentHelp("Threads of the second stream. (default: all processors)", valueName: "threads"))
  var threads: Int?
  @Flag(help: "Write JSON.")
  var json = false

  @OptionGroup var progress: ProgressOption

  func validate() throws {
    if let memory, !(32...65536).contains(memory) {
      throw ValidationError("--memory is \(memory), but must be in 32...65536.")
    }
    if let threads, !(1...1024).contains(threads) {
      throw ValidationError("--threads is \(threads), but must be in 1...1024.")
    }
  }

  func run() async throws {
    let command = self
    try await withInterruption { try command.measure() }
  }

  private func measure() throws {
    let console = progress.console
    var settings = MachineBenchmark.Settings()
    settings.byteCount = memory.map { $0 << 20 }
    settings.threads = threads ?? ProcessInfo.processInfo.activeProcessorCount
    let benchmark = try MachineBenchmark(settings: settings)
    let interrupted = try console.isInterrupted {
      try benchmark.run {
        console.progress("measuring \($0.name)", done: $0.done, total: $0.total, unit: "steps")
      }
    }
    if json { try console.json(benchmark.report) } else { console.output(table(benchmark.report)) }
    if interrupted { throw ExitCode.interrupted }
  }

  private func table(_ report: MachineReport) -> String {
    var lines = [
      "\(report.simd), walking through \(report.byteCount >> 20) MiB\(report.interrupted ? ", interrupted" : "")",
      "",
      " f32 peak, one thread: \(String(format: "%.1f", report.peakGigaflops)) Gflop/s", "",
      " stream                   GB/s",
    ]
    for stream in report.streams {
      lines.append(
        aligned([
          ("\(stream.threads) \(stream.threads == 1 ? "thread" : "threads")", -11),
          (pages(stream.hugePages), -10),
          (String(format: "%.1f", stream.gigabytesPerSecond), 6),
        ]))
    }
    lines += ["", " random rows                        ns/row    GB/s"]
    for gather in report.gathers {
      lines.append(
        aligned([
          ("\(gather.rowBytes) bytes", -11), (pages(gather.hugePages), -10),
          (gather.prefetched > 0 ? "prefetch" : "", -8),
          (String(format: "%.1f", gather.nanosecondsPerRow), 8),
          (String(format: "%.1f", gather.gigabytesPerSecond), 7),
        ]))
    }
    lines += ["", " kernel             shape               GB/s  of stream   Gflop/s   of peak  flop/byte"]
    for kernel in report.kernels {
      lines.append(
        aligned([
          (kernel.name, -18), (kernel.shape, -16), (String(format: "%.1f", kernel.gigabytesPerSecond), 7),
          (percent(kernel.bandwidthShare), 10),
          (kernel.gigaflops.map { String(format: "%.1f", $0) } ?? "-", 9),
          (kernel.peakShare.map(percent) ?? "-", 9),
          (kernel.intensity.map { String(format: "%.1f", $0) } ?? "-", 10),
        ]))
    }
    lines.append(
      String(
        format:
          "\nmemory is the limit below %.1f flop/byte; one thread, decode from memory, prefill from caches",
        report.balance))
    return lines.joined(separator: "\n") + "\n"
  }

  private func pages(_ huge: Bool) -> String { huge ? "huge pages" : "" }
  private func percent(_ share: Double) -> String { String(format: "%.0f %%", share * 100) }
}
