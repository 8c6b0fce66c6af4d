// The vector primitives of the AVX2 level: 8 lanes, 16 registers.

#include <immintrin.h>

#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)

#define AK_SUFFIX avx2
#define AK_LEVEL AK_LEVEL_AVX2
#define AK_LANES 8

// Tile sizes leave one of the 16 registers free: with all taken, compilers spill in the inner loop. Register tile
// of the matrix products: 6 rows of 2 vectors are 12 sums; 2 vectors of B and one of A make 15.
#define AK_TILE_ROWS 6
#define AK_PANEL_VECTORS 2
// Rows of a dot product tile for m queries, 4 at most: up to 12 sums.
#define AK_DOT_ROWS(m) ((m) <= 2 ? 4 : (m) == 3 ? 3 : 2)
// Vectors of a value row that are summed together for m queries, 8 at most: up to 12 sums.
#define AK_SUM_VECTORS(m) ((m) == 1 ? 8 : (m) == 2 ? 4 : (m) == 3 ? 3 : 2)

// Queries that share a pass over codes, with two sums each: up to 8 sums.
#define AK_LVQ_QUERIES 4
#define AK_PQ_QUERIES 4

typedef __m256 ak_v;
typedef __m128 ak_v4;
typedef __m256i ak_i;

#define AK_PRIMITIVE static inline __attribute__((always_inline))

AK_PRIMITIVE ak_v v_set(float x) { return _mm256_set1_ps(x); }
AK_PRIMITIVE ak_v v_load(const float *p) { return _mm256_loadu_ps(p); }
AK_PRIMITIVE void v_store(float *p, ak_v x) { _mm256_storeu_ps(p, x); }
AK_PRIMITIVE ak_v v_add(ak_v a, ak_v b) { return _mm256_add_ps(a, b); }
AK_PRIMITIVE ak_v v_sub(ak_v a, ak_v b) { return _mm256_sub_ps(a, b); }
AK_PRIMITIVE ak_v v_mul(ak_v a, ak_v b) { return _mm256_mul_ps(a, b); }
AK_PRIMITIVE ak_v v_max(ak_v a, ak_v b) { return _mm256_max_ps(a, b); }
AK_PRIMITIVE ak_v v_min(ak_v a, ak_v b) { return _mm256_min_ps(a, b); }

// a * b + c
AK_PRIMITIVE ak_v v_fma(ak_v a, ak_v b, ak_v c) { return _mm256_fmadd_ps(a, b, c); }

AK_PRIMITIVE ak_v v_load_f16(const uint16_t *p) {
  return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p));
}

AK_PRIMITIVE void v_store_f16(uint16_t *p, ak_v x) {
  _mm_storeu_si128((__m128i *)p, _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}

// Signed bytes.
AK_PRIMITIVE ak_v v_load_i8(const int8_t *p) {
  return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)p)));
}

// Rounds to nearest even; from -128 to 127.
AK_PRIMITIVE void v_store_i8(int8_t *p, ak_v x) {
  const __m256i integers = _mm256_cvtps_epi32(x);
  const __m128i pairs = _mm_packs_epi32(_mm256_castsi256_si128(integers), _mm256_extracti128_si256(integers, 1));
  _mm_storel_epi64((__m128i *)p, _mm_packs_epi16(pairs, pairs));
}

// The f16 number at p in every lane.
AK_PRIMITIVE ak_v v_load_f16_all(const void *p) {
  int16_t bits;
  memcpy(&bits, p, sizeof bits);
  return _mm256_cvtph_ps(_mm_set1_epi16(bits));
}

// a > b ? x : y, lane by lane; false for NaN
AK_PRIMITIVE ak_v v_if_greater(ak_v a, ak_v b, ak_v x, ak_v y) {
  return _mm256_blendv_ps(y, x, _mm256_cmp_ps(a, b, _CMP_GT_OQ));
}

// Adds the low 9 bits of `bits` to the exponent of x.
AK_PRIMITIVE ak_v v_add_exponent(ak_v x, ak_v bits) {
  __m256i shifted = _mm256_slli_epi32(_mm256_castps_si256(bits), 23);
  return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(x), shifted));
}

// x = m * 2^n with m from sqrt(1/2) on below sqrt(2), for normal numbers above 0.
AK_PRIMITIVE ak_v v_split(ak_v x, ak_v *n) {
  const __m256i bits = _mm256_castps_si256(x);
  const __m256i power = _mm256_srai_epi32(_mm256_sub_epi32(bits, _mm256_set1_epi32(0x3f3504f3)), 23);
  *n = _mm256_cvtepi32_ps(power);
  return _mm256_castsi256_ps(_mm256_sub_epi32(bits, _mm256_slli_epi32(power, 23)));
}

AK_PRIMITIVE ak_v v_floor(ak_v x) { return _mm256_floor_ps(x); }

// Lane i of the result is lane i - 1 of x, lane 0 is `first`.
AK_PRIMITIVE ak_v v_behind(ak_v x, float first) {
  const __m256 turned = _mm256_permutevar8x32_ps(x, _mm256_setr_epi32(7, 0, 1, 2, 3, 4, 5, 6));
  return _mm256_blend_ps(turned, _mm256_set1_ps(first), 1);
}

AK_PRIMITIVE float v_last(ak_v x) {
  return _mm_cvtss_f32(_mm_permute_ps(_mm256_extractf128_ps(x, 1), 0xff));
}

