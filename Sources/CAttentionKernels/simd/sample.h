// Template: sums over lists of rows, and picking rows: the high scores, or a sample.

// [0 ..< AK_LANES] ones, then zeros: the first `count` lanes are those from AK_LANES - count on.
static const float first_lanes[32] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};

static void AK_FN(sum_lists_f32)(
  const float *x, size_t stride, size_t m, ak_lists lists, float *sums, size_t sum_stride) {
  for (size_t h = 0; h < m; h++) {
    const float *next = x + h * stride;
    for (size_t s = 0; s < lists.count; s++) {
      const size_t c = lists.selected[s], n = lists.ends[c] - lists.begins[c];
      ak_v sum = v_set(0);
      size_t i = 0;
      for (; i + AK_LANES <= n; i += AK_LANES) sum = v_add(sum, v_load(next + i));
      if (i < n) {
        const ak_v wanted = v_load(first_lanes + 16 - (n - i));
        sum = v_add(sum, v_if_greater(wanted, v_set(0), v_load(next + i), v_set(0)));
      }
      sums[h * sum_stride + s] = v_total(sum);
      next += n;
    }
  }
}

// Items are taken a vector at a time: running sums along the lanes show where a whole number is passed.
static size_t AK_FN(sample_f32)(
  const float *worths, size_t n, float threshold, size_t limit, float *sum, uint32_t *items, float *chances) {
  const ak_v limit_worth = v_set(threshold), inverse = v_set(1 / threshold), zero = v_set(0);
  #ifdef AK_COMPRESSES
  const ak_v one = v_set(1);
  const size_t room = ak_min(n, limit);
  #endif
  size_t count = 0;
  float before = *sum;
  for (size_t i = 0; i < n && count < limit; i += AK_LANES) {
    const size_t lanes = ak_min(AK_LANES, n - i);
    const ak_v worth = lanes == AK_LANES ? v_load(worths + i) : v_load_part(worths + i, lanes, 0);
    // Of what is worth the threshold or is NaN, nothing is added to the sum.
    const uint32_t whole = ~v_greater(limit_worth, worth) & ((1u << lanes) - 1);
    const ak_v chance = v_if_greater(limit_worth, worth, v_mul(worth, inverse), zero);
    const ak_v sums = v_add(v_running(chance), v_set(before));
    const ak_v floors = v_floor(sums);
    const float last = v_last(sums);
    uint32_t taken = whole;
    if (last >= 1) taken |= v_greater(floors, v_behind(floors, floorf(before)));
    before = last - floorf(last);
    if (!taken) continue;
    #ifdef AK_COMPRESSES
    if (count + AK_LANES <= room) {
      v_store(chances + count, v_compress(taken, v_blend(whole, chance, one)));
      i_store(items + count, i_compress(taken, i_count_from((uint32_t)i)));
      count += (size_t)__builtin_popcount(taken);
      continue;
    }
    #endif
    float lane_chances[AK_LANES];
    v_store(lane_chances, chance);
    for (; taken && count < limit; taken &= taken - 1) {
      const size_t lane = (size_t)__builtin_ctz(taken);
      items[count] = (uint32_t)(i + lane);
      chances[count++] = whole >> lane & 1 ? 1 : lane_chances[lane];
    }
  }
  *sum = before;
  return count;
}

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
