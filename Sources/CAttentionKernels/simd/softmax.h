// Template: online softmax over blocks of scores, and decode attention built from it.

// Weighted rows of one block. `list` holds row numbers, or is NULL for the rows 0 ..< count.
typedef struct ak_weighted {
  const float *weights;  // [queries, count]
  size_t weight_stride;
  ak_rows_f16 values;
  const uint32_t *list;
  size_t count;
} ak_weighted;

// acc[h, c ..< c + vectors * AK_LANES] += sum over i of weights[h, i] * values[i, c...]. `lines` cache lines of
// each row of `ahead`, from byte `ahead_offset`, are fetched meanwhile.
AK_TEMPLATE void sum_tile(
  const int queries, const int vectors, const int gather, const ak_weighted *block, float *acc, size_t acc_stride,
  size_t c, const ak_ahead *ahead, size_t ahead_offset, size_t lines) {
  ak_v sums[6][8];
  AK_UNROLL for (int h = 0; h < queries; h++) {
    AK_UNROLL for (int v = 0; v < vectors; v++) sums[h][v] = v_load(acc + h * acc_stride + c + v * AK_LANES);
  }
  for (size_t i = 0; i < block->count; i++) {
    const uint16_t *value = block->values.data + (gather ? block->list[i] : i) * block->values.stride + c;
    if (i < ahead->count) {
      const char *next = ahead_row(ahead, i) + ahead_offset;
      for (size_t line = 0; line < lines; line++) __builtin_prefetch(next + line * AK_CACHE_LINE, 0, 3);
    }
    ak_v x[8];
    AK_UNROLL for (int v = 0; v < vectors; v++) x[v] = v_load_f16(value + v * AK_LANES);
    AK_UNROLL for (int h = 0; h < queries; h++) {
      const ak_v weight = v_set(block->weights[h * block->weight_stride + i]);
      AK_UNROLL for (int v = 0; v < vectors; v++) sums[h][v] = v_fma(weight, x[v], sums[h][v]);
    }
  }
  AK_UNROLL for (int h = 0; h < queries; h++) {
    AK_UNROLL for (int v = 0; v < vectors; v++) v_store(acc + h * acc_stride + c + v * AK_LANES, sums[h][v]);
  }
}

// The last d - c < AK_LANES columns.
static void sum_rest(
  size_t queries, const ak_weighted *block, float *acc, size_t acc_stride, size_t c, size_t d) {
  for (size_t i = 0; i < block->count; i++) {
    const size_t row = block->list ? block->list[i] : i;
    const uint16_t *value = block->values.data + row * block->values.stride;
    for (size_t k = c; k < d; k++) {
      const float x = ak_float_from_f16(value[k]);
      for (size_t h = 0; h < queries; h++) {
        acc[h * acc_stride + k] += block->weights[h * block->weight_stride + i] * x;
      }
    }
  }
}

AK_TEMPLATE void sum_columns(
  const int queries, const int gather, const ak_weighted *block, float *acc, size_t acc_stride, size_t d,
  const ak_ahead *ahead) {
  enum { line = AK_CACHE_LINE / 2 };  // in elements
  const int vectors = AK_SUM_VECTORS(queries);
  const size_t width = (size_t)vectors * AK_LANES;
  size_t c = 0;
  // Each tile fetches the cache lines that begin in its own columns.
  for (; c + width <= d; c += width) {
    const size_t first = ak_round_up(c, line);
    const size_t lines = (ak_round_up(c + width, line) - first) / line;
    sum_tile(queries, vectors, gather, block, acc, acc_stride, c, ahead, first * 2, lines);
  }
  for (; c + AK_LANES <= d; c += AK_LANES) {
    sum_tile(queries, 1, gather, block, acc, acc_stride, c, ahead, c * 2, c % line == 0);
  }
  if (c < d) sum_rest((size_t)queries, block, acc, acc_stride, c, d);
}

static void sum_block(size_t m, ak_weighted block, ak_states states, size_t d, ak_ahead ahead) {
  size_t shares = (m + 5) / 6;
  const float *weights = block.weights;
  for (size_t h = 0; h < m; shares--) {
    const size_t count = (m - h + shares - 1) / shares;
    float *acc = states.acc + h * states.acc_stride;
    block.weights = weights + h * block.weight_stride;
#define AK_SUM_CASE(c)                                                  \
  case c:                                                               \
    if (block.list)                                                     \
      sum_columns(c, 1, &block, acc, states.acc_stride, d, &ahead);     \
    else                                                                \
      sum_columns(c, 0, &block, acc, states.acc_stride, d, &ahead);     \
    break
    switch (count) {
      AK_SUM_CASE(1);
      AK_SUM_CASE(2);
      AK_SUM_CASE(3);
      AK_SUM_CASE(4);
      AK_SUM_CASE(5);
      AK_SUM_CASE(6);
    }
#undef AK_SUM_CASE
    h += count;
    ahead.count = 0;
  }
}

static float highest_score(const float *scores, size_t n) {
  ak_v highest = v_set(-INFINITY);
  size_t i = 0;
  for (; i + AK_LANES <= n; i += AK_LANES) highest = v_max(highest, v_load(scores + i));
  if (i < n) highest = v_max(highest, v_load_part(scores + i, n - i, -INFINITY));
  return v_highest(highest);
}

// e^(old - new) for running maxima old <= new; 0 for the first.
static float rescale_factor(float old, float new) {
  float lanes[AK_LANES];
  v_store(lanes, v_weight(v_set(old - new)));
  return old == -INFINITY ? 0 : lanes[0];
}

