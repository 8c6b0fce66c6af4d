// Names, partial vectors, exp and array operations: what the templates share. Included after the primitives.

#define AK_PASTE_(operation, level) ak_##operation##_##level
#define AK_PASTE(operation, level) AK_PASTE_(operation, level)
#define AK_FN(operation) AK_PASTE(operation, AK_SUFFIX)

// Templates are functions whose first parameters are constants at every call: inlined and unrolled, each call
// becomes its own loop with its sums in registers.
#define AK_TEMPLATE static inline __attribute__((always_inline))
#define AK_UNROLL _Pragma("clang loop unroll(full)")

#define AK_CACHE_LINE 64

// The first `count` < AK_LANES elements at p, then `fill`. Loads by way of the stack, as only dimensions that
// are no multiple of the lanes come here.
static inline ak_v v_load_part(const float *p, size_t count, float fill) {
  float lanes[AK_LANES];
  for (size_t i = 0; i < AK_LANES; i++) lanes[i] = i < count ? p[i] : fill;
  return v_load(lanes);
}

static inline ak_v v_load_f16_part(const uint16_t *p, size_t count) {
  uint16_t lanes[AK_LANES];
  for (size_t i = 0; i < AK_LANES; i++) lanes[i] = i < count ? p[i] : 0;
  return v_load_f16(lanes);
}

static inline void v_store_part(float *p, size_t count, ak_v x) {
  float lanes[AK_LANES];
  v_store(lanes, x);
  for (size_t i = 0; i < count; i++) p[i] = lanes[i];
}

AK_TEMPLATE void v4_store(float *p, ak_v4 x) { memcpy(p, &x, sizeof x); }

static inline float v_total(ak_v x) {
  float lanes[4];
  ak_v zero = v_set(0);
  v4_store(lanes, v_reduce4(x, zero, zero, zero));
  return lanes[0];
}

// e^x for |x| < 87; garbage elsewhere, which the callers replace. Relative error below 2.5e-7. x = n ln 2 + r
// with |r| <= ln 2 / 2: ln 2 in two parts keeps r exact, a polynomial (coefficients of Cephes expf) gives
// e^r, and n goes into the exponent. Adding 1.5 * 2^23 rounds to an integer, whose low bits are n.
AK_TEMPLATE ak_v v_exp_core(ak_v x) {
  const ak_v magic = v_set(12582912.0f);
  ak_v shifted = v_fma(x, v_set(1.44269504088896341f), magic);
  ak_v n = v_sub(shifted, magic);
  ak_v r = v_fma(n, v_set(-0.693359375f), x);
  r = v_fma(n, v_set(2.12194440e-4f), r);
  ak_v p = v_set(1.9875691500e-4f);
  p = v_fma(p, r, v_set(1.3981999507e-3f));
  p = v_fma(p, r, v_set(8.3334519073e-3f));
  p = v_fma(p, r, v_set(4.1665795894e-2f));
  p = v_fma(p, r, v_set(1.6666665459e-1f));
  p = v_fma(p, r, v_set(5.0000001201e-1f));
  p = v_fma(p, v_mul(r, r), v_add(r, v_set(1)));
  return v_add_exponent(p, shifted);
}

// e^x for x <= 0, zero at and below the softmax cutoff and for -inf.
AK_TEMPLATE ak_v v_weight(ak_v x) {
  return v_if_greater(x, v_set(AK_SOFTMAX_CUTOFF), v_exp_core(x), v_set(0));
}

// e^x for every x but NaN. The exponent field holds one power less than e^88 needs, so large arguments lose
// two halvings (exact) and regain them.
AK_TEMPLATE ak_v v_exp(ak_v x) {
  const ak_v large = v_set(80);
  const ak_v reduced = v_exp_core(v_mul(x, v_if_greater(x, large, v_set(0.5f), v_set(1))));
  ak_v y = v_if_greater(x, large, v_mul(reduced, reduced), reduced);
  y = v_if_greater(x, v_set(88.72f), v_set(INFINITY), y);
  return v_if_greater(v_set(-87.336544f), x, v_set(0), y);
}

