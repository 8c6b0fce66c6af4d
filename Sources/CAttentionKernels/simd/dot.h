// Template: dot products of m queries with n rows, contiguous or gathered.

typedef enum { AK_ELEMENT_F16, AK_ELEMENT_F32 } ak_element;

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
// (20 B/ns * 100 ns = 2 KB), since requests come in bursts. Half of it cost a fifth of the rate at m = 1.
#define AK_AHEAD_BYTES 8192

// Asks for `bytes` of row i, if there is such a row. Into the L2: a fetch into the L1 holds one of the few
// buffers for its misses until memory answers, which halves the rate of random rows.
AK_TEMPLATE void fetch_row(const ak_ahead *ahead, size_t i, size_t bytes) {
  if (i >= ahead->count) return;
  const char *row = ahead->base + (ahead->indices ? ahead->indices[i] : i) * ahead->stride;
  for (size_t b = 0; b < bytes; b += AK_CACHE_LINE) __builtin_prefetch(row + b, 0, 2);
}

AK_TEMPLATE ak_v load_element(const ak_element element, const void *row, size_t k) {
  return element == AK_ELEMENT_F16 ? v_load_f16((const uint16_t *)row + k) : v_load((const float *)row + k);
}

AK_TEMPLATE ak_v load_element_part(const ak_element element, const void *row, size_t k, size_t count) {
  return element == AK_ELEMENT_F16 ? v_load_f16_part((const uint16_t *)row + k, count)
                                   : v_load_part((const float *)row + k, count, 0);
}

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
  const int queries, const int rows, const ak_element element, const float *query, size_t query_stride,
  const void *const *row, size_t d, float *out, size_t out_stride) {
  ak_v sums[AK_DOT_MAX_ROWS][AK_QUERIES], q[AK_QUERIES], x[AK_DOT_MAX_ROWS];
  AK_UNROLL for (int r = 0; r < AK_DOT_MAX_ROWS; r++) {
    AK_UNROLL for (int h = 0; h < AK_QUERIES; h++) sums[r][h] = v_set(0);
  }
  size_t k = 0;
  for (; k + AK_LANES <= d; k += AK_LANES) {
    AK_UNROLL for (int h = 0; h < queries; h++) q[h] = v_load(query + h * query_stride + k);
    AK_UNROLL for (int r = 0; r < rows; r++) x[r] = load_element(element, row[r], k);
    dot_step(queries, rows, q, x, sums);
  }
  if (k < d) {
    AK_UNROLL for (int h = 0; h < queries; h++) q[h] = v_load_part(query + h * query_stride + k, d - k, 0);
    AK_UNROLL for (int r = 0; r < rows; r++) x[r] = load_element_part(element, row[r], k, d - k);
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
  const int queries, const ak_element element, const float *query, size_t query_stride, const char *base,
  size_t stride, const uint32_t *indices, size_t n, size_t d, float *out, size_t out_stride,
  const ak_ahead *ahead, size_t share, size_t shares) {
  const int rows = AK_DOT_ROWS(queries);
  const size_t bytes = d * (element == AK_ELEMENT_F16 ? 2 : 4);
  size_t i = 0, fetched = 0;
  for (; i + rows <= n; i += rows) {
    const void *row[AK_DOT_MAX_ROWS];
    AK_UNROLL for (int r = 0; r < rows; r++) row[r] = base + (indices ? indices[i + r] : i + r) * stride;
    // Every share of the queries fetches its part of the rows, for an even stream.
    const size_t end = (i + rows) / shares;
    for (; fetched < end; fetched++) fetch_row(ahead, share * n / shares + fetched, bytes);
    dot_tile(queries, rows, element, query, query_stride, row, d, out + i, out_stride);
  }
  for (; i < n; i++) {
    const void *row[1] = {base + (indices ? indices[i] : i) * stride};
    dot_tile(queries, 1, element, query, query_stride, row, d, out + i, out_stride);
  }
}

static size_t query_shares(size_t m) { return (m + AK_QUERIES - 1) / AK_QUERIES; }

// The size of the next share when `shares` are left for m queries.
static size_t query_share(size_t m, size_t shares) { return (m + shares - 1) / shares; }

// Dispatches on the number of queries, in even shares of at most AK_QUERIES.
AK_TEMPLATE void dot_queries(
  const ak_element element, const int gather, ak_rows_f32 queries, size_t m, const char *base, size_t stride,
  const uint32_t *indices, size_t n, size_t d, float *out, size_t out_stride, ak_ahead ahead) {
  const uint32_t *list = gather ? indices : NULL;
  const size_t shares = query_shares(m);
  for (size_t share = 0, h = 0; share < shares; share++) {
    const size_t count = query_share(m - h, shares - share);
    const float *query = queries.data + h * queries.stride;
    float *target = out + h * out_stride;
#define AK_DOT_CASE(c)                                                                                \
  case c:                                                                                             \
    dot_rows(                                                                                         \
      c, element, query, queries.stride, base, stride, list, n, d, target, out_stride, &ahead, share, \
      shares);                                                                                        \
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

// Rows after which the next share of the queries has its turn, with the rows in cache.
#define AK_DOT_BLOCK 128

static void dot_block_f16(
  ak_rows_f32 queries, size_t m, ak_rows_f16 rows, size_t n, size_t d, float *out, size_t out_stride,
  ak_ahead ahead) {
  dot_queries(
    AK_ELEMENT_F16, 0, queries, m, (const char *)rows.data, rows.stride * 2, NULL, n, d, out, out_stride,
    ahead);
}

static void dot_block_gather_f16(
  ak_rows_f32 queries, size_t m, ak_rows_f16 rows, const uint32_t *indices, size_t n, size_t d, float *out,
  size_t out_stride, ak_ahead ahead) {
  dot_queries(
    AK_ELEMENT_F16, 1, queries, m, (const char *)rows.data, rows.stride * 2, indices, n, d, out, out_stride,
    ahead);
}

static void dot_block_f32(
  ak_rows_f32 queries, size_t m, ak_rows_f32 rows, size_t n, size_t d, float *out, size_t out_stride,
  ak_ahead ahead) {
  dot_queries(
    AK_ELEMENT_F32, 0, queries, m, (const char *)rows.data, rows.stride * 4, NULL, n, d, out, out_stride,
    ahead);
}

// Rows a pass covers: all, or a block that stays in cache for the next share of the queries.
static size_t dot_block_rows(size_t m, size_t n) { return m > AK_QUERIES ? AK_DOT_BLOCK : n; }

// The rows to fetch during a block from row i: those AK_AHEAD_BYTES ahead of it, or the next block.
static ak_ahead ahead_of(
  const void *data, size_t stride, const uint32_t *indices, size_t row_bytes, size_t m, size_t i, size_t n) {
  const size_t first = i + (m > AK_QUERIES ? AK_DOT_BLOCK : ak_max(4, AK_AHEAD_BYTES / row_bytes));
  if (first >= n) return (ak_ahead){0};
  if (indices) return (ak_ahead){(const char *)data, stride, indices + first, n - first};
  return (ak_ahead){(const char *)data + first * stride, stride, NULL, n - first};
}

static void AK_FN(dot_f16)(
  ak_rows_f32 queries, size_t m, ak_rows_f16 rows, size_t n, size_t d, float *out, size_t out_stride) {
  const size_t block = dot_block_rows(m, n);
  for (size_t i = 0; i < n; i += block) {
    const ak_ahead ahead = ahead_of(rows.data, rows.stride * 2, NULL, d * 2, m, i, n);
    const ak_rows_f16 part = {rows.data + i * rows.stride, rows.stride};
    dot_block_f16(queries, m, part, ak_min(block, n - i), d, out + i, out_stride, ahead);
  }
}

static void AK_FN(dot_f32)(
  ak_rows_f32 queries, size_t m, ak_rows_f32 rows, size_t n, size_t d, float *out, size_t out_stride) {
  const size_t block = dot_block_rows(m, n);
  for (size_t i = 0; i < n; i += block) {
    const ak_ahead ahead = ahead_of(rows.data, rows.stride * 4, NULL, d * 4, m, i, n);
    const ak_rows_f32 part = {rows.data + i * rows.stride, rows.stride};
    dot_block_f32(queries, m, part, ak_min(block, n - i), d, out + i, out_stride, ahead);
  }
}

static void AK_FN(dot_gather_f16)(
  ak_rows_f32 queries, size_t m, ak_rows_f16 rows, const uint32_t *indices, size_t n, size_t d, float *out,
  size_t out_stride) {
  const size_t block = dot_block_rows(m, n);
  for (size_t i = 0; i < n; i += block) {
    const ak_ahead ahead = ahead_of(rows.data, rows.stride * 2, indices, d * 2, m, i, n);
    dot_block_gather_f16(queries, m, rows, indices + i, ak_min(block, n - i), d, out + i, out_stride, ahead);
  }
}
