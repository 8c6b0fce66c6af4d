// The value through which kernels are called. The operations are in Kernels+*.swift, the pointer-taking ones
// (package access, unchecked) in Kernels+Unsafe*.swift.

internal import CAttentionKernels
internal import Platform

// The C target calls expf and logf; importing the C library makes the linker look in libm, also for programs
// that import nothing else.
/// The kernels of one SIMD level.
///
///     let kernels = Kernels.active
///     var scores = [Float](repeating: 0, count: 2)
///     var output = scores.mutableSpan
///     try kernels.dot(
///       queries: query.span, RowShape(count: 1, dimension: 64),
///       rows: keys.span, RowShape(count: 2, dimension: 64), scores: &output)
///
/// Calls may run concurrently. They allocate nothing but the scratch of the checked functions that have no
/// `scratch` parameter, and give the same bits each time at one level.
/// 16-bit floats are passed as their bits: `Float16` is missing on Intel Macs.
@safe public struct Kernels: Sendable {
  // The tables are constants of the C target, hence safe to share.
  nonisolated(unsafe) let table: UnsafePointer<ak_kernels>

  /// The kernels of ``SIMDLevel/active``.
  public static let active = unsafe Kernels(table: ak_kernels_active())

  /// - Throws: ``KernelError/unsupportedLevel(_:supported:)``
  public init(level: SIMDLevel) throws(KernelError) {
    guard let table = unsafe ak_kernels_for(level.kernelLevel) else {
      throw .unsupportedLevel(level, supported: SIMDLevel.supported)
    }
    unsafe self.table = table
  }

  private init(table: UnsafePointer<ak_kernels>) {
    unsafe self.table = table
  }

  public var level: SIMDLevel { unsafe SIMDLevel(table.pointee.level) }
}

extension Kernels {
  /// Best rows for one call of prefill: its blocks of keys are unpacked once for as many. Fewer rows are best a
  /// multiple of 48; more are split into even shares.
  package static let preferredPrefillRows = Int(AK_PREFILL_ROWS)

  /// Floats of scratch that attend needs.
  package static func attendScratchCount(queryCount: Int) -> Int { ak_attend_scratch(queryCount) }

  /// Floats of scratch that prefill needs, however many rows it gets.
  package static func prefillScratchCount(dimension: Int) -> Int { ak_prefill_scratch(dimension) }

  /// Floats of scratch that matrix products and second moments need.
  package static var gemmScratchCount: Int { ak_gemm_scratch() }

  /// Floats of scratch that the k-means step needs.
  package static func assignScratchCount(dimension: Int) -> Int { ak_assign_scratch(dimension) }
}
