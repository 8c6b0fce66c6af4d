// `ra bench machine`: what it writes, and what it refuses. No model is needed.

import Foundation
import Testing

@Suite struct BenchMachineTests {
  @Test func writesEveryMeasurement() throws {
    let output = try Program.run(["bench", "machine", "--memory", "32", "--threads", "2", "--json"])
    #expect(output.status == 0)
    let report = try #require(
      try JSONSerialization.jsonObject(with: Data(output.standardOutput.utf8)) as? [String: Any])
    #expect(report["byteCount"] as? Int == 32 << 20)
    #expect(report["interrupted"] as? Bool == false)
    let peak = try #require(report["peakGigaflops"] as? Double)
    #expect(peak > 0)
    let streams = try #require(report["streams"] as? [[String: Any]])
    #expect(Set(streams.compactMap { $0["threads"] as? Int }) == [1, 2])
    let gathers = try #require(report["gathers"] as? [[String: Any]])
    #expect(Set(gathers.compactMap { $0["rowBytes"] as? Int }) == [128, 256])
    let kernels = try #require(report["kernels"] as? [[String: Any]])
    #expect(kernels.count == 12)
    for kernel in kernels {
      let rate = try #require(kernel["gigabytesPerSecond"] as? Double)
      #expect(rate > 0 && rate.isFinite)
      let share = try #require(kernel["bandwidthShare"] as? Double)
      #expect(share > 0)
    }
  }

  @Test(arguments: [["--memory", "8"], ["--memory", "99999999"], ["--threads", "0"], ["--threads", "x"]])
  func refusesWhatItCannotMeasure(arguments: [String]) throws {
    let output = try Program.run(["bench", "machine"] + arguments)
    #expect(output.status != 0)
    #expect(output.standardOutput.isEmpty)
    #expect(output.standardError.contains(arguments[0].dropFirst(2)))
  }
}
