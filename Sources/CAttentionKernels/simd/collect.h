// Template: picking the high scores.

static size_t AK_FN(collect_above_f32)(
  const float *scores, size_t n, float threshold, uint32_t first, uint64_t *ranks) {
  const ak_v limit = v_set(threshold);
  size_t count = 0, i = 0;
  for (; i + AK_LANES <= n; i += AK_LANES) {
    for (uint32_t above = v_greater(v_load(scores + i), limit); above; above &= above - 1) {
      const size_t j = i + (size_t)__builtin_ctz(above);
      ranks[count++] = ak_rank(scores[j], first + (uint32_t)j);
    }
  }
  for (; i < n; i++) {
    if (scores[i] > threshold) ranks[count++] = ak_rank(scores[i], first + (uint32_t)i);
  }
  return count;
}
