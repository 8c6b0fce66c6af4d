// Template: causal attention of many queries.
//
// Query rows are lanes, in panels as in matrix.h: scores are S^T = K Q^T [keys, queries], so that the softmax
// over keys runs down the lanes without crossing them, and the accumulators are acc^T += V^T S^T
// [d, queries]. Keys and values are only unpacked to f32, a block at a time, and the two transposes are of
// the queries and the accumulators, once a call.

typedef struct ak_prefill {
  size_t rows, d, padded;  // padded: d rounded up to whole tiles
  float *queries;          // panels [d, width]
  float *acc;              // panels [d, width]
  float *max, *sum;        // [rows], rounded up to whole panels
  float *keys;             // [AK_PREFILL_BLOCK, d]
  float *values;           // [padded / AK_TILE_ROWS, AK_PREFILL_BLOCK, AK_TILE_ROWS]
  float *scores;           // [AK_PREFILL_BLOCK, width]
  float *row;              // [padded], zeros from d
} ak_prefill;

static void load_rows(
  const ak_prefill *p, ak_rows_f32 queries, float scale, const ak_states *states, size_t first) {
  for (size_t i = 0; i < p->rows; i += AK_PANEL) {
    const size_t count = ak_min(AK_PANEL, p->rows - i), width = panel_vectors(count) * AK_LANES;
    float *panel = p->queries + i * p->d, *acc = p->acc + i * p->d;
    pack_panel(queries.data + (first + i) * queries.stride, 1, queries.stride, p->d, count, width, panel);
    AK_FN(scale_f32)(panel, scale, p->d * width);
    pack_panel(
      states->acc + (first + i) * states->acc_stride, 1, states->acc_stride, p->d, count, width, acc);
    for (size_t j = 0; j < width; j++) {
      p->max[i + j] = j < count ? states->max[first + i + j] : -INFINITY;
      p->sum[i + j] = j < count ? states->sum[first + i + j] : 0;
    }
  }
}

static void store_rows(const ak_prefill *p, const ak_states *states, size_t first) {
  for (size_t i = 0; i < p->rows; i += AK_PANEL) {
    const size_t count = ak_min(AK_PANEL, p->rows - i), width = panel_vectors(count) * AK_LANES;
    transpose(
      p->acc + i * p->d, width, p->d, count, states->acc + (first + i) * states->acc_stride,
      states->acc_stride);
    memcpy(states->max + first + i, p->max + i, count * sizeof(float));
    memcpy(states->sum + first + i, p->sum + i, count * sizeof(float));
  }
}

// Which keys and values a call reads.
typedef struct ak_prefill_keys {
  ak_rows keys, values;
  const uint32_t *indices;  // NULL for the first ones
  const float *biases;      // NULL for none
} ak_prefill_keys;

// Unpacks `count` keys and values from number `base` on. Values are stored in slices of AK_TILE_ROWS columns, so that
// the tile that multiplies a slice reads memory in order.
static void load_block(const ak_prefill *p, const ak_prefill_keys *from, size_t base, size_t count) {
  enum { slice = AK_TILE_ROWS };
  const uint32_t *indices = from->indices ? from->indices + base : NULL;
  for (size_t i = 0; i < count;) {
    size_t run = indices ? 1 : count;
    while (i + run < count && indices[i + run] == indices[i + run - 1] + 1) run++;
    const size_t row = indices ? indices[i] : base;
    AK_FN(unpack)(ak_rows_from(from->keys, row), run, p->d, p->keys + i * p->d, p->d);
    i += run;
  }
  for (size_t i = 0; i < count; i++) {
    const size_t row = indices ? indices[i] : base + i;
    AK_FN(unpack)(ak_rows_from(from->values, row), 1, p->d, p->row, p->d);
    float *target = p->values + i * slice;
    for (size_t k = 0; k < p->padded; k += slice) {
      memcpy(target + k * AK_PREFILL_BLOCK, p->row + k, slice * sizeof(float));
    }
  }
}

// What the rows of a panel see of a block of keys.
typedef struct ak_visible {
  size_t low, high;  // what some row sees
  int partial;       // whether another row sees less
} ak_visible;

static size_t clamp_key(uint32_t key, size_t base, size_t count) {
  return key <= base ? 0 : ak_min(key - base, count);
}

static ak_visible visible_keys(
  const uint32_t *begin, const uint32_t *end, size_t lanes, size_t base, size_t count) {
  size_t low = count, high = 0, last_low = 0, first_high = count;
  for (size_t j = 0; j < lanes; j++) {
    const size_t from = clamp_key(begin[j], base, count), to = clamp_key(end[j], base, count);
    if (from < to) {
      low = ak_min(low, from);
      high = ak_max(high, to);
      last_low = ak_max(last_low, from);
      first_high = ak_min(first_high, to);
    } else {
      last_low = count;
    }
  }
  return (ak_visible){low, high, last_low > low || first_high < high};
}

static void mask_scores(
  float *scores, size_t width, ak_visible visible, const uint32_t *begin, const uint32_t *end, size_t lanes,
  size_t base, size_t count) {
  for (size_t j = 0; j < lanes; j++) {
    const size_t from = clamp_key(begin[j], base, count), to = clamp_key(end[j], base, count);
    for (size_t i = visible.low; i < visible.high; i++) {
      if (i < from || i >= to) scores[i * width + j] = -INFINITY;
    }
  }
}

