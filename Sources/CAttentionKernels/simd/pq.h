// Template: scores with product codes, tables for them, and what coded keys weigh.

#define AK_PQ_VECTORS (64 / (4 * AK_LANES))  // of a line: the codes of four subquantizers

// Adds the table entries of `lines` lines of codes, of rows 0 to 15 of a block or of 16 to 31, to sums of 16 bits:
// whole elements, in which the odd bytes come in 256-fold and are taken out at the end (all of it modulo 2^16), and the
// odd bytes alone. Within the group, entries are added as bytes, which their tables allow.
AK_TEMPLATE void pq_group(
  const int queries, const int lines, const int half, const char *tables, size_t table_stride, const uint8_t *block,
  ak_i all[AK_PQ_QUERIES], ak_i odd[AK_PQ_QUERIES]) {
  AK_UNROLL for (int v = 0; v < AK_PQ_VECTORS; v++) {
    ak_i indices[4];
    AK_UNROLL for (int l = 0; l < lines; l++) {
      const ak_i codes = i_load(block + l * 64 + v * 4 * AK_LANES);
      indices[l] = half ? i_high_halves(codes) : i_low_halves(codes);
    }
    AK_UNROLL for (int h = 0; h < queries; h++) {
      const char *table = tables + h * table_stride + v * 4 * AK_LANES;
      ak_i entries = i_look_up(i_load(table), indices[0]);
      AK_UNROLL for (int l = 1; l < lines; l++) {
        entries = i_add8(entries, i_look_up(i_load(table + l * 64), indices[l]));
      }
      all[h] = i_add16(all[h], entries);
      odd[h] = i_add16(odd[h], i_odd_bytes(entries));
    }
  }
}

// Room for the sums of the rows of a scan, with a vector more.
#define AK_PQ_TOTALS (AK_CODE_ROWS + AK_PQ_BLOCK)

// totals[h][i] = the sum of the table entries of query h for row i of a block. One half after the other: the sums of
// both would not leave registers for six queries.
AK_TEMPLATE void pq_block(
  const int queries, const char *tables, size_t table_stride, const uint8_t *block, size_t block_bytes,
  uint16_t (*totals)[AK_PQ_TOTALS]) {
  AK_UNROLL for (int half = 0; half < 2; half++) {
    ak_i all[AK_PQ_QUERIES], odd[AK_PQ_QUERIES];
    AK_UNROLL for (int h = 0; h < queries; h++) all[h] = odd[h] = i_zero();
    size_t line = 0;
    for (; line + 256 <= block_bytes; line += 256) {
      pq_group(queries, 4, half, tables + line, table_stride, block + line, all, odd);
    }
    for (; line < block_bytes; line += 64) {
      pq_group(queries, 1, half, tables + line, table_stride, block + line, all, odd);
    }
    AK_UNROLL for (int h = 0; h < queries; h++) {
      i_fold_zip16(totals[h] + half * 16, i_remove_odd(all[h], odd[h]), odd[h]);
    }
  }
}

// The codes of lists that come next, those from `next` to `end` and then those of lists.selected[list] and so on: lists
// are short and lie anywhere, so that otherwise most of the time would go into waiting for the first codes of each.
typedef struct ak_coming {
  const uint8_t *blocks, *next, *end;
  ak_lists lists;
  size_t list;
} ak_coming;

// Asks for as many bytes of them.
static inline void fetch_codes(ak_coming *coming, size_t bytes, size_t block_bytes) {
  for (size_t i = 0; i < bytes; i += AK_CACHE_LINE, coming->next += AK_CACHE_LINE) {
    while (coming->next >= coming->end) {
      if (coming->list >= coming->lists.count) return;
      const size_t c = coming->lists.selected[coming->list++];
      coming->next = coming->blocks + coming->lists.begins[c] / AK_PQ_BLOCK * block_bytes;
      coming->end = coming->blocks + (coming->lists.ends[c] + AK_PQ_BLOCK - 1) / AK_PQ_BLOCK * block_bytes;
    }
    __builtin_prefetch(coming->next, 0, 2);
  }
}

// A function for each number of queries, so that no compiler mixes up their registers. Numbers above the level's
// AK_PQ_QUERIES are never asked for. While a block is scanned, as much of what comes next is asked for.
typedef void (*pq_function)(
  const char *, size_t, const uint8_t *, size_t, size_t, ak_coming *, uint16_t (*)[AK_PQ_TOTALS]);
#define AK_PQ_FUNCTION(queries)                                                                                \
  static __attribute__((noinline)) void pq_blocks_##queries(                                                   \
    const char *tables, size_t table_stride, const uint8_t *block, size_t block_bytes, size_t n,               \
    ak_coming *coming, uint16_t (*totals)[AK_PQ_TOTALS]) {                                                     \
    for (size_t i = 0; i < n; i += AK_PQ_BLOCK, block += block_bytes) {                                        \
      if (coming) fetch_codes(coming, block_bytes, block_bytes);                                               \
      pq_block(                                                                                                \
        queries <= AK_PQ_QUERIES ? queries : AK_PQ_QUERIES, tables, table_stride, block, block_bytes,          \
        (uint16_t(*)[AK_PQ_TOTALS])(totals[0] + i));                                                           \
    }                                                                                                          \
  }
