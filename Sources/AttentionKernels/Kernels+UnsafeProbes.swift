// What the machine can do at best: for benchmarks. Nothing is checked here.

internal import CAttentionKernels

extension Kernels {
  /// Reads memory in order. The result is a number that depends on all of it.
  @unsafe package func unsafeReadMemory(_ data: UnsafeRawPointer, byteCount: Int) -> Float {
    unsafe table.pointee.read_memory(data, byteCount)
  }

  /// Reads `byteCount` bytes, a multiple of 64, of rows that lie `stride` bytes apart, and asks for the row `ahead`
  /// places further before each; 0 for not.
  @unsafe package func unsafeReadRows(
    _ data: UnsafeRawPointer, stride: Int, indices: UnsafePointer<UInt32>, indexCount: Int, byteCount: Int,
    ahead: Int
  ) -> Float {
    unsafe table.pointee.read_rows(
      ak_rows(data: data, stride: stride, type: AK_F16), indices, indexCount, byteCount, ahead)
  }

  /// Multiplies and adds f32 in registers; returns how many operations that were, a multiplication and an addition
  /// being two.
  package func multiplyAdd(rounds: Int, result: inout Float) -> Int {
    unsafe table.pointee.multiply_add(rounds, &result)
  }
}
