// Address space that is reserved at once and filled with memory as it is written: a store that grows without
// copying. The idea is vTensor's (arXiv 2407.15309), with the page tables of the operating system.

import Platform

/// A range of address space whose pages get memory when they are first written, and give it back with the object.
@safe final class ReservedMemory {
  let base: UnsafeMutableRawPointer
  let byteCount: Int
  /// There once a file is mapped into the range.
  private var watch: MappingWatch?

  /// Throws ``AttentionError/reservationFailed(bytes:code:)`` when the system refuses, for example under a limit
  /// of address space.
  init(byteCount: Int) throws(AttentionError) {
    let page = Int(sysconf(Int32(_SC_PAGESIZE)))
    let rounded = (max(byteCount, 1) + page - 1) / page * page
    #if canImport(Darwin)
      let flags = MAP_PRIVATE | MAP_ANON
    #else
      let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
    #endif
    guard let base = unsafe mmap(nil, rounded, PROT_READ | PROT_WRITE, flags, -1, 0),
      unsafe base != MAP_FAILED
    else {
      throw .reservationFailed(bytes: rounded, code: errno)
    }
    unsafe self.base = base
    self.byteCount = rounded
  }

  /// Asks for pages of 2 MiB in a part, where the system has them: rows read at random then need fewer page tables.
  ///
  /// Only what is long should ask: a huge page is there as a whole once a byte of it is written.
  func preferHugePages(_ range: Range<Int>) {
    #if os(Linux)
      let size = 1 << 21
      let start =
        unsafe (UInt(bitPattern: base) + UInt(range.lowerBound) + UInt(size - 1)) / UInt(size) * UInt(size)
      let end = unsafe UInt(bitPattern: base) + UInt(min(range.upperBound, byteCount))
      guard start < end, let pointer = unsafe UnsafeMutableRawPointer(bitPattern: start) else { return }
      // Nothing depends on it.
      _ = unsafe madvise(pointer, Int(end - start), MADV_HUGEPAGE)
    #endif
  }

  /// Must be told before a file is mapped into the range.
  func willMap(_ path: String) {
    if watch == nil { watch = unsafe MappingWatch(base, byteCount: byteCount, path: path) }
  }

  /// A file of the range that became shorter, so that rows were missing when they were read; nil for none.
  var cutFile: String? { watch.flatMap { $0.isCut ? $0.path : nil } }

  deinit {
    // Before others may get the addresses.
    watch = nil
    unsafe munmap(base, byteCount)
  }
}