// Lane i of the result is the sum of the lanes 0 to i.
AK_PRIMITIVE ak_v v_running(ak_v x) {
  x = _mm256_add_ps(x, _mm256_castsi256_ps(_mm256_slli_si256(_mm256_castps_si256(x), 4)));
  x = _mm256_add_ps(x, _mm256_castsi256_ps(_mm256_slli_si256(_mm256_castps_si256(x), 8)));
  // The total of the lower half goes to the upper one.
  const __m256 lower = _mm256_permute_ps(_mm256_permute2f128_ps(x, x, 0x08), 0xff);
  return _mm256_add_ps(x, lower);
}

AK_PRIMITIVE float v_highest(ak_v x) {
  __m128 m = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
  m = _mm_max_ps(m, _mm_movehl_ps(m, m));
  return _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
}

// The sums of a, b, c, d. Shuffles and additions: the instruction for horizontal sums takes longer.
AK_PRIMITIVE ak_v4 v_reduce4(ak_v a, ak_v b, ak_v c, ak_v d) {
  const __m256d ab = _mm256_castps_pd(_mm256_add_ps(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b)));
  const __m256d cd = _mm256_castps_pd(_mm256_add_ps(_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d)));
  const __m256 sums = _mm256_add_ps(
    _mm256_castpd_ps(_mm256_unpacklo_pd(ab, cd)), _mm256_castpd_ps(_mm256_unpackhi_pd(ab, cd)));
  return _mm_add_ps(_mm256_castps256_ps128(sums), _mm256_extractf128_ps(sums, 1));
}

// Integers: codes in bytes, sums in lanes of 32 bits, one for each lane of ak_v, or of 16.

AK_PRIMITIVE ak_i i_zero(void) { return _mm256_setzero_si256(); }
AK_PRIMITIVE ak_i i_load(const void *p) { return _mm256_loadu_si256((const __m256i *)p); }
// The 4 bytes at p in every lane.
AK_PRIMITIVE ak_i i_load_lane(const void *p) {
  int32_t lane;
  memcpy(&lane, p, sizeof lane);
  return _mm256_set1_epi32(lane);
}
AK_PRIMITIVE ak_v i_to_float(ak_i x) { return _mm256_cvtepi32_ps(x); }
AK_PRIMITIVE ak_i i_add8(ak_i a, ak_i b) { return _mm256_add_epi8(a, b); }
AK_PRIMITIVE ak_i i_add16(ak_i a, ak_i b) { return _mm256_add_epi16(a, b); }

// Bytes of even and of odd place, and low and high halves of bytes.
AK_PRIMITIVE ak_i i_even_bytes(ak_i x) { return _mm256_and_si256(x, _mm256_set1_epi16(0xff)); }
AK_PRIMITIVE ak_i i_odd_bytes(ak_i x) { return _mm256_srli_epi16(x, 8); }
AK_PRIMITIVE ak_i i_low_halves(ak_i x) { return _mm256_and_si256(x, _mm256_set1_epi8(15)); }
AK_PRIMITIVE ak_i i_high_halves(ak_i x) { return i_low_halves(_mm256_srli_epi16(x, 4)); }

// sum + the products of 16-bit elements, added in pairs to 32 bits
AK_PRIMITIVE ak_i i_dot16(ak_i sum, ak_i a, ak_i b) { return _mm256_add_epi32(sum, _mm256_madd_epi16(a, b)); }
// sum + the products of bytes a < 128 and signed bytes b, added in pairs to 16 bits
AK_PRIMITIVE ak_i i_dot8(ak_i sum, ak_i a, ak_i b) { return _mm256_add_epi16(sum, _mm256_maddubs_epi16(a, b)); }
// sum + pairs of 16-bit elements added to 32 bits
AK_PRIMITIVE ak_i i_widen(ak_i sum, ak_i x) { return i_dot16(sum, x, _mm256_set1_epi16(1)); }

// Of each byte i < 16 of a group of 16, byte i of the table in the same place.
AK_PRIMITIVE ak_i i_look_up(ak_i table, ak_i indices) { return _mm256_shuffle_epi8(table, indices); }

// all - odd * 256, in 16 bits
AK_PRIMITIVE ak_i i_remove_odd(ak_i all, ak_i odd) { return _mm256_sub_epi16(all, _mm256_slli_epi16(odd, 8)); }

// Adds up groups of 8 elements of 16 bits, and stores elements of a and b in turn: 16 of them.
AK_PRIMITIVE void i_fold_zip16(uint16_t *p, ak_i a, ak_i b) {
  const __m128i even = _mm_add_epi16(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
  const __m128i odd = _mm_add_epi16(_mm256_castsi256_si128(b), _mm256_extracti128_si256(b, 1));
  _mm_storeu_si128((__m128i *)p, _mm_unpacklo_epi16(even, odd));
  _mm_storeu_si128((__m128i *)(p + 8), _mm_unpackhi_epi16(even, odd));
}

AK_PRIMITIVE ak_v v_load_u16(const uint16_t *p) {
  return _mm256_cvtepi32_ps(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p)));
}

// Bit i tells whether lane i of a is greater than that of b; false for NaN.
AK_PRIMITIVE uint32_t v_greater(ak_v a, ak_v b) {
  return (uint32_t)_mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_GT_OQ));
}