// Turns n scores of query h into weights and updates its maximum, sum and accumulator. Answers whether every
// weight is above zero.
static int weigh(float *scores, size_t n, size_t d, ak_states states, size_t h) {
  const float highest = highest_score(scores, n);
  if (highest > states.max[h]) {
    const float factor = rescale_factor(states.max[h], highest);
    states.max[h] = highest;
    states.sum[h] *= factor;
    AK_FN(scale_f32)(states.acc + h * states.acc_stride, factor, d);
  }
  // Before the first visible key the maximum is -inf, and -inf - -inf would be NaN; any finite reference gives
  // the weight zero.
  const ak_v max = v_set(states.max[h] == -INFINITY ? 0 : states.max[h]);
  ak_v sum = v_set(0), lowest = v_set(INFINITY);
  size_t i = 0;
  for (; i + AK_LANES <= n; i += AK_LANES) {
    const ak_v x = v_sub(v_load(scores + i), max);
    const ak_v weight = v_weight(x);
    v_store(scores + i, weight);
    sum = v_add(sum, weight);
    lowest = v_min(lowest, weight);
  }
  if (i < n) {
    const ak_v weight = v_weight(v_sub(v_load_part(scores + i, n - i, -INFINITY), max));
    v_store_part(scores + i, n - i, weight);
    sum = v_add(sum, weight);
    lowest = v_min(lowest, v_load_part(scores + i, n - i, INFINITY));
  }
  states.sum[h] += v_total(sum);
  return -v_highest(v_sub(v_set(0), lowest)) > 0;
}

// One block of at most AK_ATTEND_BLOCK scores and values.
static void softmax_block(
  float *scores, size_t score_stride, size_t m, ak_rows_f16 values, const uint32_t *indices, size_t n, size_t d,
  ak_states states, ak_ahead ahead) {
  int complete = 0;
  for (size_t h = 0; h < m; h++) complete |= weigh(scores + h * score_stride, n, d, states, h);
  ak_weighted block = {scores, score_stride, values, indices, n};
  uint32_t list[AK_ATTEND_BLOCK];
  if (!complete) {
    // Every query gives some row no weight: keep the rows that some query weighs.
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
      float any = 0;
      for (size_t h = 0; h < m; h++) any += scores[h * score_stride + i];
      if (any == 0) continue;
      for (size_t h = 0; h < m; h++) scores[h * score_stride + count] = scores[h * score_stride + i];
      list[count++] = indices ? indices[i] : (uint32_t)i;
    }
    if (count < n) {
      block.list = list;
      block.count = count;
    }
  }
  sum_block(m, block, states, d, ahead);
}

// The rows after the first `n` of a block, as many as the next block has.
static ak_ahead next_block(ak_rows_f16 rows, const uint32_t *indices, size_t i, size_t n) {
  if (i >= n) return (ak_ahead){0};
  const size_t count = ak_min(AK_ATTEND_BLOCK, n - i);
  if (indices) return (ak_ahead){(const char *)rows.data, rows.stride * 2, indices + i, count};
  return (ak_ahead){(const char *)(rows.data + i * rows.stride), rows.stride * 2, NULL, count};
}

static void softmax_blocks(
  float *scores, size_t score_stride, size_t m, ak_rows_f16 values, const uint32_t *indices, size_t n, size_t d,
  ak_states states) {
  for (size_t i = 0; i < n; i += AK_ATTEND_BLOCK) {
    const size_t count = ak_min(AK_ATTEND_BLOCK, n - i);
    const ak_rows_f16 part = {indices ? values.data : values.data + i * values.stride, values.stride};
    softmax_block(
      scores + i, score_stride, m, part, indices ? indices + i : NULL, count, d, states,
      next_block(values, indices, i + count, n));
  }
}

static void AK_FN(softmax_accumulate_f16)(
  float *scores, size_t score_stride, size_t m, ak_rows_f16 values, size_t n, size_t d, ak_states states) {
  softmax_blocks(scores, score_stride, m, values, NULL, n, d, states);
}

static void AK_FN(softmax_accumulate_gather_f16)(
  float *scores, size_t score_stride, size_t m, ak_rows_f16 values, const uint32_t *indices, size_t n, size_t d,
  ak_states states) {
  softmax_blocks(scores, score_stride, m, values, indices, n, d, states);
}

// While the keys of a block are multiplied its values are fetched, and the other way round: memory is never idle.
static void AK_FN(attend_f16)(
  ak_rows_f32 queries, size_t m, ak_rows_f16 keys, ak_rows_f16 values, size_t n, size_t d, ak_states states,
  float *scratch) {
  for (size_t i = 0; i < n; i += AK_ATTEND_BLOCK) {
    const size_t count = ak_min(AK_ATTEND_BLOCK, n - i);
    const ak_rows_f16 key_part = {keys.data + i * keys.stride, keys.stride};
    const ak_rows_f16 value_part = {values.data + i * values.stride, values.stride};
    dot_block_f16(
      queries, m, key_part, count, d, scratch, AK_ATTEND_BLOCK, next_block(values, NULL, i, n));
    softmax_block(
      scratch, AK_ATTEND_BLOCK, m, value_part, NULL, count, d, states, next_block(keys, NULL, i + count, n));
  }
}

static void AK_FN(attend_gather_f16)(
  ak_rows_f32 queries, size_t m, ak_rows_f16 keys, ak_rows_f16 values, const uint32_t *indices, size_t n,
  size_t d, ak_states states, float *scratch) {
  for (size_t i = 0; i < n; i += AK_ATTEND_BLOCK) {
    const size_t count = ak_min(AK_ATTEND_BLOCK, n - i);
    dot_block_gather_f16(
      queries, m, keys, indices + i, count, d, scratch, AK_ATTEND_BLOCK, next_block(values, indices, i, n));
    softmax_block(
      scratch, AK_ATTEND_BLOCK, m, values, indices + i, count, d, states,
      next_block(keys, indices, i + count, n));
  }
}