AK_PQ_FUNCTION(1)
AK_PQ_FUNCTION(2)
AK_PQ_FUNCTION(3)
AK_PQ_FUNCTION(4)
AK_PQ_FUNCTION(5)
AK_PQ_FUNCTION(6)
#undef AK_PQ_FUNCTION

// totals[h][i] for the n rows from the start of the block of row `first`, up to its end; answers where `first` is.
static size_t pq_totals(
  size_t queries, ak_code_queries set, size_t first_query, const uint8_t *blocks, size_t block_bytes, size_t first,
  size_t n, ak_coming *coming, uint16_t (*totals)[AK_PQ_TOTALS]) {
  static const pq_function functions[6] = {pq_blocks_1, pq_blocks_2, pq_blocks_3,
                                           pq_blocks_4, pq_blocks_5, pq_blocks_6};
  const size_t begin = first % AK_PQ_BLOCK;
  functions[queries - 1](
    (const char *)set.data + first_query * set.stride, set.stride, blocks + first / AK_PQ_BLOCK * block_bytes,
    block_bytes, begin + n, coming, totals);
  return begin;
}

// The most rows from row `first` on that a scan takes at once.
static size_t pq_scan_rows(size_t first, size_t n) { return ak_min(AK_CODE_ROWS - first % AK_PQ_BLOCK, n); }

static size_t pq_shares(size_t m) { return (m + AK_PQ_QUERIES - 1) / AK_PQ_QUERIES; }

static void AK_FN(dot_pq4)(
  ak_code_queries queries, size_t m, const uint8_t *blocks, size_t subquantizers, size_t first, size_t n,
  float *out, size_t out_stride) {
  const size_t block_bytes = ak_pq4_block_bytes(subquantizers);
  uint16_t totals[AK_PQ_QUERIES][AK_PQ_TOTALS];
  for (size_t i = 0; i < n;) {
    const size_t count = pq_scan_rows(first + i, n - i);
    size_t shares = pq_shares(m);
    for (size_t h = 0; h < m; shares--) {
      const size_t share = query_share(m - h, shares);
      const size_t begin = pq_totals(share, queries, h, blocks, block_bytes, first + i, count, NULL, totals);
      for (size_t s = 0; s < share; s++, h++) {
        const uint16_t *total = totals[s] + begin;
        const ak_v base = v_set(queries.bases[h]), scale = v_set(queries.scales[h]);
        float *target = out + h * out_stride + i;
        size_t j = 0;
        for (; j + AK_LANES <= count; j += AK_LANES) {
          v_store(target + j, v_fma(scale, v_load_u16(total + j), base));
        }
        if (j < count) v_store_part(target + j, count - j, v_fma(scale, v_load_u16(total + j), base));
      }
    }
    i += count;
  }
}

#define AK_TABLE_VECTORS (16 / AK_LANES)

static void AK_FN(pq4_tables)(
  const float *query, const uint32_t *coordinates, const uint32_t *starts, const float *entries,
  size_t codebooks, uint8_t *tables, float *scale, float *base, float *scratch) {
  float *ranges = scratch + 16 * codebooks;
  float bases = 0;
  for (size_t s = 0; s < codebooks; s++) {
    ak_v products[AK_TABLE_VECTORS];
    AK_UNROLL for (int v = 0; v < AK_TABLE_VECTORS; v++) products[v] = v_set(0);
    for (size_t j = starts[s]; j < starts[s + 1]; j++) {
      const ak_v factor = v_set(query[coordinates[j]]);
      AK_UNROLL for (int v = 0; v < AK_TABLE_VECTORS; v++) {
        products[v] = v_fma(factor, v_load(entries + 16 * j + v * AK_LANES), products[v]);
      }
    }
    ak_v least = products[0], most = products[0];
    AK_UNROLL for (int v = 1; v < AK_TABLE_VECTORS; v++) {
      least = v_min(least, products[v]);
      most = v_max(most, products[v]);
    }
    const float lowest = -v_highest(v_sub(v_set(0), least));
    ranges[s] = v_highest(most) - lowest;
    AK_UNROLL for (int v = 0; v < AK_TABLE_VECTORS; v++) {
      v_store(scratch + 16 * s + v * AK_LANES, v_sub(products[v], v_set(lowest)));
    }
    bases += lowest;
  }
  *base += bases;
  ak_round_tables(scratch, ranges, codebooks, tables, scale);
}

// Rows are the lanes; numbers of words travel as f32.
static void AK_FN(nearest_words)(
  const float *x, const float *y, size_t n, const float *words, uint8_t *codes) {
  for (size_t i = 0; i < n; i += AK_LANES) {
    const ak_v a = v_load(x + i), b = v_load(y + i);
    ak_v least = v_set(INFINITY), number = v_set(0);
    for (size_t j = 0; j < 16; j++) {
      const ak_v dx = v_sub(a, v_set(words[j])), dy = v_sub(b, v_set(words[16 + j]));
      const ak_v distance = v_fma(dx, dx, v_mul(dy, dy));
      number = v_if_greater(least, distance, v_set((float)j), number);
      least = v_min(distance, least);
    }
    float numbers[AK_LANES];
    v_store(numbers, number);
    for (size_t l = 0; l < AK_LANES; l++) codes[i + l] = (uint8_t)numbers[l];
  }
}
