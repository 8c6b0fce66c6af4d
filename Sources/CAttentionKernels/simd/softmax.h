// Template: online softmax over blocks of scores, and decode attention built from it.

// Value rows of one block and their weights, for up to AK_QUERIES queries.
typedef struct ak_weighted {
  float weights[AK_QUERIES][AK_ATTEND_BLOCK];
  ak_rows_f16 values;
  const uint32_t *list;  // row numbers, or NULL for the rows 0 ..< count
  size_t count;
  ak_ahead ahead;         // rows to fetch meanwhile
  size_t ahead_bytes;     // of each
  size_t ahead_interval;  // value rows passed over between two fetches
} ak_weighted;

// acc[h, c ..< c + vectors * AK_LANES] += sum over i of weights[h][i] * values[i, c...]. Fetches rows from
// number `*fetched`.
AK_TEMPLATE void sum_tile(
  const int queries, const int vectors, const int gather, const ak_weighted *block, float *acc,
  size_t acc_stride, size_t c, size_t *fetched) {
  ak_v sums[AK_QUERIES][8];
  AK_UNROLL for (int h = 0; h < queries; h++) {
    AK_UNROLL for (int v = 0; v < vectors; v++) sums[h][v] = v_load(acc + h * acc_stride + c + v * AK_LANES);
  }
  const uint16_t *values = block->values.data + c;
  const size_t stride = block->values.stride;
  for (size_t i = 0; i < block->count;) {
    fetch_row(&block->ahead, (*fetched)++, block->ahead_bytes);
    const size_t end = ak_min(i + block->ahead_interval, block->count);
    for (; i < end; i++) {
      const uint16_t *value = values + (gather ? block->list[i] : i) * stride;
      ak_v x[8];
      AK_UNROLL for (int v = 0; v < vectors; v++) x[v] = v_load_f16(value + v * AK_LANES);
      AK_UNROLL for (int h = 0; h < queries; h++) {
        const ak_v weight = v_set(block->weights[h][i]);
        AK_UNROLL for (int v = 0; v < vectors; v++) sums[h][v] = v_fma(weight, x[v], sums[h][v]);
      }
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
      for (size_t h = 0; h < queries; h++) acc[h * acc_stride + k] += block->weights[h][i] * x;
    }
  }
}

AK_TEMPLATE void sum_columns(
  const int queries, const int gather, const ak_weighted *block, float *acc, size_t acc_stride, size_t d,
  size_t *fetched) {
  const int vectors = AK_SUM_VECTORS(queries);
  size_t c = 0;
#define AK_SUM_TILES(count)                                               \
  for (; c + (count) * AK_LANES <= d; c += (count) * AK_LANES) {          \
    sum_tile(queries, count, gather, block, acc, acc_stride, c, fetched); \
  }
  AK_SUM_TILES(vectors)
  if (vectors > 4) AK_SUM_TILES(4)
  if (vectors > 2) AK_SUM_TILES(2)
  AK_SUM_TILES(1)
#undef AK_SUM_TILES
  if (c < d) sum_rest((size_t)queries, block, acc, acc_stride, c, d);
}

// A function for each number of queries, so that no compiler mixes up their registers.
#define AK_SUM_FUNCTION(queries)                                                          \
  static __attribute__((noinline)) void sum_columns_##queries(                            \
    const ak_weighted *block, float *acc, size_t acc_stride, size_t d, size_t *fetched) { \
    if (block->list)                                                                      \
      sum_columns(queries, 1, block, acc, acc_stride, d, fetched);                        \
    else                                                                                  \
      sum_columns(queries, 0, block, acc, acc_stride, d, fetched);                        \
  }
AK_SUM_FUNCTION(1)
AK_SUM_FUNCTION(2)
AK_SUM_FUNCTION(3)
AK_SUM_FUNCTION(4)
AK_SUM_FUNCTION(5)
AK_SUM_FUNCTION(6)
#undef AK_SUM_FUNCTION

// Tiles in which sum_columns passes over the rows.
static size_t sum_passes(size_t queries, size_t d) {
  static const size_t vectors[AK_QUERIES] = {AK_SUM_VECTORS(1), AK_SUM_VECTORS(2), AK_SUM_VECTORS(3),
                                             AK_SUM_VECTORS(4), AK_SUM_VECTORS(5), AK_SUM_VECTORS(6)};
  return ak_max(1, d / (vectors[queries - 1] * AK_LANES));
}

