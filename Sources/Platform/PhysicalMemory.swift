// How much memory this computer has.

package enum PhysicalMemory {
  package static let byteCount: Int = {
    let pages = sysconf(numericCast(_SC_PHYS_PAGES))
    let size = sysconf(numericCast(_SC_PAGESIZE))
    return pages > 0 && size > 0 ? pages * size : .max
  }()
}
