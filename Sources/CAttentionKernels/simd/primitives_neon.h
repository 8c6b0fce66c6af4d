// The vector primitives of the NEON level: 4 lanes, 32 registers.

#include <arm_neon.h>

#define AK_SUFFIX neon
#define AK_LEVEL AK_LEVEL_NEON
#define AK_LANES 4

// Register tile of the matrix products: 8 rows of 3 vectors are 24 sums.
#define AK_TILE_ROWS 8
#define AK_PANEL_VECTORS 3
// Rows of a dot product tile for m queries, 4 at most: up to 24 sums.
#define AK_DOT_ROWS(m) 4
// Vectors of a value row that are summed together for m queries, 8 at most: up to 24 sums.
#define AK_SUM_VECTORS(m) ((m) <= 2 ? 8 : (m) == 3 ? 6 : 4)

// Queries that share a pass over LVQ codes, with four sums each, and over PQ codes, with two: up to 16 sums.
#define AK_LVQ_QUERIES 4
#define AK_PQ_QUERIES 6

typedef float32x4_t ak_v;
typedef float32x4_t ak_v4;
typedef int32x4_t ak_i;

#define AK_PRIMITIVE static inline __attribute__((always_inline))

AK_PRIMITIVE ak_v v_set(float x) { return vdupq_n_f32(x); }
AK_PRIMITIVE ak_v v_load(const float *p) { return vld1q_f32(p); }
AK_PRIMITIVE void v_store(float *p, ak_v x) { vst1q_f32(p, x); }
AK_PRIMITIVE ak_v v_add(ak_v a, ak_v b) { return vaddq_f32(a, b); }
AK_PRIMITIVE ak_v v_sub(ak_v a, ak_v b) { return vsubq_f32(a, b); }
AK_PRIMITIVE ak_v v_mul(ak_v a, ak_v b) { return vmulq_f32(a, b); }
AK_PRIMITIVE ak_v v_max(ak_v a, ak_v b) { return vmaxq_f32(a, b); }
AK_PRIMITIVE ak_v v_min(ak_v a, ak_v b) { return vminq_f32(a, b); }

// a * b + c
AK_PRIMITIVE ak_v v_fma(ak_v a, ak_v b, ak_v c) { return vfmaq_f32(c, a, b); }

AK_PRIMITIVE ak_v v_load_f16(const uint16_t *p) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p))); }

AK_PRIMITIVE void v_store_f16(uint16_t *p, ak_v x) {
  vst1_u16(p, vreinterpret_u16_f16(vcvt_f16_f32(x)));
}

// Signed bytes.
AK_PRIMITIVE ak_v v_load_i8(const int8_t *p) {
  int32_t bytes;
  memcpy(&bytes, p, sizeof bytes);
  return vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(vreinterpret_s8_s32(vdup_n_s32(bytes))))));
}

// Rounds to nearest even; from -128 to 127.
AK_PRIMITIVE void v_store_i8(int8_t *p, ak_v x) {
  const int16x4_t words = vqmovn_s32(vcvtnq_s32_f32(x));
  const int32_t bytes = vget_lane_s32(vreinterpret_s32_s8(vqmovn_s16(vcombine_s16(words, words))), 0);
  memcpy(p, &bytes, sizeof bytes);
}

// The f16 number at p in every lane.
AK_PRIMITIVE ak_v v_load_f16_all(const void *p) {
  uint16_t bits;
  memcpy(&bits, p, sizeof bits);
  return vcvt_f32_f16(vreinterpret_f16_u16(vdup_n_u16(bits)));
}

// a > b ? x : y, lane by lane; false for NaN
AK_PRIMITIVE ak_v v_if_greater(ak_v a, ak_v b, ak_v x, ak_v y) { return vbslq_f32(vcgtq_f32(a, b), x, y); }

// Adds the low 9 bits of `bits` to the exponent of x.
AK_PRIMITIVE ak_v v_add_exponent(ak_v x, ak_v bits) {
  uint32x4_t shifted = vshlq_n_u32(vreinterpretq_u32_f32(bits), 23);
  return vreinterpretq_f32_u32(vaddq_u32(vreinterpretq_u32_f32(x), shifted));
}

// x = m * 2^n with m from sqrt(1/2) on below sqrt(2), for normal numbers above 0.
AK_PRIMITIVE ak_v v_split(ak_v x, ak_v *n) {
  const int32x4_t bits = vreinterpretq_s32_f32(x);
  const int32x4_t power = vshrq_n_s32(vsubq_s32(bits, vdupq_n_s32(0x3f3504f3)), 23);
  *n = vcvtq_f32_s32(power);
  return vreinterpretq_f32_s32(vsubq_s32(bits, vshlq_n_s32(power, 23)));
}

AK_PRIMITIVE ak_v v_floor(ak_v x) { return vrndmq_f32(x); }

// Lane i of the result is lane i - 1 of x, lane 0 is `first`.
AK_PRIMITIVE ak_v v_behind(ak_v x, float first) { return vextq_f32(vdupq_n_f32(first), x, 3); }

AK_PRIMITIVE float v_last(ak_v x) { return vgetq_lane_f32(x, 3); }

// Lane i of the result is the sum of the lanes 0 to i.
AK_PRIMITIVE ak_v v_running(ak_v x) {
  x = vaddq_f32(x, vextq_f32(vdupq_n_f32(0), x, 3));
  return vaddq_f32(x, vextq_f32(vdupq_n_f32(0), x, 2));
}

