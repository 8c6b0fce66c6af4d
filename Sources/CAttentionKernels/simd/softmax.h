// Template: online softmax over blocks of scores, and decode attention built from it.

// Value rows of one block and their weights, for up to AK_QUERIES queries.
typedef struct ak_weighted {
  float weights[AK_QUERIES][AK_ATTEND_BLOCK];
  ak_rows values;
  size_t d;
  const uint32_t *list;  // row numbers, or NULL for the rows 0 ..< count
  size_t count;
  ak_ahead ahead;         // rows to fetch meanwhile
  size_t ahead_bytes;     // of each
  size_t ahead_interval;  // value rows passed over between two fetches
} ak_weighted;

// acc[h, c ..< c + vectors * AK_LANES] += sum over i of weights[h][i] * values[i, c...]. Fetches rows from
// number `*fetched`.
AK_TEMPLATE void sum_tile(
  const int queries, const int vectors, const ak_type type, const int gather, const ak_weighted *block, float *acc,
  size_t acc_stride, size_t c, size_t *fetched) {
  ak_v sums[AK_QUERIES][8];
  AK_UNROLL for (int h = 0; h < queries; h++) {
    AK_UNROLL for (int v = 0; v < vectors; v++) sums[h][v] = v_load(acc + h * acc_stride + c + v * AK_LANES);
  }
  const char *values = (const char *)block->values.data;
  const size_t stride = block->values.stride, d = block->d;
  // Whether blocks of 8-bit elements and tiles have the same bounds.
  const int whole = vectors * AK_LANES % AK_Q8_BLOCK == 0;
  for (size_t i = 0; i < block->count;) {
    fetch_row(&block->ahead, (*fetched)++, block->ahead_bytes);
    const size_t end = ak_min(i + block->ahead_interval, block->count);
    for (; i < end; i++) {
      const char *value = values + (gather ? block->list[i] : i) * stride;
      ak_v x[8], scale = v_set(0);
      AK_UNROLL for (int v = 0; v < vectors; v++) {
        x[v] = load_element(
          type, value, c + v * AK_LANES, d, &scale, !whole || v % (AK_Q8_BLOCK / AK_LANES) == 0);
      }
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
    const void *row = (const char *)block->values.data + (block->list ? block->list[i] : i) * block->values.stride;
    float x[AK_LANES];
    v_store(
      x, block->values.type == AK_Q8 ? load_element_part(AK_Q8, row, c, d) : load_element_part(AK_F16, row, c, d));
    for (size_t k = c; k < d; k++) {
      for (size_t h = 0; h < queries; h++) acc[h * acc_stride + k] += block->weights[h][i] * x[k - c];
    }
  }
}

AK_TEMPLATE void sum_columns(
  const int queries, const ak_type type, const int gather, const ak_weighted *block, float *acc, size_t acc_stride,
  size_t d, size_t *fetched) {
  const int vectors = AK_SUM_VECTORS(queries);
  size_t c = 0;
#define AK_SUM_TILES(count)                                                     \
  for (; c + (count) * AK_LANES <= d; c += (count) * AK_LANES) {                \
    sum_tile(queries, count, type, gather, block, acc, acc_stride, c, fetched); \
  }
  AK_SUM_TILES(vectors)
  if (vectors > 4) AK_SUM_TILES(4)
  if (vectors > 2) AK_SUM_TILES(2)
  AK_SUM_TILES(1)
#undef AK_SUM_TILES
  if (c < d) sum_rest((size_t)queries, block, acc, acc_stride, c, d);
}

// A function for each number of queries, so that no compiler mixes up their registers.
#define AK_SUM_FUNCTION(name, type, queries)                                              \
  static __attribute__((noinline)) void sum_columns_##name##_##queries(                   \
    const ak_weighted *block, float *acc, size_t acc_stride, size_t d, size_t *fetched) { \
    if (block->list)                                                                      \
      sum_columns(queries, type, 1, block, acc, acc_stride, d, fetched);                  \
    else                                                                                  \
      sum_columns(queries, type, 0, block, acc, acc_stride, d, fetched);                  \
  }
