// What the files of this target share: the levels' tables, block sizes, and the reference conversions.

#ifndef AK_INTERNAL_H
#define AK_INTERNAL_H

#include "attention_kernels.h"

#include <math.h>
#include <string.h>

extern const ak_kernels ak_table_scalar;
#if defined(__x86_64__)
extern const ak_kernels ak_table_avx2;
extern const ak_kernels ak_table_avx512;
#elif defined(__aarch64__)
extern const ak_kernels ak_table_neon;
#endif

// Bounds over all levels, for scratch sizes that do not depend on the level.
#define AK_MAX_PANEL 48     // columns of a register tile: 3 vectors of 16
#define AK_MAX_TILE_ROWS 8  // rows of a register tile

// Keys that prefill unpacks at a time, whole tiles of 6 and of 8: 96 keys and values of 128 floats are 98 KB,
// a tenth of a 1 MB L2, and their scores for one panel of queries fit the L1.
#define AK_PREFILL_BLOCK 96

// Rows of A and depth of a matrix product between two packings of B: A's block is 256 KB.
#define AK_GEMM_ROWS 256
#define AK_GEMM_DEPTH 256

static inline size_t ak_round_up(size_t value, size_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

// Coded rows after which the next share of the queries has its turn, with the codes in cache.
#define AK_CODE_ROWS 1024
// Room for what they weigh, with a block more.
#define AK_SAMPLE_ROWS (AK_CODE_ROWS + AK_PQ_BLOCK)

static inline size_t ak_min(size_t a, size_t b) { return a < b ? a : b; }
static inline size_t ak_max(size_t a, size_t b) { return a > b ? a : b; }

// The last step of pq4_tables, from products less the lowest of each codebook and from their highest. Inlined into
// every level, whose vectors the compiler then uses.
static inline __attribute__((always_inline)) void ak_round_tables(
  const float *products, const float *ranges, size_t codebooks, uint8_t *tables, float *scale) {
  float widest = 0;
  for (size_t s = 0; s < codebooks; s += s % 4 == 3 ? 13 : 1) {
    float sum = 0;
    for (size_t t = s; t < ak_min(codebooks, s + 16); t += 4) sum += ranges[t];
    widest = sum > widest || sum != sum ? sum : widest;
  }
  if (!(widest > 1e-30f && widest < INFINITY)) {
    memset(tables, 0, 16 * codebooks);
    *scale = 0;
    return;
  }
  // Four entries round up by 2 at most.
  *scale = widest / 253;
  const float inverse = 253 / widest;
  for (size_t i = 0; i < 16 * codebooks; i++) tables[i] = (uint8_t)(int32_t)(products[i] * inverse + 0.5f);
}

static inline float ak_float_from_bits(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

static inline uint32_t ak_bits_from_float(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

// Signaling NaNs become quiet, as they do in F16C and NEON.
static inline float ak_float_from_f16(uint16_t half) {
  uint32_t sign = (uint32_t)(half & 0x8000) << 16;
  uint32_t exponent = (half >> 10) & 0x1f;
  uint32_t mantissa = half & 0x3ff;
  if (exponent == 0) {
    // Subnormals are multiples of 2^-24, which f32 holds exactly.
    float magnitude = (float)mantissa * 0x1p-24f;
    return ak_float_from_bits(sign | ak_bits_from_float(magnitude));
  }
  if (exponent == 31) {
    return ak_float_from_bits(sign | 0x7f800000u | (mantissa << 13) | (mantissa ? 0x400000u : 0));
  }
  return ak_float_from_bits(sign | ((exponent + 112) << 23) | (mantissa << 13));
}

static inline uint16_t ak_f16_from_float(float value) {
  uint32_t bits = ak_bits_from_float(value);
  uint32_t sign = (bits >> 16) & 0x8000;
  uint32_t magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return (uint16_t)(sign | 0x7e00 | ((magnitude >> 13) & 0x3ff));
  // From 65520, halfway between the largest f16 and the next power, everything rounds to infinity.
  if (magnitude >= 0x477ff000) return (uint16_t)(sign | 0x7c00);
  if (magnitude < 0x38800000) {
    // Below 2^-14 the result is subnormal. Adding 0.5 lets the FPU round at 2^-24, the last bit of 0.5.
    float rounded = ak_float_from_bits(magnitude) + 0.5f;
    return (uint16_t)(sign | (ak_bits_from_float(rounded) - 0x3f000000u));
  }
  uint32_t odd = (magnitude >> 13) & 1;
  return (uint16_t)(sign | ((magnitude - (112u << 23) + 0xfff + odd) >> 13));
}

static inline float ak_float_from_bf16(uint16_t value) { return ak_float_from_bits((uint32_t)value << 16); }

static inline uint16_t ak_bf16_from_float(float value) {
  uint32_t bits = ak_bits_from_float(value);
  uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  uint32_t quiet = (bits >> 16) | 0x40;
  return (uint16_t)((bits & 0x7fffffff) > 0x7f800000 ? quiet : rounded);
}

// The rows from number i on.
static inline ak_rows ak_rows_from(ak_rows rows, size_t i) {
  rows.data = (const char *)rows.data + i * rows.stride;
  return rows;
}

// The scale of element k of an 8-bit row.
static inline float ak_q8_scale(const void *row, size_t d, size_t k) {
  uint16_t scale;
  memcpy(&scale, (const char *)row + ak_q8_codes_bytes(d) + k / AK_Q8_BLOCK * 2, sizeof scale);
  return ak_float_from_f16(scale);
}

// Writes the scale of the block of element k for a largest magnitude, and answers what elements are multiplied by.
static inline float ak_q8_store_scale(void *row, size_t d, size_t k, float largest) {
  const float most = 65504;
  const uint16_t scale = ak_f16_from_float(largest / 127 < most ? largest / 127 : most);
  memcpy((char *)row + ak_q8_codes_bytes(d) + k / AK_Q8_BLOCK * 2, &scale, sizeof scale);
  const float step = ak_float_from_f16(scale);
  return step > 0 ? 1 / step : 0;
}

// The nearest of -127 ... 127, ties to even; 0 for NaN.
static inline int8_t ak_q8_code(float x) {
  if (x != x) return 0;
  return (int8_t)rintf(x < -127 ? -127 : x > 127 ? 127 : x);
}

#endif
