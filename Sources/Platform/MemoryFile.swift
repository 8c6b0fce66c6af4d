// Files that no folder has.

import CSystemCalls

/// A file without a name, in memory, that is gone when nobody has it open or mapped.
package enum MemoryFile {
  /// Opens one; `name` is for people who look at a process's memory.
  ///
  /// - Returns: a descriptor that is closed by exec, or -1 with `errno`: ENOSYS where the system has no such files.
  package static func open(name: String) -> Int32 { unsafe ra_open_memory_file(name) }
}
