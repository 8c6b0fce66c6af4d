// For memfd_create, which is no part of POSIX.
#define _GNU_SOURCE

#include "system_calls.h"

#include <errno.h>
#ifdef __linux__
#include <sys/mman.h>
#endif

int ra_open_memory_file(const char *name) {
#ifdef __linux__
  return memfd_create(name, MFD_CLOEXEC);
#else
  (void)name;
  errno = ENOSYS;
  return -1;
#endif
}
