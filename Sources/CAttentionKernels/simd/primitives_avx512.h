// The vector primitives of the AVX-512 level: 16 lanes, 32 registers.

#include <immintrin.h>

#pragma clang attribute push( \
  __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c"))), apply_to = function)

#define AK_SUFFIX avx512
#define AK_LEVEL AK_LEVEL_AVX512
#define AK_LANES 16

// Register tile of the matrix products: 8 rows of 3 vectors are 24 sums.
#define AK_TILE_ROWS 8
#define AK_PANEL_VECTORS 3
// Rows of a dot product tile for m queries, 4 at most: up to 24 sums.
#define AK_DOT_ROWS(m) 4
// Vectors of a value row that are summed together for m queries, 8 at most: up to 24 sums.
#define AK_SUM_VECTORS(m) 4

// Queries that share a pass over codes, with a sum or two each: up to 12 sums.
#define AK_LVQ_QUERIES 6
#define AK_PQ_QUERIES 6

typedef __m512 ak_v;
typedef __m128 ak_v4;
typedef __m512i ak_i;

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

// Signed bytes.
AK_PRIMITIVE ak_v v_load_i8(const int8_t *p) {
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)p)));
}

// Rounds to nearest even; from -128 to 127.
AK_PRIMITIVE void v_store_i8(int8_t *p, ak_v x) {
  _mm_storeu_si128((__m128i *)p, _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(x)));
}

// The f16 number at p in every lane.
AK_PRIMITIVE ak_v v_load_f16_all(const void *p) {
  int16_t bits;
  memcpy(&bits, p, sizeof bits);
  return _mm512_cvtph_ps(_mm256_set1_epi16(bits));
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

// x = m * 2^n with m from sqrt(1/2) on below sqrt(2), for normal numbers above 0.
AK_PRIMITIVE ak_v v_split(ak_v x, ak_v *n) {
  const __m512i bits = _mm512_castps_si512(x);
  const __m512i power = _mm512_srai_epi32(_mm512_sub_epi32(bits, _mm512_set1_epi32(0x3f3504f3)), 23);
  *n = _mm512_cvtepi32_ps(power);
  return _mm512_castsi512_ps(_mm512_sub_epi32(bits, _mm512_slli_epi32(power, 23)));
}

AK_PRIMITIVE ak_v v_floor(ak_v x) { return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC); }

// Lane i of the result is lane i - 1 of x, lane 0 is `first`.
AK_PRIMITIVE ak_v v_behind(ak_v x, float first) {
  const __m512i before = _mm512_castps_si512(_mm512_set1_ps(first));
  return _mm512_castsi512_ps(_mm512_alignr_epi32(_mm512_castps_si512(x), before, 15));
}

AK_PRIMITIVE float v_last(ak_v x) {
  return _mm_cvtss_f32(_mm_permute_ps(_mm512_extractf32x4_ps(x, 3), 0xff));
}

// Lane i of the result is the sum of the lanes 0 to i.
AK_PRIMITIVE ak_v v_running(ak_v x) {
  const __m512i zero = _mm512_setzero_si512();
  x = _mm512_add_ps(x, _mm512_castsi512_ps(_mm512_alignr_epi32(_mm512_castps_si512(x), zero, 15)));
  x = _mm512_add_ps(x, _mm512_castsi512_ps(_mm512_alignr_epi32(_mm512_castps_si512(x), zero, 14)));
  x = _mm512_add_ps(x, _mm512_castsi512_ps(_mm512_alignr_epi32(_mm512_castps_si512(x), zero, 12)));
  return _mm512_add_ps(x, _mm512_castsi512_ps(_mm512_alignr_epi32(_mm512_castps_si512(x), zero, 8)));
}

// The lanes of x whose bits are set, one after the other from lane 0 on; then anything.
#define AK_COMPRESSES
AK_PRIMITIVE ak_v v_compress(uint32_t bits, ak_v x) { return _mm512_maskz_compress_ps((__mmask16)bits, x); }
AK_PRIMITIVE ak_i i_compress(uint32_t bits, ak_i x) { return _mm512_maskz_compress_epi32((__mmask16)bits, x); }
// Lanes of y where bits are set, of x elsewhere.
AK_PRIMITIVE ak_v v_blend(uint32_t bits, ak_v x, ak_v y) { return _mm512_mask_blend_ps((__mmask16)bits, x, y); }
AK_PRIMITIVE ak_v v_divide(ak_v a, ak_v b) { return _mm512_div_ps(a, b); }
// first, first + 1, ...
AK_PRIMITIVE ak_i i_count_from(uint32_t first) {
  const ak_i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  return _mm512_add_epi32(_mm512_set1_epi32((int32_t)first), lanes);
}
AK_PRIMITIVE void i_store(void *p, ak_i x) { _mm512_storeu_si512(p, x); }

AK_PRIMITIVE float v_highest(ak_v x) { return _mm512_reduce_max_ps(x); }

