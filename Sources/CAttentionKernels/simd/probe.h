// Template: what the machine can do at best, to measure kernels against.

static float AK_FN(read_memory)(const void *data, size_t bytes) {
  const char *p = (const char *)data;
  ak_i sums[4] = {i_zero(), i_zero(), i_zero(), i_zero()};
  const size_t vector = 4 * AK_LANES;
  for (size_t i = 0; i + 4 * vector <= bytes; i += 4 * vector) {
    AK_UNROLL for (int j = 0; j < 4; j++) sums[j] = i_add8(sums[j], i_load(p + i + j * vector));
  }
  return v_total(i_to_float(i_add8(i_add8(sums[0], sums[1]), i_add8(sums[2], sums[3]))));
}

static float AK_FN(read_rows)(ak_rows rows, const uint32_t *indices, size_t n, size_t bytes, size_t ahead) {
  const ak_ahead all = {(const char *)rows.data, rows.stride, indices, n};
  ak_i sum = i_zero();
  for (size_t i = 0; i < n; i++) {
    if (ahead) fetch_row(&all, i + ahead, bytes);
    const char *row = (const char *)rows.data + indices[i] * rows.stride;
    for (size_t b = 0; b < bytes; b += 4 * AK_LANES) sum = i_add8(sum, i_load(row + b));
  }
  return v_total(i_to_float(sum));
}

// Twelve sums: two units that take four steps for each need eight in work.
static size_t AK_FN(multiply_add)(size_t rounds, float *result) {
  enum { count = 12 };
  ak_v sums[count];
  ak_v factor = v_set(0.9999f), term = v_set(*result);
  AK_UNROLL for (int i = 0; i < count; i++) sums[i] = v_set((float)i);
  for (size_t r = 0; r < rounds; r++) {
    AK_UNROLL for (int i = 0; i < count; i++) sums[i] = v_fma(sums[i], factor, term);
  }
  AK_UNROLL for (int i = 1; i < count; i++) sums[0] = v_add(sums[0], sums[i]);
  *result = v_total(sums[0]);
  return rounds * count * AK_LANES * 2;
}