static void AK_FN(exp_f32)(const float *source, float *target, size_t count) {
  size_t i = 0;
  for (; i + AK_LANES <= count; i += AK_LANES) v_store(target + i, v_exp(v_load(source + i)));
  if (i < count) v_store_part(target + i, count - i, v_exp(v_load_part(source + i, count - i, 0)));
}

// The natural logarithm of normal numbers above 0: x = 2^n m with m around 1, a polynomial (coefficients of Cephes
// logf) for log m, ln 2 in two parts.
AK_TEMPLATE ak_v v_log(ak_v x) {
  ak_v n;
  const ak_v f = v_sub(v_split(x, &n), v_set(1)), square = v_mul(f, f);
  ak_v p = v_set(7.0376836292e-2f);
  p = v_fma(p, f, v_set(-1.1514610310e-1f));
  p = v_fma(p, f, v_set(1.1676998740e-1f));
  p = v_fma(p, f, v_set(-1.2420140846e-1f));
  p = v_fma(p, f, v_set(1.4249322787e-1f));
  p = v_fma(p, f, v_set(-1.6668057665e-1f));
  p = v_fma(p, f, v_set(2.0000714765e-1f));
  p = v_fma(p, f, v_set(-2.4999993993e-1f));
  p = v_fma(p, f, v_set(3.3333331174e-1f));
  ak_v low = v_fma(v_mul(p, f), square, v_mul(n, v_set(-2.12194440e-4f)));
  low = v_fma(square, v_set(-0.5f), low);
  ak_v y = v_fma(n, v_set(0.693359375f), v_add(f, low));
  y = v_if_greater(x, v_set(3.4028234e38f), v_set(INFINITY), y);
  return v_if_greater(v_set(0x1p-126f), x, v_set(-INFINITY), y);
}

static void AK_FN(log_f32)(const float *source, float *target, size_t count) {
  size_t i = 0;
  for (; i + AK_LANES <= count; i += AK_LANES) v_store(target + i, v_log(v_load(source + i)));
  if (i < count) v_store_part(target + i, count - i, v_log(v_load_part(source + i, count - i, 1)));
}

static void AK_FN(convert_f32_to_f16)(const float *source, uint16_t *target, size_t count) {
  size_t i = 0;
  for (; i + AK_LANES <= count; i += AK_LANES) v_store_f16(target + i, v_load(source + i));
  for (; i < count; i++) target[i] = ak_f16_from_float(source[i]);
}

static void AK_FN(convert_f16_to_f32)(const uint16_t *source, float *target, size_t count) {
  size_t i = 0;
  for (; i + AK_LANES <= count; i += AK_LANES) v_store(target + i, v_load_f16(source + i));
  for (; i < count; i++) target[i] = ak_float_from_f16(source[i]);
}

// Shifts and adds: the compiler makes vectors of these itself.
static void AK_FN(convert_f32_to_bf16)(const float *source, uint16_t *target, size_t count) {
  for (size_t i = 0; i < count; i++) target[i] = ak_bf16_from_float(source[i]);
}

static void AK_FN(convert_bf16_to_f32)(const uint16_t *source, float *target, size_t count) {
  for (size_t i = 0; i < count; i++) target[i] = ak_float_from_bf16(source[i]);
}

static void AK_FN(add_scaled_f32)(const float *x, float a, float *y, size_t count) {
  const ak_v factor = v_set(a);
  size_t i = 0;
  for (; i + AK_LANES <= count; i += AK_LANES) v_store(y + i, v_fma(factor, v_load(x + i), v_load(y + i)));
  for (; i < count; i++) y[i] += a * x[i];
}

static void AK_FN(scale_f32)(float *x, float a, size_t count) {
  const ak_v factor = v_set(a);
  size_t i = 0;
  for (; i + AK_LANES <= count; i += AK_LANES) v_store(x + i, v_mul(factor, v_load(x + i)));
  for (; i < count; i++) x[i] *= a;
}
