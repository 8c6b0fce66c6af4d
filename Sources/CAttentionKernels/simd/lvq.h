// Template: scores with rows of scalar codes (LVQ), whole blocks at a time.

#define AK_LVQ_VECTORS (AK_LVQ_BLOCK / AK_LANES)  // of a line
#define AK_LVQ_MAX_BLOCKS 4

// Sums of 4-bit codes below 16 with integers to 127 are below 15 * 127 * 2 in a 16-bit pair, two pairs a line:
// four lines stay below 2^15.
#define AK_LVQ4_LINES 4

// sums[b][h][v] = integers of query h . codes of the rows of vector v of block b, 8 bits a code.
AK_TEMPLATE void lvq8_sums(
  const int queries, const int blocks, const char *query, size_t query_stride, const uint8_t *block,
  size_t block_bytes, ak_i sums[AK_LVQ_MAX_BLOCKS][AK_LVQ_QUERIES][AK_LVQ_VECTORS]) {
  for (size_t line = 64; line < block_bytes; line += 64, query += 8) {
    AK_UNROLL for (int b = 0; b < blocks; b++) {
      AK_UNROLL for (int v = 0; v < AK_LVQ_VECTORS; v++) {
        const ak_i codes = i_load(block + b * block_bytes + line + v * 4 * AK_LANES);
        const ak_i even = i_even_bytes(codes), odd = i_odd_bytes(codes);
        AK_UNROLL for (int h = 0; h < queries; h++) {
          sums[b][h][v] = i_dot16(sums[b][h][v], even, i_load_lane(query + h * query_stride));
          sums[b][h][v] = i_dot16(sums[b][h][v], odd, i_load_lane(query + h * query_stride + 4));
        }
      }
    }
  }
}

AK_TEMPLATE void lvq4_lines(
  const int queries, const int blocks, const char *query, size_t query_stride, const uint8_t *block,
  size_t block_bytes, size_t line, size_t end,
  ak_i sums[AK_LVQ_MAX_BLOCKS][AK_LVQ_QUERIES][AK_LVQ_VECTORS]) {
  ak_i parts[AK_LVQ_MAX_BLOCKS][AK_LVQ_QUERIES][AK_LVQ_VECTORS];
  AK_UNROLL for (int b = 0; b < blocks; b++) {
    AK_UNROLL for (int h = 0; h < queries; h++) {
      AK_UNROLL for (int v = 0; v < AK_LVQ_VECTORS; v++) parts[b][h][v] = i_zero();
    }
  }
  for (; line < end; line += 64, query += 8) {
    AK_UNROLL for (int b = 0; b < blocks; b++) {
      AK_UNROLL for (int v = 0; v < AK_LVQ_VECTORS; v++) {
        const ak_i codes = i_load(block + b * block_bytes + line + v * 4 * AK_LANES);
        const ak_i low = i_low_halves(codes), high = i_high_halves(codes);
        AK_UNROLL for (int h = 0; h < queries; h++) {
          parts[b][h][v] = i_dot8(parts[b][h][v], low, i_load_lane(query + h * query_stride));
          parts[b][h][v] = i_dot8(parts[b][h][v], high, i_load_lane(query + h * query_stride + 4));
        }
      }
    }
  }
  AK_UNROLL for (int b = 0; b < blocks; b++) {
    AK_UNROLL for (int h = 0; h < queries; h++) {
      AK_UNROLL for (int v = 0; v < AK_LVQ_VECTORS; v++) {
        sums[b][h][v] = i_widen(sums[b][h][v], parts[b][h][v]);
      }
    }
  }
}

// The same for 4 bits a code.
AK_TEMPLATE void lvq4_sums(
  const int queries, const int blocks, const char *query, size_t query_stride, const uint8_t *block,
  size_t block_bytes, ak_i sums[AK_LVQ_MAX_BLOCKS][AK_LVQ_QUERIES][AK_LVQ_VECTORS]) {
  for (size_t line = 64; line < block_bytes; line += AK_LVQ4_LINES * 64, query += AK_LVQ4_LINES * 8) {
    const size_t end = ak_min(line + AK_LVQ4_LINES * 64, block_bytes);
    lvq4_lines(queries, blocks, query, query_stride, block, block_bytes, line, end, sums);
  }
}

// out[h * out_stride + i] for the rows of `blocks` blocks and `queries` queries from number `first_query`.
AK_TEMPLATE void lvq_tile(
  const int queries, const int blocks, const int bits, ak_code_queries set, size_t first_query,
  const uint8_t *block, size_t block_bytes, float *out, size_t out_stride) {
  ak_i sums[AK_LVQ_MAX_BLOCKS][AK_LVQ_QUERIES][AK_LVQ_VECTORS];
  AK_UNROLL for (int b = 0; b < blocks; b++) {
    AK_UNROLL for (int h = 0; h < queries; h++) {
      AK_UNROLL for (int v = 0; v < AK_LVQ_VECTORS; v++) sums[b][h][v] = i_zero();
    }
  }
  const char *query = (const char *)set.data + first_query * set.stride;
  if (bits == 8) {
    lvq8_sums(queries, blocks, query, set.stride, block, block_bytes, sums);
  } else {
    lvq4_sums(queries, blocks, query, set.stride, block, block_bytes, sums);
  }
  AK_UNROLL for (int b = 0; b < blocks; b++) {
    const uint16_t *header = (const uint16_t *)(const void *)(block + b * block_bytes);
    AK_UNROLL for (int v = 0; v < AK_LVQ_VECTORS; v++) {
      const ak_v scale = v_load_f16(header + v * AK_LANES);
      const ak_v offset = v_load_f16(header + AK_LVQ_BLOCK + v * AK_LANES);
      AK_UNROLL for (int h = 0; h < queries; h++) {
        const ak_v step = v_mul(v_set(set.scales[first_query + h]), scale);
        ak_v score = v_fma(step, i_to_float(sums[b][h][v]), v_set(set.bases[first_query + h]));
        score = v_fma(v_set(set.sums[first_query + h]), offset, score);
        v_store(out + h * out_stride + b * AK_LVQ_BLOCK + v * AK_LANES, score);
      }
    }
  }
}

