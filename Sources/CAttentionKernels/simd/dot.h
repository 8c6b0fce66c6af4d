// Template: dot products of m queries with n rows, contiguous or gathered.

// Queries that share one pass over the rows, and rows of a tile, at most.
#define AK_QUERIES 6
#define AK_DOT_MAX_ROWS 4

// Rows to ask the cache for while others are computed, one for each.
typedef struct ak_ahead {
  const char *base;
  size_t stride;  // bytes
  const uint32_t *indices;
  size_t count;
} ak_ahead;

// How far ahead of the row in work: four times what covers the latency of memory at one core's bandwidth
// (20 B/ns * 100 ns = 2 KB), since requests come in bursts; with less, one query waits for its rows.
#define AK_AHEAD_BYTES 8192

// Asks for `bytes` of row i, if there is such a row. Into the L2: a fetch into the L1 holds one of the few
// buffers for its misses until memory answers, and fewer random rows are on their way.
AK_TEMPLATE void fetch_row(const ak_ahead *ahead, size_t i, size_t bytes) {
  if (i >= ahead->count) return;
  const char *row = ahead->base + (ahead->indices ? ahead->indices[i] : i) * ahead->stride;
  for (size_t b = 0; b < bytes; b += AK_CACHE_LINE) __builtin_prefetch(row + b, 0, 2);
}

AK_TEMPLATE size_t row_bytes(const ak_type type, size_t d) {
  return type == AK_F16 ? d * 2 : type == AK_F32 ? d * 4 : ak_q8_row_bytes(d);
}

// Vectors of elements, from k on, of a row of d; those of AK_Q8 in the same block of AK_Q8_BLOCK as the one before have
// its scale.
AK_TEMPLATE ak_v load_element(const ak_type type, const void *row, size_t k, size_t d, ak_v *scale, const int is_first) {
  if (type == AK_F16) return v_load_f16((const uint16_t *)row + k);
  if (type == AK_F32) return v_load((const float *)row + k);
  if (is_first) *scale = v_load_f16_all((const char *)row + ak_q8_codes_bytes(d) + k / AK_Q8_BLOCK * 2);
  return v_mul(v_load_i8((const int8_t *)row + k), *scale);
}

AK_TEMPLATE ak_v load_element_part(const ak_type type, const void *row, size_t k, size_t d) {
  if (type == AK_F16) return v_load_f16_part((const uint16_t *)row + k, d - k);
  if (type == AK_F32) return v_load_part((const float *)row + k, d - k, 0);
  float lanes[AK_LANES];
  for (size_t i = 0; i < AK_LANES; i++) lanes[i] = k + i < d ? (float)((const int8_t *)row)[k + i] : 0;
  return v_mul(v_load(lanes), v_set(ak_q8_scale(row, d, k)));
}

// Vectors of a step of the loops over columns: a block of 8-bit elements has one scale.
#define AK_STEP_VECTORS(type) ((type) == AK_Q8 ? AK_Q8_BLOCK / AK_LANES : 1)

// sums[r][h] += row r . query h over one vector of columns. The fewer of rows and queries stay in registers,
// the others pass by.
AK_TEMPLATE void dot_step(
  const int queries, const int rows, const ak_v *q, const ak_v *x, ak_v sums[AK_DOT_MAX_ROWS][AK_QUERIES]) {
  if (rows < queries) {
    AK_UNROLL for (int h = 0; h < queries; h++) {
      AK_UNROLL for (int r = 0; r < rows; r++) sums[r][h] = v_fma(x[r], q[h], sums[r][h]);
    }
  } else {
    AK_UNROLL for (int r = 0; r < rows; r++) {
      AK_UNROLL for (int h = 0; h < queries; h++) sums[r][h] = v_fma(x[r], q[h], sums[r][h]);
    }
  }
}

