// Checked conversions and exponentials.

extension Kernels {
  /// f32 to bits of f16, to nearest even; what exceeds 65504 by half a step becomes infinity.
  ///
  /// - Throws: ``KernelError/bufferTooSmall(name:required:actual:)`` if the target is shorter than the source.
  public func convertToFloat16(
    _ source: Span<Float>, into target: inout MutableSpan<UInt16>
  ) throws(KernelError) {
    try require("target", source.count, in: target.count)
    unsafe target.withPointer { target in
      unsafe source.withPointer { unsafe unsafeConvertToFloat16($0, target, count: source.count) }
    }
  }

  /// Bits of f16 to f32; exact.
  ///
  /// - Throws: ``KernelError/bufferTooSmall(name:required:actual:)`` if the target is shorter than the source.
  public func convertFromFloat16(
    _ source: Span<UInt16>, into target: inout MutableSpan<Float>
  ) throws(KernelError) {
    try require("target", source.count, in: target.count)
    unsafe target.withPointer { target in
      unsafe source.withPointer { unsafe unsafeConvertFromFloat16($0, target, count: source.count) }
    }
  }

  /// f32 to bits of bf16, to nearest even.
  ///
  /// - Throws: ``KernelError/bufferTooSmall(name:required:actual:)`` if the target is shorter than the source.
  public func convertToBFloat16(
    _ source: Span<Float>, into target: inout MutableSpan<UInt16>
  ) throws(KernelError) {
    try require("target", source.count, in: target.count)
    unsafe target.withPointer { target in
      unsafe source.withPointer { unsafe unsafeConvertToBFloat16($0, target, count: source.count) }
    }
  }

  /// Bits of bf16 to f32; exact.
  ///
  /// - Throws: ``KernelError/bufferTooSmall(name:required:actual:)`` if the target is shorter than the source.
  public func convertFromBFloat16(
    _ source: Span<UInt16>, into target: inout MutableSpan<Float>
  ) throws(KernelError) {
    try require("target", source.count, in: target.count)
    unsafe target.withPointer { target in
      unsafe source.withPointer { unsafe unsafeConvertFromBFloat16($0, target, count: source.count) }
    }
  }

  /// e^x of every element, relative error below `2.5e-7`; 0 below -87.33 and infinity above 88.72.
  ///
  /// - Throws: ``KernelError/bufferTooSmall(name:required:actual:)`` if the target is shorter than the source.
  public func exp(_ source: Span<Float>, into target: inout MutableSpan<Float>) throws(KernelError) {
    try require("target", source.count, in: target.count)
    unsafe target.withPointer { target in
      unsafe source.withPointer { unsafe unsafeExp($0, target, count: source.count) }
    }
  }
}