// Rows first ..< first + n for `queries` queries; blocks of which only a part is wanted go by way of the stack.
AK_TEMPLATE void lvq_rows(
  const int queries, const int bits, ak_code_queries set, size_t first_query, const uint8_t *blocks,
  size_t block_bytes, size_t first, size_t n, float *out, size_t out_stride) {
  // Enough sums in work to hide the latency of one, as far as the registers go.
  const int tile = AK_LVQ_VECTORS > 1 ? 1 : queries == 1 ? 4 : queries <= 3 ? 2 : 1;
  for (size_t i = 0; i < n;) {
    const size_t row = (first + i) % AK_LVQ_BLOCK;
    const uint8_t *block = blocks + (first + i) / AK_LVQ_BLOCK * block_bytes;
    if (row == 0 && i + tile * AK_LVQ_BLOCK <= n) {
      lvq_tile(queries, tile, bits, set, first_query, block, block_bytes, out + i, out_stride);
      i += tile * AK_LVQ_BLOCK;
    } else {
      float scores[AK_LVQ_QUERIES][AK_LVQ_BLOCK];
      lvq_tile(queries, 1, bits, set, first_query, block, block_bytes, scores[0], AK_LVQ_BLOCK);
      const size_t count = ak_min(AK_LVQ_BLOCK - row, n - i);
      for (int h = 0; h < queries; h++) {
        memcpy(out + h * out_stride + i, scores[h] + row, count * sizeof(float));
      }
      i += count;
    }
  }
}

// A function for each number of queries, so that no compiler mixes up their registers. Numbers above the level's
// AK_LVQ_QUERIES are never asked for.
typedef void (*lvq_function)(ak_code_queries, size_t, const uint8_t *, size_t, size_t, size_t, float *, size_t);
#define AK_LVQ_FUNCTION(bits, queries)                                                                   \
  static __attribute__((noinline)) void lvq##bits##_rows_##queries(                                      \
    ak_code_queries set, size_t first_query, const uint8_t *blocks, size_t block_bytes, size_t first,    \
    size_t n, float *out, size_t out_stride) {                                                           \
    lvq_rows(                                                                                            \
      queries <= AK_LVQ_QUERIES ? queries : AK_LVQ_QUERIES, bits, set, first_query, blocks, block_bytes, \
      first, n, out, out_stride);                                                                        \
  }
#define AK_LVQ_FUNCTIONS(bits)                                                          \
  AK_LVQ_FUNCTION(bits, 1)                                                              \
  AK_LVQ_FUNCTION(bits, 2)                                                              \
  AK_LVQ_FUNCTION(bits, 3)                                                              \
  AK_LVQ_FUNCTION(bits, 4)                                                              \
  AK_LVQ_FUNCTION(bits, 5)                                                              \
  AK_LVQ_FUNCTION(bits, 6)                                                              \
  static const lvq_function lvq##bits##_functions[6] = {                                \
    lvq##bits##_rows_1, lvq##bits##_rows_2, lvq##bits##_rows_3, lvq##bits##_rows_4,     \
    lvq##bits##_rows_5, lvq##bits##_rows_6};
AK_LVQ_FUNCTIONS(8)
AK_LVQ_FUNCTIONS(4)
#undef AK_LVQ_FUNCTIONS
#undef AK_LVQ_FUNCTION

// Passes over the rows in even shares of the queries.
static void lvq_queries(
  const lvq_function *functions, ak_code_queries queries, size_t m, const uint8_t *blocks, size_t block_bytes,
  size_t first, size_t n, float *out, size_t out_stride) {
  size_t shares = (m + AK_LVQ_QUERIES - 1) / AK_LVQ_QUERIES;
  for (size_t h = 0; h < m; shares--) {
    const size_t count = query_share(m - h, shares);
    functions[count - 1](queries, h, blocks, block_bytes, first, n, out + h * out_stride, out_stride);
    h += count;
  }
}

static void lvq_scan(
  const lvq_function *functions, ak_code_queries queries, size_t m, const uint8_t *blocks, size_t block_bytes,
  size_t first, size_t n, float *out, size_t out_stride) {
  for (size_t i = 0; i < n;) {
    const size_t count = ak_min(AK_CODE_ROWS - (first + i) % AK_LVQ_BLOCK, n - i);
    lvq_queries(functions, queries, m, blocks, block_bytes, first + i, count, out + i, out_stride);
    i += count;
  }
}

static void AK_FN(dot_lvq8)(
  ak_code_queries queries, size_t m, const uint8_t *blocks, size_t d, size_t first, size_t n, float *out,
  size_t out_stride) {
  lvq_scan(lvq8_functions, queries, m, blocks, ak_lvq8_block_bytes(d), first, n, out, out_stride);
}

static void AK_FN(dot_lvq4)(
  ak_code_queries queries, size_t m, const uint8_t *blocks, size_t d, size_t first, size_t n, float *out,
  size_t out_stride) {
  lvq_scan(lvq4_functions, queries, m, blocks, ak_lvq4_block_bytes(d), first, n, out, out_stride);
}
