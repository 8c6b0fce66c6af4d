// Template: dot products of m queries with n rows, contiguous or gathered.

typedef enum { AK_ELEMENT_F16, AK_ELEMENT_F32 } ak_element;

// Rows to ask the cache for while others are computed: `count` rows, number i while row i is computed.
typedef struct ak_ahead {
  const char *base;
  size_t stride;  // bytes
  const uint32_t *indices;
  size_t count;
} ak_ahead;

// A row two kilobytes ahead covers the latency of memory at one core's bandwidth (15 B/ns * 100 ns = 1.5 KB).
#define AK_AHEAD_BYTES 2048

AK_TEMPLATE const char *ahead_row(const ak_ahead *ahead, size_t i) {
  return ahead->base + (ahead->indices ? ahead->indices[i] : i) * ahead->stride;
}

AK_TEMPLATE ak_v load_element(const ak_element element, const void *row, size_t k) {
  return element == AK_ELEMENT_F16 ? v_load_f16((const uint16_t *)row + k) : v_load((const float *)row + k);
}

AK_TEMPLATE ak_v load_element_part(const ak_element element, const void *row, size_t k, size_t count) {
  return element == AK_ELEMENT_F16 ? v_load_f16_part((const uint16_t *)row + k, count)
                                   : v_load_part((const float *)row + k, count, 0);
}

// out[h * out_stride + r] for `queries` queries and `rows` (1, 2 or 4) rows. Sums run along k in whole vectors,
// then across lanes in a fixed order, so that a score does not depend on the tile that computed it.
AK_TEMPLATE void dot_tile(
  const int queries, const int rows, const ak_element element, const float *query, size_t query_stride,
  const void *const *row, size_t d, float *out, size_t out_stride) {
  ak_v sums[4][6];
  AK_UNROLL for (int r = 0; r < rows; r++) {
    AK_UNROLL for (int h = 0; h < queries; h++) sums[r][h] = v_set(0);
  }
  size_t k = 0;
  for (; k + AK_LANES <= d; k += AK_LANES) {
    ak_v q[6];
    AK_UNROLL for (int h = 0; h < queries; h++) q[h] = v_load(query + h * query_stride + k);
    AK_UNROLL for (int r = 0; r < rows; r++) {
      const ak_v x = load_element(element, row[r], k);
      AK_UNROLL for (int h = 0; h < queries; h++) sums[r][h] = v_fma(x, q[h], sums[r][h]);
    }
  }
  if (k < d) {
    ak_v q[6];
    AK_UNROLL for (int h = 0; h < queries; h++) q[h] = v_load_part(query + h * query_stride + k, d - k, 0);
    AK_UNROLL for (int r = 0; r < rows; r++) {
      const ak_v x = load_element_part(element, row[r], k, d - k);
      AK_UNROLL for (int h = 0; h < queries; h++) sums[r][h] = v_fma(x, q[h], sums[r][h]);
    }
  }

  const ak_v zero = v_set(0);
  if (rows == 4) {
    AK_UNROLL for (int h = 0; h < queries; h++) {
      const ak_v4 s = v_reduce4(sums[0][h], sums[1][h], sums[2][h], sums[3][h]);
      memcpy(out + h * out_stride, &s, 4 * sizeof(float));
    }
  } else {
    AK_UNROLL for (int h = 0; h < queries; h += 2) {
      const int last = h + 1 == queries;
      const ak_v4 s = v_reduce4(
        sums[0][h], rows == 2 ? sums[1][h] : zero, last ? zero : sums[0][h + 1],
        rows == 2 && !last ? sums[1][h + 1] : zero);
      float lanes[4];
      memcpy(lanes, &s, sizeof lanes);
      memcpy(out + h * out_stride, lanes, rows * sizeof(float));
      if (!last) memcpy(out + (h + 1) * out_stride, lanes + 2, rows * sizeof(float));
    }
  }
}

AK_TEMPLATE void dot_rows(
  const int queries, const ak_element element, const float *query, size_t query_stride, const char *base,
  size_t stride, const uint32_t *indices, size_t n, size_t d, float *out, size_t out_stride,
  const ak_ahead *ahead) {
  enum { tall = 4, low = 2 };
  const int rows = queries <= AK_DOT_TALL ? tall : low;
  const size_t bytes = d * (element == AK_ELEMENT_F16 ? 2 : 4);
  size_t i = 0;
  for (; i + rows <= n; i += rows) {
    const void *row[tall];
    AK_UNROLL for (int r = 0; r < rows; r++) row[r] = base + (indices ? indices[i + r] : i + r) * stride;
    if (i + rows <= ahead->count) {
      AK_UNROLL for (int r = 0; r < rows; r++) {
        const char *next = ahead_row(ahead, i + r);
        for (size_t b = 0; b < bytes; b += AK_CACHE_LINE) __builtin_prefetch(next + b, 0, 3);
      }
    }
    dot_tile(queries, rows, element, query, query_stride, row, d, out + i, out_stride);
  }
  for (; i < n; i++) {
    const void *row[1] = {base + (indices ? indices[i] : i) * stride};
    dot_tile(queries, 1, element, query, query_stride, row, d, out + i, out_stride);
  }
}

