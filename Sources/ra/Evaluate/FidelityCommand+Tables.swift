// What `ra fidelity` prints for people.

import Evaluation
import Foundation

extension FidelityCommand {
  func table(_ reports: [FidelityReport]) -> String {
    var lines = [
      "context \(context) tokens, \(tokens) decoded, compared with \(reference.rawValue) attention",
      "",
      "policy       tolerance   mean KL    p99 KL   top-1   keys read  with static   bytes/token  perplexity",
    ]
    for report in reports {
      lines.append(
        String(
          format: "%@ %9@ %9.5f %9.5f %7.3f %9.1f %% %9.1f %% %13@ %11.3f",
          report.policy.padding(toLength: 12, withPad: " ", startingAt: 0),
          report.tolerance.map { String(format: "%.2g", $0) } ?? "-", report.meanKL, report.p99KL,
          report.top1,
          report.keysRead * 100, report.keysReadWithStatic * 100, formatted(report.bytesPerToken),
          report.perplexity))
    }
    for report in reports { lines += headLines(report) }
    func row(_ name: String, _ divergence: Divergence) -> String {
      String(
        format: "%@ %9.5f %9.5f %7.3f", name.padding(toLength: 22, withPad: " ", startingAt: 0),
        divergence.meanKL,
        divergence.p99KL, divergence.top1)
    }
    if let first = reports.first {
      if let noise = first.noiseFloor { lines.append(row("noise: host to exact", noise)) }
      if let noise = first.hostNoise { lines.append(row("noise: host to flash", noise)) }
      lines.append("")
      lines.append(String(format: "reference perplexity %.3f", first.referencePerplexity))
    }
    return lines.joined(separator: "\n")
  }

  /// What reading with chosen keys has lost; nothing where there was none.
  func readingTable(_ readings: [PromptReadingReport]) -> String {
    guard !readings.isEmpty else { return "" }
    let width = max(9, readings.map(\.policy.count).max() ?? 0)
    let lines = readings.map { reading in
      reading.policy.padding(toLength: width, withPad: " ", startingAt: 0)
        + String(
          format: " %9@ %9.5f %9.5f %7.3f %9.1f %% %11.3f %9.1f %7.2f",
          reading.prefillTolerance.map { String(format: "%.2g", $0) } ?? "-", reading.meanKL, reading.p99KL,
          reading.top1, reading.keysRead * 100, reading.perplexity, reading.seconds,
          reading.exactSeconds / reading.seconds)
    }
    let heading = [
      "", "", "read with chosen keys, decoded exactly, against read exactly",
      "read by".padding(toLength: width, withPad: " ", startingAt: 0)
        + " tolerance   mean KL    p99 KL   top-1   keys read  perplexity   seconds   times as fast",
    ]
    return (heading + lines).joined(separator: "\n")
  }

  /// A line for each layer; none where no heads were observed.
  private func headLines(_ report: FidelityReport) -> [String] {
    guard let heads = report.heads else { return [] }
    let name = report.policy + (report.tolerance.map { String(format: " %.2g", $0) } ?? "")
    var lines = ["", "\(name): layer  output error  worst head  mass read"]
    for (layer, (errors, masses)) in zip(heads.outputError, heads.recoveredMass).enumerated() {
      let known = errors.compactMap { $0 }
      guard let worst = known.max(), let error = HeadErrors.mean([errors]) else { continue }
      let mass = HeadErrors.mean([masses]).map { String(format: "%9.1f %%", $0 * 100) } ?? "        -"
      lines.append(
        String(repeating: " ", count: name.count + 2)
          + String(format: "%5d %13.4f %11.4f", layer, error, worst) + mass)
    }
    return lines
  }

  private func formatted(_ bytes: Double) -> String {
    String(format: "%.2f MB", bytes / 1_048_576)
  }
}

extension FidelityCurve {
  var table: String {
    func number(_ value: Double?) -> String { value.map { String(format: "%9.5f", $0) } ?? "        -" }
    let heading = [
      "context \(context) tokens, then decoded, \(policy) compared with exact attention", "",
      "decoded before   mean KL  isolated     noise   top-1  with static      loss     exact",
    ]
    let lines = blocks.map { block in
      String(format: "%14d ", block.firstToken) + number(block.meanKL) + " " + number(block.isolatedKL) + " "
        + number(block.noiseKL)
        + String(
          format: " %7.3f %10.1f %% %9.4f %9.4f", block.top1, block.keysReadWithStatic * 100, block.loss,
          block.exactLoss)
    }
    return (heading + lines).joined(separator: "\n")
  }
}
