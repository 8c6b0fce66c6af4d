// System calls that Swift's C library modules leave out.

#ifndef SYSTEM_CALLS_H
#define SYSTEM_CALLS_H

/// Opens a file without a name, in memory, that is gone when nobody has it open or mapped.
///
/// Returns a descriptor, closed by exec, or -1 with errno: ENOSYS where the system has no such files.
int ra_open_memory_file(const char *name);

#endif