AK_PRIMITIVE float v_highest(ak_v x) { return vmaxvq_f32(x); }

// The sums of a, b, c, d.
AK_PRIMITIVE ak_v4 v_reduce4(ak_v a, ak_v b, ak_v c, ak_v d) {
  return vpaddq_f32(vpaddq_f32(a, b), vpaddq_f32(c, d));
}

// Integers: codes in bytes, sums in lanes of 32 bits, one for each lane of ak_v, or of 16.

AK_PRIMITIVE uint8x16_t bytes_of(ak_i x) { return vreinterpretq_u8_s32(x); }
AK_PRIMITIVE ak_i from_bytes(uint8x16_t x) { return vreinterpretq_s32_u8(x); }

AK_PRIMITIVE ak_i i_zero(void) { return vdupq_n_s32(0); }
AK_PRIMITIVE ak_i i_load(const void *p) { return from_bytes(vld1q_u8((const uint8_t *)p)); }
// The 4 bytes at p in every lane.
AK_PRIMITIVE ak_i i_load_lane(const void *p) {
  int32_t lane;
  memcpy(&lane, p, sizeof lane);
  return vdupq_n_s32(lane);
}
AK_PRIMITIVE ak_v i_to_float(ak_i x) { return vcvtq_f32_s32(x); }
AK_PRIMITIVE ak_i i_add8(ak_i a, ak_i b) { return from_bytes(vaddq_u8(bytes_of(a), bytes_of(b))); }
AK_PRIMITIVE ak_i i_add16(ak_i a, ak_i b) {
  return vreinterpretq_s32_s16(vaddq_s16(vreinterpretq_s16_s32(a), vreinterpretq_s16_s32(b)));
}

// Bytes of even and of odd place, and low and high halves of bytes.
AK_PRIMITIVE ak_i i_even_bytes(ak_i x) {
  return vreinterpretq_s32_u16(vandq_u16(vreinterpretq_u16_s32(x), vdupq_n_u16(0xff)));
}
AK_PRIMITIVE ak_i i_odd_bytes(ak_i x) {
  return vreinterpretq_s32_u16(vshrq_n_u16(vreinterpretq_u16_s32(x), 8));
}
AK_PRIMITIVE ak_i i_low_halves(ak_i x) { return from_bytes(vandq_u8(bytes_of(x), vdupq_n_u8(15))); }
AK_PRIMITIVE ak_i i_high_halves(ak_i x) { return from_bytes(vshrq_n_u8(bytes_of(x), 4)); }

// sum + the products of 16-bit elements, added in pairs to 32 bits
AK_PRIMITIVE ak_i i_dot16(ak_i sum, ak_i a, ak_i b) {
  const int16x8_t x = vreinterpretq_s16_s32(a), y = vreinterpretq_s16_s32(b);
  return vaddq_s32(sum, vpaddq_s32(vmull_s16(vget_low_s16(x), vget_low_s16(y)), vmull_high_s16(x, y)));
}
// sum + the products of bytes a < 128 and signed bytes b, added in pairs to 16 bits
AK_PRIMITIVE ak_i i_dot8(ak_i sum, ak_i a, ak_i b) {
  const int8x16_t x = vreinterpretq_s8_s32(a), y = vreinterpretq_s8_s32(b);
  const int16x8_t pairs = vpaddq_s16(vmull_s8(vget_low_s8(x), vget_low_s8(y)), vmull_high_s8(x, y));
  return i_add16(sum, vreinterpretq_s32_s16(pairs));
}
// sum + pairs of 16-bit elements added to 32 bits
AK_PRIMITIVE ak_i i_widen(ak_i sum, ak_i x) { return vpadalq_s16(sum, vreinterpretq_s16_s32(x)); }

// Of each byte i < 16 of a group of 16, byte i of the table in the same place.
AK_PRIMITIVE ak_i i_look_up(ak_i table, ak_i indices) {
  return from_bytes(vqtbl1q_u8(bytes_of(table), bytes_of(indices)));
}

// all - odd * 256, in 16 bits
AK_PRIMITIVE ak_i i_remove_odd(ak_i all, ak_i odd) {
  return vreinterpretq_s32_s16(
    vsubq_s16(vreinterpretq_s16_s32(all), vshlq_n_s16(vreinterpretq_s16_s32(odd), 8)));
}

// Adds up groups of 8 elements of 16 bits, and stores elements of a and b in turn: 16 of them.
AK_PRIMITIVE void i_fold_zip16(uint16_t *p, ak_i a, ak_i b) {
  const uint16x8x2_t zipped = vzipq_u16(vreinterpretq_u16_s32(a), vreinterpretq_u16_s32(b));
  vst1q_u16(p, zipped.val[0]);
  vst1q_u16(p + 8, zipped.val[1]);
}

AK_PRIMITIVE ak_v v_load_u16(const uint16_t *p) { return vcvtq_f32_u32(vmovl_u16(vld1_u16(p))); }

// Bit i tells whether lane i of a is greater than that of b; false for NaN.
AK_PRIMITIVE uint32_t v_greater(ak_v a, ak_v b) {
  static const uint32_t bits[4] = {1, 2, 4, 8};
  return vaddvq_u32(vandq_u32(vcgtq_f32(a, b), vld1q_u32(bits)));
}
