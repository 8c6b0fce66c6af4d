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

typedef float32x4_t ak_v;
typedef float32x4_t ak_v4;

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

// a > b ? x : y, lane by lane; false for NaN
AK_PRIMITIVE ak_v v_if_greater(ak_v a, ak_v b, ak_v x, ak_v y) { return vbslq_f32(vcgtq_f32(a, b), x, y); }

// Adds the low 9 bits of `bits` to the exponent of x.
AK_PRIMITIVE ak_v v_add_exponent(ak_v x, ak_v bits) {
  uint32x4_t shifted = vshlq_n_u32(vreinterpretq_u32_f32(bits), 23);
  return vreinterpretq_f32_u32(vaddq_u32(vreinterpretq_u32_f32(x), shifted));
}

AK_PRIMITIVE float v_highest(ak_v x) { return vmaxvq_f32(x); }

// The sums of a, b, c, d.
AK_PRIMITIVE ak_v4 v_reduce4(ak_v a, ak_v b, ak_v c, ak_v d) {
  return vpaddq_f32(vpaddq_f32(a, b), vpaddq_f32(c, d));
}