// The sums of a, b, c, d.
AK_PRIMITIVE ak_v4 v_reduce4(ak_v a, ak_v b, ak_v c, ak_v d) {
  const __m512d ab = _mm512_castps_pd(_mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b)));
  const __m512d cd = _mm512_castps_pd(_mm512_add_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d)));
  const __m512 sums = _mm512_add_ps(
    _mm512_castpd_ps(_mm512_unpacklo_pd(ab, cd)), _mm512_castpd_ps(_mm512_unpackhi_pd(ab, cd)));
  const __m256 halves = _mm256_add_ps(_mm512_castps512_ps256(sums), _mm512_extractf32x8_ps(sums, 1));
  return _mm_add_ps(_mm256_castps256_ps128(halves), _mm256_extractf128_ps(halves, 1));
}

// Integers: codes in bytes, sums in lanes of 32 bits, one for each lane of ak_v, or of 16.

AK_PRIMITIVE ak_i i_zero(void) { return _mm512_setzero_si512(); }
AK_PRIMITIVE ak_i i_load(const void *p) { return _mm512_loadu_si512(p); }
// The 4 bytes at p in every lane.
AK_PRIMITIVE ak_i i_load_lane(const void *p) {
  int32_t lane;
  memcpy(&lane, p, sizeof lane);
  return _mm512_set1_epi32(lane);
}
AK_PRIMITIVE ak_v i_to_float(ak_i x) { return _mm512_cvtepi32_ps(x); }
AK_PRIMITIVE ak_i i_add8(ak_i a, ak_i b) { return _mm512_add_epi8(a, b); }
AK_PRIMITIVE ak_i i_add16(ak_i a, ak_i b) { return _mm512_add_epi16(a, b); }

// Bytes of even and of odd place, and low and high halves of bytes.
AK_PRIMITIVE ak_i i_even_bytes(ak_i x) { return _mm512_and_si512(x, _mm512_set1_epi16(0xff)); }
AK_PRIMITIVE ak_i i_odd_bytes(ak_i x) { return _mm512_srli_epi16(x, 8); }
AK_PRIMITIVE ak_i i_low_halves(ak_i x) { return _mm512_and_si512(x, _mm512_set1_epi8(15)); }
AK_PRIMITIVE ak_i i_high_halves(ak_i x) { return i_low_halves(_mm512_srli_epi16(x, 4)); }

// sum + the products of 16-bit elements, added in pairs to 32 bits
AK_PRIMITIVE ak_i i_dot16(ak_i sum, ak_i a, ak_i b) { return _mm512_add_epi32(sum, _mm512_madd_epi16(a, b)); }
// sum + the products of bytes a < 128 and signed bytes b, added in pairs to 16 bits
AK_PRIMITIVE ak_i i_dot8(ak_i sum, ak_i a, ak_i b) { return _mm512_add_epi16(sum, _mm512_maddubs_epi16(a, b)); }
// sum + pairs of 16-bit elements added to 32 bits
AK_PRIMITIVE ak_i i_widen(ak_i sum, ak_i x) { return i_dot16(sum, x, _mm512_set1_epi16(1)); }

// Of each byte i < 16 of a group of 16, byte i of the table in the same place.
AK_PRIMITIVE ak_i i_look_up(ak_i table, ak_i indices) { return _mm512_shuffle_epi8(table, indices); }

// all - odd * 256, in 16 bits
AK_PRIMITIVE ak_i i_remove_odd(ak_i all, ak_i odd) { return _mm512_sub_epi16(all, _mm512_slli_epi16(odd, 8)); }

// Adds up groups of 8 elements of 16 bits, and stores elements of a and b in turn: 16 of them.
AK_PRIMITIVE void i_fold_zip16(uint16_t *p, ak_i a, ak_i b) {
  // [a0 + a2, a1 + a3, b0 + b2, b1 + b3], then [a, a, b, b] in halves.
  const __m512i pairs =
    _mm512_add_epi16(_mm512_shuffle_i64x2(a, b, 0x44), _mm512_shuffle_i64x2(a, b, 0xee));
  const __m512i sums = _mm512_add_epi16(pairs, _mm512_shuffle_i64x2(pairs, pairs, 0xb1));
  const __m128i even = _mm512_castsi512_si128(sums), odd = _mm512_extracti64x2_epi64(sums, 2);
  _mm_storeu_si128((__m128i *)p, _mm_unpacklo_epi16(even, odd));
  _mm_storeu_si128((__m128i *)(p + 8), _mm_unpackhi_epi16(even, odd));
}

AK_PRIMITIVE ak_v v_load_u16(const uint16_t *p) {
  return _mm512_cvtepi32_ps(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p)));
}

// Bit i tells whether lane i of a is greater than that of b; false for NaN.
AK_PRIMITIVE uint32_t v_greater(ak_v a, ak_v b) { return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ); }
