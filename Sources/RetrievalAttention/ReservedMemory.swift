// Address space that is reserved at once and filled with memory as it is written: a store that grows without
// copying. The idea is vTensor's (arXiv 2407.15309), with the page tables of the operating system.

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#elseif canImport(Musl)
  import Musl
#endif

/// A range of address space whose pages get memory when they are first written, and give it back with the object.
final class ReservedMemory {
  let base: UnsafeMutableRawPointer
  let byteCount: Int

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
    guard let base = mmap(nil, rounded, PROT_READ | PROT_WRITE, flags, -1, 0), base != MAP_FAILED else {
      throw .reservationFailed(bytes: rounded, code: errno)
    }
    self.base = base
    self.byteCount = rounded
  }

  deinit {
    munmap(base, byteCount)
  }
}
