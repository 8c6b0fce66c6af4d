import TestSupport
import Testing

@testable import Generation

@Suite struct ReadingEstimateTests {
  /// Seconds of reading n tokens at a + b n a token.
  private func seconds(_ a: Double, _ b: Double, _ n: Double) -> Double { a * n + b * n * n / 2 }

  @Test(arguments: [(0.0022, 4.8e-7), (0.02, 2e-7), (0.001, 0.0), (0.0, 7e-8)])
  func `The rest is foretold from a tenth`(a: Double, b: Double) throws {
    let total = 32_768.0
    var estimate = ReadingEstimate(growth: 2e-4)
    var done = 0.0
    while done < total / 10 {
      done += 128
      // The clock is not exact: up to 4 % in turns.
      estimate.add(
        done: done, seconds: seconds(a, b, done) * (1 + 0.02 * (done.truncatingRemainder(dividingBy: 3) - 1)))
    }
    let left = try #require(estimate.secondsLeft(total: total))
    let expected = seconds(a, b, total) - seconds(a, b, done)
    #expect(abs(left / expected - 1) < 0.15, "\(left) for \(expected)")
  }

  /// SmolLM2 as it was read with vector instructions and with a matrix unit: 3.3 and .58 ms a token, .32 and .31 us for
  /// each one before it. Progress inside a batch goes by layers, whose tokens all stand at the same depth.
  @Test(arguments: [(3.3e-3, 3.2e-7, false), (5.8e-4, 3.1e-7, true)])
  func `A short text is foretold from a tenth, too`(a: Double, b: Double, hasMatrixUnit: Bool) throws {
    let (total, batch) = (7_000.0, 512.0)
    let growth = ReadingEstimate.expectedGrowth(
      try TestModel.load().description, hasMatrixUnit: hasMatrixUnit)
    var estimate = ReadingEstimate(growth: growth)
    var (done, begun) = (0.0, 0.0)
    while done < total / 10 {
      done += batch / 8
      if done > begun + batch { begun += batch }
      let part = (done - begun) / batch
      estimate.add(
        done: done,
        seconds: seconds(a, b, begun) + part * (seconds(a, b, begun + batch) - seconds(a, b, begun)))
    }
    let left = try #require(estimate.secondsLeft(total: total))
    let expected = seconds(a, b, total) - seconds(a, b, done)
    #expect(abs(left / expected - 1) < 0.15, "\(left) for \(expected)")
  }

  @Test func `The first batch already counts with the law that is expected`() throws {
    var estimate = ReadingEstimate(growth: 2e-4)
    #expect(estimate.secondsLeft(total: 10_000) == nil)
    for done in stride(from: 32.0, through: 512, by: 32) {
      estimate.add(done: done, seconds: seconds(0.0022, 0.0022 * 2e-4, done))
    }
    let left = try #require(estimate.secondsLeft(total: 32_768))
    let expected = seconds(0.0022, 0.0022 * 2e-4, 32_768) - seconds(0.0022, 0.0022 * 2e-4, 512)
    #expect(abs(left / expected - 1) < 0.05)
    // Extrapolating the rate alone would be far too low.
    #expect(left > 3 * 0.0022 * 32_768)
  }

  @Test func `Work of equal parts goes on at its rate`() throws {
    var estimate = ReadingEstimate()
    for done in 1...10 { estimate.add(done: Double(done), seconds: Double(done) * 2) }
    #expect(abs(try #require(estimate.secondsLeft(total: 20)) - 20) < 1e-9)
    #expect(estimate.rate == 0.5)
    #expect(estimate.secondsLeft(total: 10) == 0)
  }
}