// out[h * out_stride + r] for `queries` queries and `rows` rows. Sums run along k in whole vectors, then
// across lanes in a fixed order, so that a score does not depend on the tile that computed it.
AK_TEMPLATE void dot_tile(
  const int queries, const int rows, const ak_type type, const float *query, size_t query_stride,
  const void *const *row, size_t d, float *out, size_t out_stride) {
  const int vectors = AK_STEP_VECTORS(type);
  ak_v sums[AK_DOT_MAX_ROWS][AK_QUERIES], q[AK_QUERIES], x[AK_DOT_MAX_ROWS], scales[AK_DOT_MAX_ROWS];
  AK_UNROLL for (int r = 0; r < AK_DOT_MAX_ROWS; r++) {
    AK_UNROLL for (int h = 0; h < AK_QUERIES; h++) sums[r][h] = v_set(0);
  }
  size_t k = 0;
  for (; k + vectors * AK_LANES <= d; k += vectors * AK_LANES) {
    AK_UNROLL for (int v = 0; v < vectors; v++) {
      const size_t c = k + v * AK_LANES;
      AK_UNROLL for (int h = 0; h < queries; h++) q[h] = v_load(query + h * query_stride + c);
      AK_UNROLL for (int r = 0; r < rows; r++) x[r] = load_element(type, row[r], c, d, &scales[r], v == 0);
      dot_step(queries, rows, q, x, sums);
    }
  }
  for (; vectors > 1 && k + AK_LANES <= d; k += AK_LANES) {
    AK_UNROLL for (int h = 0; h < queries; h++) q[h] = v_load(query + h * query_stride + k);
    AK_UNROLL for (int r = 0; r < rows; r++) x[r] = load_element(type, row[r], k, d, &scales[r], 1);
    dot_step(queries, rows, q, x, sums);
  }
  if (k < d) {
    AK_UNROLL for (int h = 0; h < queries; h++) q[h] = v_load_part(query + h * query_stride + k, d - k, 0);
    AK_UNROLL for (int r = 0; r < rows; r++) x[r] = load_element_part(type, row[r], k, d);
    dot_step(queries, rows, q, x, sums);
  }
  if (rows > 2) {
    AK_UNROLL for (int h = 0; h < queries; h++) {
      float lanes[4];
      v4_store(lanes, v_reduce4(sums[0][h], sums[1][h], sums[2][h], sums[3][h]));
      memcpy(out + h * out_stride, lanes, rows * sizeof(float));
    }
  } else {
    AK_UNROLL for (int h = 0; h < queries; h += 2) {
      const int next = h + 1 < queries ? h + 1 : h;
      float lanes[4];
      v4_store(lanes, v_reduce4(sums[0][h], sums[1][h], sums[0][next], sums[1][next]));
      memcpy(out + h * out_stride, lanes, rows * sizeof(float));
      memcpy(out + next * out_stride, lanes + 2, rows * sizeof(float));
    }
  }
}

AK_TEMPLATE void dot_rows(
  const int queries, const ak_type type, const float *query, size_t query_stride, ak_rows set,
  const uint32_t *indices, size_t n, size_t d, float *out, size_t out_stride, const ak_ahead *ahead, size_t share,
  size_t shares) {
  const int rows = AK_DOT_ROWS(queries);
  const size_t bytes = row_bytes(type, d);
  const char *base = (const char *)set.data;
  size_t i = 0, fetched = 0;
  for (; i + rows <= n; i += rows) {
    const void *row[AK_DOT_MAX_ROWS];
    AK_UNROLL for (int r = 0; r < rows; r++) row[r] = base + (indices ? indices[i + r] : i + r) * set.stride;
    // Every share of the queries fetches its part of the rows, for an even stream.
    const size_t end = (i + rows) / shares;
    for (; fetched < end; fetched++) fetch_row(ahead, share * n / shares + fetched, bytes);
    dot_tile(queries, rows, type, query, query_stride, row, d, out + i, out_stride);
  }
  for (; i < n; i++) {
    const void *row[1] = {base + (indices ? indices[i] : i) * set.stride};
    dot_tile(queries, 1, type, query, query_stride, row, d, out + i, out_stride);
  }
}

static size_t query_shares(size_t m) { return (m + AK_QUERIES - 1) / AK_QUERIES; }

// The size of the next share when `shares` are left for m queries.
static size_t query_share(size_t m, size_t shares) { return (m + shares - 1) / shares; }

// Dispatches on the number of queries, in even shares of at most AK_QUERIES.
AK_TEMPLATE void dot_queries(
  const ak_type type, ak_rows_f32 queries, size_t m, ak_rows rows, const uint32_t *indices, size_t n, size_t d,
  float *out, size_t out_stride, ak_ahead ahead) {
  const size_t shares = query_shares(m);
  for (size_t share = 0, h = 0; share < shares; share++) {
    const size_t count = query_share(m - h, shares - share);
    const float *query = queries.data + h * queries.stride;
    float *target = out + h * out_stride;
#define AK_DOT_CASE(c)                                                                                            \
  case c:                                                                                                         \
    dot_rows(c, type, query, queries.stride, rows, indices, n, d, target, out_stride, &ahead, share, shares);     \
    break
    switch (count) {
      AK_DOT_CASE(1);
      AK_DOT_CASE(2);
      AK_DOT_CASE(3);
      AK_DOT_CASE(4);
      AK_DOT_CASE(5);
      AK_DOT_CASE(6);
    }
#undef AK_DOT_CASE
    h += count;
  }
}

// A function for each type, so that no compiler mixes up their registers.
#define AK_DOT_FUNCTION(name, type)                                                                               \
  static __attribute__((noinline)) void dot_block_##name(                                                         \
    ak_rows_f32 queries, size_t m, ak_rows rows, const uint32_t *indices, size_t n, size_t d, float *out,         \
    size_t out_stride, ak_ahead ahead) {                                                                          \
    if (indices)                                                                                                  \
      dot_queries(type, queries, m, rows, indices, n, d, out, out_stride, ahead);                                 \
    else                                                                                                          \
      dot_queries(type, queries, m, rows, NULL, n, d, out, out_stride, ahead);                                    \
  }
AK_DOT_FUNCTION(f16, AK_F16)
AK_DOT_FUNCTION(f32, AK_F32)
AK_DOT_FUNCTION(q8, AK_Q8)
#undef AK_DOT_FUNCTION

