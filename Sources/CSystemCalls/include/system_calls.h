// System calls that Swift's C library modules leave out, and what has to run inside a signal handler.

#ifndef SYSTEM_CALLS_H
#define SYSTEM_CALLS_H

#include <stddef.h>

/// Opens a file without a name, in memory, that is gone when nobody has it open or mapped.
///
/// Returns a descriptor, closed by exec, or -1 with errno: ENOSYS where the system has no such files.
int ra_open_memory_file(const char *name);

/// A descriptor from which the numbers of signals can be read, one byte each, that `ra_catch_signal` catches.
///
/// Returns -1 with errno. The same descriptor for every call; it is never closed.
int ra_signal_descriptor(void);

/// Catches a signal from now on: its number goes to the descriptor, which must have been asked for before.
///
/// Returns 0, or -1 with errno.
int ra_catch_signal(int number);

/// Whether a signal is ignored, as a program started by nohup ignores SIGHUP.
int ra_ignores_signal(int number);

/// Watches a range of memory that a file is mapped into: when the file becomes shorter, what is missing reads as zeros
/// from then on instead of ending the process, and `ra_mapping_is_cut` tells.
///
/// `start` and `byte_count` are whole pages. Returns a number for the other calls, or -1 when there are no more: the
/// range is not watched then. Thread-safe.
int ra_watch_mapping(void *start, size_t byte_count);

/// Must be called before the range is unmapped.
void ra_unwatch_mapping(int watch);

/// Whether something in the range was missing when it was touched.
int ra_mapping_is_cut(int watch);

/// How often something was missing in any range since the process began: one look tells whether a closer one is needed.
unsigned ra_mapping_cut_count(void);

/// A sentence for standard error before the process ends with status 1, when a mapped file that nobody watches becomes
/// shorter. `sentence` has to live as long as the process; NULL leaves it to the system.
void ra_set_bus_error_sentence(const char *sentence);

/// Whether the processor has instructions of a kind that a program may have been compiled for, and the system lets
/// programs use them: AVX, AVX2, FMA, F16C, BMI2, AVX-512; FP16, DOTPROD, SVE, I8MM on Arm. 1 for other kinds.
int ra_processor_has(const char *instructions);

#endif