#define AK_SUM_FUNCTIONS(name, type) \
  AK_SUM_FUNCTION(name, type, 1)     \
  AK_SUM_FUNCTION(name, type, 2)     \
  AK_SUM_FUNCTION(name, type, 3)     \
  AK_SUM_FUNCTION(name, type, 4)     \
  AK_SUM_FUNCTION(name, type, 5)     \
  AK_SUM_FUNCTION(name, type, 6)
AK_SUM_FUNCTIONS(f16, AK_F16)
AK_SUM_FUNCTIONS(q8, AK_Q8)
#undef AK_SUM_FUNCTIONS
#undef AK_SUM_FUNCTION

// Tiles in which sum_columns passes over the rows.
static size_t sum_passes(size_t queries, size_t d) {
  static const size_t vectors[AK_QUERIES] = {AK_SUM_VECTORS(1), AK_SUM_VECTORS(2), AK_SUM_VECTORS(3),
                                             AK_SUM_VECTORS(4), AK_SUM_VECTORS(5), AK_SUM_VECTORS(6)};
  return ak_max(1, d / (vectors[queries - 1] * AK_LANES));
}

typedef void (*sum_function)(const ak_weighted *, float *, size_t, size_t, size_t *);

static void sum_block(
  size_t queries, const ak_weighted *block, float *acc, size_t acc_stride, size_t d, size_t *fetched) {
  static const sum_function functions[2][AK_QUERIES] = {
    {sum_columns_f16_1, sum_columns_f16_2, sum_columns_f16_3, sum_columns_f16_4, sum_columns_f16_5,
     sum_columns_f16_6},
    {sum_columns_q8_1, sum_columns_q8_2, sum_columns_q8_3, sum_columns_q8_4, sum_columns_q8_5, sum_columns_q8_6}};
  functions[block->values.type == AK_Q8][queries - 1](block, acc, acc_stride, d, fetched);
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

static void AK_FN(add_mass_f32)(const float *scores, size_t n, float *max, float *sum) {
  const float highest = highest_score(scores, n);
  if (highest > *max) {
    *sum *= rescale_factor(*max, highest);
    *max = highest;
  }
  const ak_v reference = v_set(*max == -INFINITY ? 0 : *max);
  ak_v total = v_set(0);
  size_t i = 0;
  for (; i + AK_LANES <= n; i += AK_LANES) total = v_add(total, v_weight(v_sub(v_load(scores + i), reference)));
  if (i < n) total = v_add(total, v_weight(v_sub(v_load_part(scores + i, n - i, -INFINITY), reference)));
  *sum += v_total(total);
}

static void AK_FN(add_shares_f32)(
  const float *scores, const float *spreads, size_t n, float log_total, float per_spread, float most,
  float *shares) {
  const ak_v total = v_set(log_total), factor = v_set(per_spread), limit = v_set(most);
  size_t i = 0;
  for (; i + AK_LANES <= n; i += AK_LANES) {
    const ak_v raised = v_min(v_mul(factor, v_load(spreads + i)), limit);
    const ak_v share = v_exp(v_add(v_sub(v_load(scores + i), total), raised));
    v_store(shares + i, v_add(v_load(shares + i), share));
  }
  if (i < n) {
    const ak_v raised = v_min(v_mul(factor, v_load_part(spreads + i, n - i, 0)), limit);
    const ak_v share = v_exp(v_add(v_sub(v_load_part(scores + i, n - i, 0), total), raised));
    v_store_part(shares + i, n - i, v_add(v_load_part(shares + i, n - i, 0), share));
  }
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

// One block of at most AK_ATTEND_BLOCK scores and values. Fetches `ahead`, rows of `ahead_bytes`, at an even pace
// meanwhile.
static void softmax_block(
  const float *scores, size_t score_stride, size_t m, ak_rows values, const uint32_t *indices, size_t n,
  size_t d, ak_states states, ak_ahead ahead, size_t ahead_bytes) {
  ak_weighted block;
  block.values = values;
  block.d = d;
  block.ahead = ahead;
  block.ahead_bytes = ahead_bytes;
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
static ak_ahead next_block(ak_rows rows, const uint32_t *indices, size_t i, size_t n) {
  return i < n ? ahead_from(rows, indices, i, ak_min(AK_ATTEND_BLOCK, n - i)) : (ak_ahead){0};
}

static void AK_FN(softmax_accumulate)(
  const float *scores, size_t score_stride, size_t m, ak_rows values, const uint32_t *indices, size_t n, size_t d,
  ak_states states) {
  for (size_t i = 0; i < n; i += AK_ATTEND_BLOCK) {
    const size_t count = ak_min(AK_ATTEND_BLOCK, n - i);
    softmax_block(
      scores + i, score_stride, m, indices ? values : ak_rows_from(values, i), indices ? indices + i : NULL, count,
      d, states, next_block(values, indices, i + count, n), row_bytes(values.type, d));
  }
}

// Copies n weights and answers their sum.
static float copy_weights(const float *source, size_t n, float *target) {
  ak_v sum = v_set(0);
  size_t i = 0;
  for (; i + AK_LANES <= n; i += AK_LANES) {
    const ak_v weights = v_load(source + i);
    v_store(target + i, weights);
    sum = v_add(sum, weights);
  }
  if (i < n) {
    const ak_v weights = v_load_part(source + i, n - i, 0);
    v_store_part(target + i, n - i, weights);
    sum = v_add(sum, weights);
  }
  return v_total(sum);
}

static void AK_FN(add_rows)(
  const float *weights, size_t weight_stride, size_t m, ak_rows rows, const uint32_t *indices, size_t n, size_t d,
  float *sums, float *acc, size_t acc_stride) {
  ak_weighted block;
  block.d = d;
  block.ahead_bytes = row_bytes(rows.type, d);
  for (size_t i = 0; i < n; i += AK_ATTEND_BLOCK) {
    block.count = ak_min(AK_ATTEND_BLOCK, n - i);
    block.values = indices ? rows : ak_rows_from(rows, i);
    block.list = indices ? indices + i : NULL;
    block.ahead = next_block(rows, indices, i + block.count, n);
    size_t shares = query_shares(m), fetched = 0;
    block.ahead_interval = shares * sum_passes(query_share(m, shares), d);
    for (size_t first = 0; first < m; shares--) {
      const size_t queries = query_share(m - first, shares);
      for (size_t h = 0; h < queries; h++) {
        sums[first + h] +=
          copy_weights(weights + (first + h) * weight_stride + i, block.count, block.weights[h]);
      }
      sum_block(queries, &block, acc + first * acc_stride, acc_stride, d, &fetched);
      first += queries;
    }
  }
}

// While the keys of a block are multiplied its values are fetched, and the other way round: memory is never
// idle. (dot_rows takes rows ahead to be as long as its own; where they are not, a line more or less is fetched.)
static void AK_FN(attend)(
  ak_rows_f32 queries, size_t m, ak_rows keys, ak_rows values, const uint32_t *indices, const float *biases,
  size_t n, size_t d, ak_states states, float *scratch) {
  for (size_t i = 0; i < n; i += AK_ATTEND_BLOCK) {
    const size_t count = ak_min(AK_ATTEND_BLOCK, n - i);
    const uint32_t *list = indices ? indices + i : NULL;
    dot_block(
      queries, m, indices ? keys : ak_rows_from(keys, i), list, count, d, scratch, AK_ATTEND_BLOCK,
      next_block(values, indices, i, n));
    for (size_t h = 0; biases && h < m; h++) {
      AK_FN(add_scaled_f32)(biases + i, 1, scratch + h * AK_ATTEND_BLOCK, count);
    }
    softmax_block(
      scratch, AK_ATTEND_BLOCK, m, indices ? values : ak_rows_from(values, i), list, count, d, states,
      next_block(keys, indices, i + count, n), row_bytes(keys.type, d));
  }
}