// Softmax of the scores low ..< high down one vector of lanes; answers the factor for the accumulators.
AK_TEMPLATE ak_v weigh_lanes(float *scores, size_t width, size_t low, size_t high, float *max, float *sum) {
  const ak_v old = v_load(max);
  ak_v highest = old, other = old;
  size_t i = low;
  for (; i + 2 <= high; i += 2) {
    highest = v_max(highest, v_load(scores + i * width));
    other = v_max(other, v_load(scores + (i + 1) * width));
  }
  if (i < high) highest = v_max(highest, v_load(scores + i * width));
  highest = v_max(highest, other);
  v_store(max, highest);
  // Rows that see nothing yet have the maximum -inf; a finite reference keeps -inf - -inf out of the weights.
  const ak_v reference = v_if_greater(highest, v_set(-INFINITY), highest, v_set(0));
  const ak_v factor = v_weight(v_sub(old, reference));
  ak_v total = v_mul(v_load(sum), factor);
  for (i = low; i < high; i++) {
    const ak_v weight = v_weight(v_sub(v_load(scores + i * width), reference));
    v_store(scores + i * width, weight);
    total = v_add(total, weight);
  }
  v_store(sum, total);
  return factor;
}

// Softmax of a panel's scores, and its accumulators brought to the new maxima.
static void weigh_panel(const ak_prefill *p, size_t first, size_t width, ak_visible visible) {
  float *acc = p->acc + first * p->d;
  for (size_t j = 0; j < width; j += AK_LANES) {
    const ak_v factor =
      weigh_lanes(p->scores + j, width, visible.low, visible.high, p->max + first + j, p->sum + first + j);
    if (v_highest(v_sub(v_set(1), factor)) == 0) continue;  // no maximum grew
    for (size_t c = 0; c < p->d; c++) {
      v_store(acc + c * width + j, v_mul(factor, v_load(acc + c * width + j)));
    }
  }
}

// Fills the rows of a panel's scores with the biases of their keys.
static void fill_biases(float *scores, size_t width, const float *biases, size_t count) {
  for (size_t i = 0; i < count; i++) {
    const ak_v bias = v_set(biases[i]);
    for (size_t j = 0; j < width; j += AK_LANES) v_store(scores + i * width + j, bias);
  }
}

static void attend_block(
  const ak_prefill *p, const float *biases, const uint32_t *begin, const uint32_t *end, size_t base, size_t count) {
  enum { tile = AK_TILE_ROWS };
  for (size_t i = 0; i < p->rows; i += AK_PANEL) {
    const size_t lanes = ak_min(AK_PANEL, p->rows - i);
    const ak_visible visible = visible_keys(begin + i, end + i, lanes, base, count);
    if (visible.low >= visible.high) continue;
    const size_t vectors = panel_vectors(lanes), width = vectors * AK_LANES;
    const size_t keys = visible.high - visible.low;
    float *seen = p->scores + visible.low * width;
    if (biases) fill_biases(seen, width, biases + base + visible.low, keys);
    product(
      vectors, keys, p->keys + visible.low * p->d, p->d, 1, p->queries + i * p->d, p->d, seen, width, biases != NULL);
    if (visible.partial) mask_scores(p->scores, width, visible, begin + i, end + i, lanes, base, count);
    weigh_panel(p, i, width, visible);
    for (size_t c = 0; c < p->d; c += tile) {
      product(
        vectors, ak_min(tile, p->d - c), p->values + c * AK_PREFILL_BLOCK + visible.low * tile, 1, tile, seen, keys,
        p->acc + i * p->d + c * width, width, 1);
    }
  }
}

static void prefill_rows(
  size_t first, size_t rows, ak_rows_f32 queries, float scale, const ak_prefill_keys *from, size_t n, size_t d,
  const uint32_t *begin, const uint32_t *end, ak_states states, float *scratch) {
  size_t low = n, high = 0;
  for (size_t r = first; r < first + rows; r++) {
    if (begin[r] >= ak_min(end[r], n)) continue;
    low = ak_min(low, begin[r]);
    high = ak_max(high, ak_min(end[r], n));
  }
  if (low >= high) return;

  ak_prefill p = {.rows = rows, .d = d, .padded = ak_round_up(d, AK_TILE_ROWS)};
  p.queries = scratch;
  p.acc = p.queries + AK_PREFILL_ROWS * d;
  p.max = p.acc + AK_PREFILL_ROWS * d;
  p.sum = p.max + AK_PREFILL_ROWS;
  p.keys = p.sum + AK_PREFILL_ROWS;
  p.values = p.keys + AK_PREFILL_BLOCK * d;
  p.scores = p.values + AK_PREFILL_BLOCK * p.padded;
  p.row = p.scores + AK_PREFILL_BLOCK * AK_PANEL;
  memset(p.row + d, 0, (p.padded - d) * sizeof(float));

  load_rows(&p, queries, scale, &states, first);
  for (size_t base = low; base < high; base += AK_PREFILL_BLOCK) {
    const size_t count = ak_min(AK_PREFILL_BLOCK, high - base);
    load_block(&p, from, base, count);
    attend_block(&p, from->biases, begin + first, end + first, base, count);
  }
  store_rows(&p, &states, first);
}

// Rows beyond AK_PREFILL_ROWS go in even shares of whole panels.
static void AK_FN(prefill)(
  ak_rows_f32 queries, size_t m, float scale, ak_rows keys, ak_rows values, const uint32_t *indices,
  const float *biases, size_t n, size_t d, const uint32_t *begin, const uint32_t *end, ak_states states,
  float *scratch) {
  const ak_prefill_keys from = {keys, values, indices, biases};
  const size_t shares = (m + AK_PREFILL_ROWS - 1) / AK_PREFILL_ROWS;
  const size_t share = shares ? ak_round_up((m + shares - 1) / shares, AK_PANEL) : 0;
  for (size_t r = 0; r < m; r += share) {
    prefill_rows(r, ak_min(share, m - r), queries, scale, &from, n, d, begin, end, states, scratch);
  }
}
