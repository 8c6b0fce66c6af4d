import AttentionKernels
import Foundation
import Testing

@Suite struct SIMDLevelTests {
  @Test func scalarIsAlwaysSupported() {
    #expect(SIMDLevel.supported.first == .scalar)
    #expect(SIMDLevel.supported == SIMDLevel.supported.sorted())
    #expect(SIMDLevel.supported.contains(SIMDLevel.detected))
    #expect(SIMDLevel.supported.contains(SIMDLevel.active))
    #expect(Kernels.active.level == SIMDLevel.active)
  }

  @Test(arguments: SIMDLevel.allCases) func everyLevelIsThereOrRefused(_ level: SIMDLevel) throws {
    if SIMDLevel.supported.contains(level) {
      #expect(try Kernels(level: level).level == level)
    } else {
      #expect(throws: KernelError.unsupportedLevel(level, supported: SIMDLevel.supported)) {
        try Kernels(level: level)
      }
    }
  }

  /// A skipped test looks like a passed one: machines that should have a level say so in RA_REQUIRE_SIMD.
  @Test func requiredLevelsAreSupported() {
    let required = ProcessInfo.processInfo.environment["RA_REQUIRE_SIMD"] ?? ""
    for name in required.split(separator: ",").map(String.init) {
      let level = SIMDLevel(rawValue: name)
      #expect(level != nil, "RA_REQUIRE_SIMD names no level: \(name)")
      #expect(level.map(SIMDLevel.supported.contains) == true, "RA_REQUIRE_SIMD: \(name) is not supported")
    }
  }

  @Test func environmentIsObeyedOrReported() {
    guard let name = ProcessInfo.processInfo.environment["RA_SIMD_LEVEL"], !name.isEmpty else {
      #expect(SIMDLevel.environmentProblem == nil)
      #expect(SIMDLevel.active == SIMDLevel.detected)
      return
    }
    guard let level = SIMDLevel(rawValue: name) else {
      #expect(SIMDLevel.environmentProblem == .unknown(name))
      return
    }
    let supported = SIMDLevel.supported.contains(level)
    #expect(SIMDLevel.environmentProblem == (supported ? nil : .unsupported(level)))
    #expect(SIMDLevel.active == (supported ? level : SIMDLevel.detected))
  }
}
