// Memory for measurements of bandwidth: more than the caches hold, with huge pages or without.

import Platform

/// Pages of its own that are given back with the object. Filled with f16 numbers between 1/32 and 1/16, of both signs:
/// as rows of 8 bits they are numbers as well.
///
/// `@unchecked`: nobody writes to them.
@safe final class ProbeMemory: @unchecked Sendable {
  let base: UnsafeMutableRawPointer
  let byteCount: Int
  /// Whether the system was asked for huge pages and took the advice; it may still use small ones.
  let advisesHugePages: Bool

  /// Throws ``MachineBenchmarkError/noMemory(bytes:code:)``.
  init(byteCount: Int, hugePages: Bool) throws(MachineBenchmarkError) {
    #if canImport(Darwin)
      let flags = MAP_PRIVATE | MAP_ANON
    #else
      let flags = MAP_PRIVATE | MAP_ANONYMOUS
    #endif
    guard let base = unsafe mmap(nil, byteCount, PROT_READ | PROT_WRITE, flags, -1, 0),
      unsafe base != MAP_FAILED
    else {
      throw .noMemory(bytes: byteCount, code: errno)
    }
    unsafe self.base = unsafe base
    self.byteCount = byteCount
    #if canImport(Glibc) || canImport(Musl)
      // 14: MADV_HUGEPAGE, 15: MADV_NOHUGEPAGE; not every C library's module has the names.
      advisesHugePages = unsafe madvise(base, byteCount, hugePages ? 14 : 15) == 0 && hugePages
    #else
      advisesHugePages = false
    #endif
    let words = unsafe base.assumingMemoryBound(to: UInt32.self)
    var state: UInt32 = 1
    for i in 0..<byteCount / 4 {
      state = state &* 1_664_525 &+ 1_013_904_223
      unsafe words[i] = 0x2800_2800 | state & 0x83ff_83ff
    }
  }

  deinit { unsafe munmap(base, byteCount) }
}

/// What ``MachineBenchmark`` throws.
package enum MachineBenchmarkError: Error, Hashable, CustomStringConvertible {
  /// A setting that cannot be measured.
  case invalidSetting(name: String, value: Int, requirement: String)
  /// The system gave no memory, with its error code.
  case noMemory(bytes: Int, code: Int32)

  package var description: String {
    switch self {
    case .invalidSetting(let name, let value, let requirement):
      "the \(name) is \(value), but must be \(requirement)"
    case .noMemory(let bytes, let code):
      "no \(bytes >> 20) MiB of memory to measure with: \(systemMessage(code)); choose less"
    }
  }
}
