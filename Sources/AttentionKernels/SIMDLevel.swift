// The instruction sets the kernels are written for, and which of them this process uses.

internal import CAttentionKernels

/// A set of CPU instructions that every kernel has a variant for.
///
/// The best one the CPU has is used, unless the environment variable `RA_SIMD_LEVEL` names another:
///
///     RA_SIMD_LEVEL=scalar ra chat model.gguf
///
/// Levels are ordered; a higher one is faster where both run.
public enum SIMDLevel: String, CaseIterable, Sendable, Comparable {
  /// Plain C, on every CPU. The specification of the others.
  case scalar
  /// Every 64-bit Arm CPU.
  case neon
  /// AVX2, FMA and F16C: Intel since Haswell, AMD since Zen.
  case avx2
  /// AVX-512 F, BW, DQ and VL.
  case avx512

  public static func < (left: SIMDLevel, right: SIMDLevel) -> Bool {
    left.kernelLevel.rawValue < right.kernelLevel.rawValue
  }

  /// The highest level this CPU can run.
  public static var detected: SIMDLevel { SIMDLevel(ak_level_detected()) }

  /// The level in use: ``detected``, or the one `RA_SIMD_LEVEL` names if it is known and supported.
  public static var active: SIMDLevel { unsafe SIMDLevel(ak_kernels_active().pointee.level) }

  /// The levels this CPU can run, in ascending order; never empty.
  public static var supported: [SIMDLevel] {
    allCases.filter { unsafe ak_kernels_for($0.kernelLevel) != nil }
  }

  /// Why `RA_SIMD_LEVEL` was ignored; nil when it was not, or was not set.
  public static var environmentProblem: SIMDLevelProblem? {
    switch ak_level_request() {
    case AK_REQUEST_UNKNOWN: .unknown(requestedName)
    case AK_REQUEST_UNSUPPORTED: .unsupported(SIMDLevel(rawValue: requestedName) ?? .scalar)
    default: nil
    }
  }

  private static var requestedName: String { unsafe String(cString: ak_level_requested_name()) }

  var kernelLevel: ak_level {
    switch self {
    case .scalar: AK_LEVEL_SCALAR
    case .neon: AK_LEVEL_NEON
    case .avx2: AK_LEVEL_AVX2
    case .avx512: AK_LEVEL_AVX512
    }
  }

  init(_ level: ak_level) {
    switch level {
    case AK_LEVEL_NEON: self = .neon
    case AK_LEVEL_AVX2: self = .avx2
    case AK_LEVEL_AVX512: self = .avx512
    default: self = .scalar
    }
  }
}

/// Why the level that `RA_SIMD_LEVEL` names is not in use.
public enum SIMDLevelProblem: Error, Equatable, Sendable, CustomStringConvertible {
  /// No level has this name.
  case unknown(String)
  /// The CPU, or this build, lacks the level.
  case unsupported(SIMDLevel)

  public var description: String {
    switch self {
    case .unknown(let name):
      "RA_SIMD_LEVEL=\(name) is no level: \(SIMDLevel.allCases.map(\.rawValue).joined(separator: ", "))"
    case .unsupported(let level):
      "RA_SIMD_LEVEL=\(level.rawValue) is not supported here: "
        + SIMDLevel.supported.map(\.rawValue).joined(separator: ", ")
    }
  }
}