// Dispatches on the number of queries, in even shares of at most 6.
AK_TEMPLATE void dot_queries(
  const ak_element element, const int gather, ak_rows_f32 queries, size_t m, const char *base, size_t stride,
  const uint32_t *indices, size_t n, size_t d, float *out, size_t out_stride, ak_ahead ahead) {
  const uint32_t *list = gather ? indices : NULL;
  size_t shares = (m + 5) / 6;
  for (size_t h = 0; h < m; shares--) {
    const size_t count = (m - h + shares - 1) / shares;
    const float *query = queries.data + h * queries.stride;
    float *target = out + h * out_stride;
#define AK_DOT_CASE(c)                                                                                            \
  case c:                                                                                                         \
    dot_rows(c, element, query, queries.stride, base, stride, list, n, d, target, out_stride, &ahead);            \
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
    ahead.count = 0;
  }
}

// One pass over at most AK_DOT_BLOCK rows, which stay in cache for the next share of queries.
#define AK_DOT_BLOCK 64

static void dot_block_f16(
  ak_rows_f32 queries, size_t m, ak_rows_f16 rows, size_t n, size_t d, float *out, size_t out_stride,
  ak_ahead ahead) {
  dot_queries(
    AK_ELEMENT_F16, 0, queries, m, (const char *)rows.data, rows.stride * 2, NULL, n, d, out, out_stride, ahead);
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
    AK_ELEMENT_F32, 0, queries, m, (const char *)rows.data, rows.stride * 4, NULL, n, d, out, out_stride, ahead);
}

// The rows that follow row `i` at the distance AK_AHEAD_BYTES.
static ak_ahead ahead_of(const void *data, size_t stride, const uint32_t *indices, size_t row_bytes, size_t i, size_t n) {
  const size_t first = i + ak_max(4, AK_AHEAD_BYTES / row_bytes);
  if (first >= n) return (ak_ahead){0};
  if (indices) return (ak_ahead){(const char *)data, stride, indices + first, n - first};
  return (ak_ahead){(const char *)data + first * stride, stride, NULL, n - first};
}

static void AK_FN(dot_f16)(
  ak_rows_f32 queries, size_t m, ak_rows_f16 rows, size_t n, size_t d, float *out, size_t out_stride) {
  const size_t block = m > 6 ? AK_DOT_BLOCK : n;
  for (size_t i = 0; i < n; i += block) {
    const ak_ahead ahead = ahead_of(rows.data, rows.stride * 2, NULL, d * 2, i, n);
    const ak_rows_f16 part = {rows.data + i * rows.stride, rows.stride};
    dot_block_f16(queries, m, part, ak_min(block, n - i), d, out + i, out_stride, ahead);
  }
}

static void AK_FN(dot_f32)(
  ak_rows_f32 queries, size_t m, ak_rows_f32 rows, size_t n, size_t d, float *out, size_t out_stride) {
  const size_t block = m > 6 ? AK_DOT_BLOCK : n;
  for (size_t i = 0; i < n; i += block) {
    const ak_ahead ahead = ahead_of(rows.data, rows.stride * 4, NULL, d * 4, i, n);
    const ak_rows_f32 part = {rows.data + i * rows.stride, rows.stride};
    dot_block_f32(queries, m, part, ak_min(block, n - i), d, out + i, out_stride, ahead);
  }
}

static void AK_FN(dot_gather_f16)(
  ak_rows_f32 queries, size_t m, ak_rows_f16 rows, const uint32_t *indices, size_t n, size_t d, float *out,
  size_t out_stride) {
  const size_t block = m > 6 ? AK_DOT_BLOCK : n;
  for (size_t i = 0; i < n; i += block) {
    const ak_ahead ahead = ahead_of(rows.data, rows.stride * 2, indices + i, d * 2, 0, n - i);
    dot_block_gather_f16(queries, m, rows, indices + i, ak_min(block, n - i), d, out + i, out_stride, ahead);
  }
}
