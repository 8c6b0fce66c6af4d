// The vector primitives of the AVX-512 level: 16 lanes, 32 registers.

#include <immintrin.h>

#pragma clang attribute push( \
  __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c"))), apply_to = function)

#define AK_SUFFIX avx512
#define AK_LEVEL AK_LEVEL_AVX512
#define AK_LANES 16

// Register tile of the matrix products: 8 rows of 3 vectors are 24 sums.
#define AK_TILE_ROWS 8
// Queries for which a dot product tile takes 4 rows rather than 2: 24 sums.
#define AK_DOT_TALL 6
// Vectors of an accumulator row held in registers for m queries, at most 24 in all.
#define AK_SUM_VECTORS(m) 4

typedef __m512 ak_v;
typedef __m128 ak_v4;

#define AK_PRIMITIVE static inline __attribute__((always_inline))

AK_PRIMITIVE ak_v v_set(float x) { return _mm512_set1_ps(x); }
AK_PRIMITIVE ak_v v_load(const float *p) { return _mm512_loadu_ps(p); }
AK_PRIMITIVE void v_store(float *p, ak_v x) { _mm512_storeu_ps(p, x); }
AK_PRIMITIVE ak_v v_add(ak_v a, ak_v b) { return _mm512_add_ps(a, b); }
AK_PRIMITIVE ak_v v_sub(ak_v a, ak_v b) { return _mm512_sub_ps(a, b); }
AK_PRIMITIVE ak_v v_mul(ak_v a, ak_v b) { return _mm512_mul_ps(a, b); }
AK_PRIMITIVE ak_v v_max(ak_v a, ak_v b) { return _mm512_max_ps(a, b); }
AK_PRIMITIVE ak_v v_min(ak_v a, ak_v b) { return _mm512_min_ps(a, b); }

// a * b + c
AK_PRIMITIVE ak_v v_fma(ak_v a, ak_v b, ak_v c) { return _mm512_fmadd_ps(a, b, c); }

AK_PRIMITIVE ak_v v_load_f16(const uint16_t *p) {
  return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p));
}

AK_PRIMITIVE void v_store_f16(uint16_t *p, ak_v x) {
  _mm256_storeu_si256((__m256i *)p, _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}

// a > b ? x : y, lane by lane; false for NaN
AK_PRIMITIVE ak_v v_if_greater(ak_v a, ak_v b, ak_v x, ak_v y) {
  return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_GT_OQ), y, x);
}

// Adds the low 9 bits of `bits` to the exponent of x.
AK_PRIMITIVE ak_v v_add_exponent(ak_v x, ak_v bits) {
  __m512i shifted = _mm512_slli_epi32(_mm512_castps_si512(bits), 23);
  return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(x), shifted));
}

AK_PRIMITIVE __m256 v_fold(ak_v x) {
  return _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
}

// The sums of a, b, c, d.
AK_PRIMITIVE ak_v4 v_reduce4(ak_v a, ak_v b, ak_v c, ak_v d) {
  __m256 pairs =
    _mm256_hadd_ps(_mm256_hadd_ps(v_fold(a), v_fold(b)), _mm256_hadd_ps(v_fold(c), v_fold(d)));
  return _mm_add_ps(_mm256_castps256_ps128(pairs), _mm256_extractf128_ps(pairs, 1));
}
