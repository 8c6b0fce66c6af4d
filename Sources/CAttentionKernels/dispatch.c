// Which levels this CPU has, and which one is active.

#include "internal.h"

#include <pthread.h>
#include <stdlib.h>

#if defined(__x86_64__)
#include <cpuid.h>

// The operating system's part: which registers it saves. Asked by instruction, because __builtin_cpu_supports
// needs a run-time library that not every Swift link line brings.
static uint64_t enabled_register_state(void) {
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return ((uint64_t)high << 32) | low;
}

static ak_level detect(void) {
  uint32_t a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d)) return AK_LEVEL_SCALAR;
  const uint32_t fma = 1u << 12, osxsave = 1u << 27, avx = 1u << 28, f16c = 1u << 29;
  const uint32_t basis = fma | osxsave | avx | f16c;
  if ((c & basis) != basis) return AK_LEVEL_SCALAR;
  uint64_t state = enabled_register_state();
  if ((state & 0x06) != 0x06) return AK_LEVEL_SCALAR;  // XMM and YMM
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return AK_LEVEL_SCALAR;
  const uint32_t avx2 = 1u << 5;
  if (!(b & avx2)) return AK_LEVEL_SCALAR;
  const uint32_t avx512 = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31;  // F, DQ, BW, VL
  if ((b & avx512) == avx512 && (state & 0xe6) == 0xe6) return AK_LEVEL_AVX512;  // and masks and ZMM
  return AK_LEVEL_AVX2;
}

#elif defined(__aarch64__)

static ak_level detect(void) { return AK_LEVEL_NEON; }  // part of the architecture

#else

static ak_level detect(void) { return AK_LEVEL_SCALAR; }

#endif

static pthread_once_t once = PTHREAD_ONCE_INIT;
static ak_level detected = AK_LEVEL_SCALAR;
static ak_request request = AK_REQUEST_NONE;
static char requested_name[32] = "";  // a copy, as setenv may free the original
static const ak_kernels *active = NULL;

// Needs `detected`.
static const ak_kernels *table_for(ak_level level) {
  switch (level) {
  case AK_LEVEL_SCALAR:
    return &ak_table_scalar;
#if defined(__x86_64__)
  case AK_LEVEL_AVX2:
    return detected >= AK_LEVEL_AVX2 ? &ak_table_avx2 : NULL;
  case AK_LEVEL_AVX512:
    return detected >= AK_LEVEL_AVX512 ? &ak_table_avx512 : NULL;
#elif defined(__aarch64__)
  case AK_LEVEL_NEON:
    return &ak_table_neon;
#endif
  default:
    return NULL;
  }
}

static void initialize(void) {
  detected = detect();
  active = table_for(detected);
  const char *name = getenv("RA_SIMD_LEVEL");
  if (!name || !*name) return;
  strncpy(requested_name, name, sizeof requested_name - 1);
  request = AK_REQUEST_UNKNOWN;
  for (int level = 0; level < AK_LEVEL_COUNT; level++) {
    if (strcmp(name, ak_level_name((ak_level)level)) != 0) continue;
    const ak_kernels *table = table_for((ak_level)level);
    request = table ? AK_REQUEST_GRANTED : AK_REQUEST_UNSUPPORTED;
    if (table) active = table;
  }
}

const ak_kernels *ak_kernels_for(ak_level level) {
  pthread_once(&once, initialize);
  return table_for(level);
}

const ak_kernels *ak_kernels_active(void) {
  pthread_once(&once, initialize);
  return active;
}

ak_level ak_level_detected(void) {
  pthread_once(&once, initialize);
  return detected;
}

ak_request ak_level_request(void) {
  pthread_once(&once, initialize);
  return request;
}

const char *ak_level_requested_name(void) {
  pthread_once(&once, initialize);
  return requested_name;
}

const char *ak_level_name(ak_level level) {
  switch (level) {
  case AK_LEVEL_SCALAR:
    return "scalar";
  case AK_LEVEL_NEON:
    return "neon";
  case AK_LEVEL_AVX2:
    return "avx2";
  case AK_LEVEL_AVX512:
    return "avx512";
  }
  return "unknown";
}
