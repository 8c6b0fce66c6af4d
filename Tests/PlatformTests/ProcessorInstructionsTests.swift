// What the processor is said to have, beside what the system says.

import Foundation
import Testing

@testable import Platform

@Suite struct ProcessorInstructionsTests {
  @Test func unknownKindsAreNoReasonToRefuse() {
    #expect(ProcessorInstructions.has("no such instructions"))
  }

  #if os(Linux)
    /// The kernel's names for the same.
    #if arch(x86_64)
      private static let flags = [
        "AVX": "avx", "AVX2": "avx2", "FMA": "fma", "F16C": "f16c", "BMI2": "bmi2", "AVX-512": "avx512f",
      ]
    #else
      private static let flags = ["FP16": "asimdhp", "DOTPROD": "asimddp", "SVE": "sve", "I8MM": "i8mm"]
    #endif

    @Test(arguments: flags.sorted { $0.key < $1.key })
    func theKernelSaysTheSame(kind: String, flag: String) throws {
      let lines = try String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8).split(separator: "\n")
      let line = try #require(lines.first { $0.hasPrefix("flags") || $0.hasPrefix("Features") })
      #expect(ProcessorInstructions.has(kind) == line.split(separator: " ").contains(Substring(flag)))
    }
  #endif
}