static void dot_block(
  ak_rows_f32 queries, size_t m, ak_rows rows, const uint32_t *indices, size_t n, size_t d, float *out,
  size_t out_stride, ak_ahead ahead) {
  switch (rows.type) {
  case AK_F16:
    dot_block_f16(queries, m, rows, indices, n, d, out, out_stride, ahead);
    break;
  case AK_F32:
    dot_block_f32(queries, m, rows, indices, n, d, out, out_stride, ahead);
    break;
  case AK_Q8:
    dot_block_q8(queries, m, rows, indices, n, d, out, out_stride, ahead);
    break;
  }
}

// Rows after which the next share of the queries has its turn, with the rows in cache.
#define AK_DOT_BLOCK 128

// Rows a pass covers: all, or a block that stays in cache for the next share of the queries.
static size_t dot_block_rows(size_t m, size_t n) { return m > AK_QUERIES ? AK_DOT_BLOCK : n; }

// The rows from number i on, to fetch.
static ak_ahead ahead_from(ak_rows rows, const uint32_t *indices, size_t i, size_t count) {
  if (indices) return (ak_ahead){(const char *)rows.data, rows.stride, indices + i, count};
  return (ak_ahead){(const char *)rows.data + i * rows.stride, rows.stride, NULL, count};
}

// The rows to fetch during a block from row i: those AK_AHEAD_BYTES ahead of it, or the next block.
static ak_ahead ahead_of(ak_rows rows, const uint32_t *indices, size_t d, size_t m, size_t i, size_t n) {
  const size_t first =
    i + (m > AK_QUERIES ? AK_DOT_BLOCK : ak_max(4, AK_AHEAD_BYTES / row_bytes(rows.type, d)));
  return first < n ? ahead_from(rows, indices, first, n - first) : (ak_ahead){0};
}

static void AK_FN(dot)(
  ak_rows_f32 queries, size_t m, ak_rows rows, const uint32_t *indices, size_t n, size_t d, float *out,
  size_t out_stride) {
  const size_t block = dot_block_rows(m, n);
  for (size_t i = 0; i < n; i += block) {
    dot_block(
      queries, m, indices ? rows : ak_rows_from(rows, i), indices ? indices + i : NULL, ak_min(block, n - i), d,
      out + i, out_stride, ahead_of(rows, indices, d, m, i, n));
  }
}

static void AK_FN(quantize_f16)(
  const uint16_t *source, size_t source_stride, size_t n, size_t d, const float *offsets, void *target,
  size_t target_stride) {
  enum { vectors = AK_Q8_BLOCK / AK_LANES };
  // The last block is filled up with zeros.
  for (size_t i = 0; i < n; i++) {
    int8_t *codes = (int8_t *)target + i * target_stride;
    if (d % 2) codes[d] = 0;
    for (size_t first = 0; first < d; first += AK_Q8_BLOCK) {
      const size_t count = ak_min(AK_Q8_BLOCK, d - first);
      const uint16_t *row = source + i * source_stride + first;
      ak_v x[vectors], largest = v_set(0);
      AK_UNROLL for (int v = 0; v < vectors; v++) {
        const size_t c = v * AK_LANES, rest = count > c ? count - c : 0;
        x[v] = rest >= AK_LANES ? v_load_f16(row + c) : v_load_f16_part(row + c, rest);
        if (offsets && rest >= AK_LANES) x[v] = v_sub(x[v], v_load(offsets + first + c));
        if (offsets && rest < AK_LANES) x[v] = v_sub(x[v], v_load_part(offsets + first + c, rest, 0));
        largest = v_max(largest, v_max(x[v], v_sub(v_set(0), x[v])));
      }
      const ak_v inverse = v_set(ak_q8_store_scale(codes, d, first, v_highest(largest)));
      int8_t block[AK_Q8_BLOCK];
      AK_UNROLL for (int v = 0; v < vectors; v++) {
        const ak_v y = v_min(v_max(v_mul(x[v], inverse), v_set(-127)), v_set(127));
        v_store_i8(block + v * AK_LANES, y);
      }
      memcpy(codes + first, block, count);
    }
  }
}

static void AK_FN(unpack)(ak_rows rows, size_t n, size_t d, float *target, size_t target_stride) {
  for (size_t i = 0; i < n; i++) {
    const void *row = (const char *)rows.data + i * rows.stride;
    float *out = target + i * target_stride;
    size_t k = 0;
    if (rows.type == AK_F16) {
      AK_FN(convert_f16_to_f32)((const uint16_t *)row, out, d);
      continue;
    }
    if (rows.type == AK_F32) {
      memcpy(out, row, d * sizeof(float));
      continue;
    }
    ak_v scale = v_set(0);
    for (; k + AK_LANES <= d; k += AK_LANES) {
      v_store(out + k, load_element(AK_Q8, row, k, d, &scale, 1));
    }
    if (k < d) v_store_part(out + k, d - k, load_element_part(AK_Q8, row, k, d));
  }
}
