// Which instructions the processor has, and the system lets programs use.

#include "system_calls.h"

#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>

// By instruction, because __builtin_cpu_supports needs a run-time library that not every Swift link line brings.
static uint64_t saved_registers(void) {
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return ((uint64_t)high << 32) | low;
}

int ra_processor_has(const char *instructions) {
  uint32_t a, b, c = 0, d, extended = 0, unused;
  if (!__get_cpuid(1, &a, &b, &c, &d)) return 0;
  uint64_t registers = c & 1u << 27 ? saved_registers() : 0;  // OSXSAVE
  if (!__get_cpuid_count(7, 0, &a, &extended, &unused, &d)) extended = 0;
  const int has_ymm = (registers & 0x06) == 0x06, has_zmm = (registers & 0xe6) == 0xe6;
  if (!strcmp(instructions, "AVX")) return has_ymm && c & 1u << 28;
  if (!strcmp(instructions, "FMA")) return has_ymm && c & 1u << 12;
  if (!strcmp(instructions, "F16C")) return has_ymm && c & 1u << 29;
  if (!strcmp(instructions, "AVX2")) return has_ymm && extended & 1u << 5;
  if (!strcmp(instructions, "BMI2")) return (extended & 1u << 8) != 0;
  if (!strcmp(instructions, "AVX-512")) return has_zmm && extended & 1u << 16;
  return 1;
}

#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>

int ra_processor_has(const char *instructions) {
  // The kernel's bits (asm/hwcap.h), which older C libraries do not name.
  const unsigned long first = getauxval(AT_HWCAP), second = getauxval(AT_HWCAP2);
  if (!strcmp(instructions, "FP16")) return (first & 1ul << 10) != 0;
  if (!strcmp(instructions, "DOTPROD")) return (first & 1ul << 20) != 0;
  if (!strcmp(instructions, "SVE")) return (first & 1ul << 22) != 0;
  if (!strcmp(instructions, "I8MM")) return (second & 1ul << 13) != 0;
  return 1;
}

#else

int ra_processor_has(const char *instructions) {
  (void)instructions;
  return 1;
}

#endif