static void sum_block(
  size_t queries, const ak_weighted *block, float *acc, size_t acc_stride, size_t d, size_t *fetched) {
  static void (*const functions[AK_QUERIES])(const ak_weighted *, float *, size_t, size_t, size_t *) = {
    sum_columns_1, sum_columns_2, sum_columns_3, sum_columns_4, sum_columns_5, sum_columns_6};
  functions[queries - 1](block, acc, acc_stride, d, fetched);
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
static int weigh(const float *scores, size_t n, size_t d, ak_states states, size_t h, float *weights) {
  const float highest = highest_score(scores, n);
  if (highest > states.max[h]) {
    const float factor = rescale_factor(states.max[h], highest);
    states.max[h] = highest;
    states.sum[h] *= factor;
    AK_FN(scale_f32)(states.acc + h * states.acc_stride, factor, d);
  }
  // Before the first visible key the maximum is -inf, and -inf - -inf would be NaN; any finite reference
  // gives the weight zero.
  const ak_v max = v_set(states.max[h] == -INFINITY ? 0 : states.max[h]);
  ak_v sum = v_set(0), lowest = v_set(INFINITY);
  size_t i = 0;
  for (; i + AK_LANES <= n; i += AK_LANES) {
    const ak_v weight = v_weight(v_sub(v_load(scores + i), max));
    v_store(weights + i, weight);
    sum = v_add(sum, weight);
    lowest = v_min(lowest, weight);
  }
  if (i < n) {
    const ak_v weight = v_weight(v_sub(v_load_part(scores + i, n - i, -INFINITY), max));
    v_store_part(weights + i, n - i, weight);
    sum = v_add(sum, weight);
    lowest = v_min(lowest, v_load_part(weights + i, n - i, INFINITY));
  }
  states.sum[h] += v_total(sum);
  return -v_highest(v_sub(v_set(0), lowest)) > 0;
}

// Keeps the rows that some query weighs, their numbers in `list`.
static void drop_weightless(ak_weighted *block, size_t queries, uint32_t *list) {
  size_t count = 0;
  for (size_t i = 0; i < block->count; i++) {
    float any = 0;
    for (size_t h = 0; h < queries; h++) any += block->weights[h][i];
    if (any == 0) continue;
    for (size_t h = 0; h < queries; h++) block->weights[h][count] = block->weights[h][i];
    list[count++] = block->list ? block->list[i] : (uint32_t)i;
  }
  if (count == block->count) return;
  block->list = list;
  block->count = count;
}

// One block of at most AK_ATTEND_BLOCK scores and values. Fetches `ahead` at an even pace meanwhile.
static void softmax_block(
  const float *scores, size_t score_stride, size_t m, ak_rows_f16 values, const uint32_t *indices, size_t n,
  size_t d, ak_states states, ak_ahead ahead) {
  ak_weighted block;
  block.values = values;
  block.ahead = ahead;
  block.ahead_bytes = d * sizeof(uint16_t);
  uint32_t list[AK_ATTEND_BLOCK];
  size_t shares = query_shares(m), fetched = 0;
  block.ahead_interval = shares * sum_passes(query_share(m, shares), d);
  for (size_t first = 0; first < m; shares--) {
    const size_t queries = query_share(m - first, shares);
    block.list = indices;
    block.count = n;
    int complete = 0;
    for (size_t h = 0; h < queries; h++) {
      complete |= weigh(scores + (first + h) * score_stride, n, d, states, first + h, block.weights[h]);
    }
    // If some query weighs every row there is none to drop.
    if (!complete) drop_weightless(&block, queries, list);
    sum_block(queries, &block, states.acc + first * states.acc_stride, states.acc_stride, d, &fetched);
    first += queries;
  }
}

// The rows of the block that starts at i.
static ak_ahead next_block(ak_rows_f16 rows, const uint32_t *indices, size_t i, size_t n) {
  if (i >= n) return (ak_ahead){0};
  const size_t count = ak_min(AK_ATTEND_BLOCK, n - i);
  if (indices) return (ak_ahead){(const char *)rows.data, rows.stride * 2, indices + i, count};
  return (ak_ahead){(const char *)(rows.data + i * rows.stride), rows.stride * 2, NULL, count};
}

static void softmax_blocks(
  const float *scores, size_t score_stride, size_t m, ak_rows_f16 values, const uint32_t *indices, size_t n,
  size_t d, ak_states states) {
  for (size_t i = 0; i < n; i += AK_ATTEND_BLOCK) {
    const size_t count = ak_min(AK_ATTEND_BLOCK, n - i);
    const ak_rows_f16 part = {indices ? values.data : values.data + i * values.stride, values.stride};
    softmax_block(
      scores + i, score_stride, m, part, indices ? indices + i : NULL, count, d, states,
      next_block(values, indices, i + count, n));
  }
}

static void AK_FN(softmax_accumulate_f16)(
  const float *scores, size_t score_stride, size_t m, ak_rows_f16 values, size_t n, size_t d,
  ak_states states) {
  softmax_blocks(scores, score_stride, m, values, NULL, n, d, states);
}

static void AK_FN(softmax_accumulate_gather_f16)(
  const float *scores, size_t score_stride, size_t m, ak_rows_f16 values, const uint32_t *indices, size_t n,
  size_t d, ak_states states) {
  softmax_blocks(scores, score_stride, m, values, indices, n, d, states);
}

// While the keys of a block are multiplied its values are fetched, and the other way round: memory is never
// idle.
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
