// Template: scores with product codes, tables for them, and picking the high scores.

#define AK_PQ_VECTORS (64 / (4 * AK_LANES))  // of a line: the codes of four subquantizers

// Adds the table entries of `lines` lines of codes to sums of 16 bits: whole elements, in which the odd bytes come in
// 256-fold and are taken out at the end (all of it modulo 2^16), and the odd bytes alone. Within the group, entries are
// added as bytes, which their tables allow.
AK_TEMPLATE void pq_group(
  const int queries, const int lines, const char *tables, size_t table_stride, const uint8_t *block,
  ak_i all[AK_PQ_QUERIES][2], ak_i odd[AK_PQ_QUERIES][2]) {
  AK_UNROLL for (int v = 0; v < AK_PQ_VECTORS; v++) {
    // Half by half: the indices of both would not fit the registers of AVX2.
    AK_UNROLL for (int half = 0; half < 2; half++) {
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
        all[h][half] = i_add16(all[h][half], entries);
        odd[h][half] = i_add16(odd[h][half], i_odd_bytes(entries));
      }
    }
  }
}

// totals[h][i] = the sum of the table entries of query h for row i of a block.
AK_TEMPLATE void pq_block(
  const int queries, const char *tables, size_t table_stride, const uint8_t *block, size_t block_bytes,
  uint16_t (*totals)[AK_CODE_ROWS]) {
  ak_i all[AK_PQ_QUERIES][2], odd[AK_PQ_QUERIES][2];
  AK_UNROLL for (int h = 0; h < queries; h++) {
    AK_UNROLL for (int half = 0; half < 2; half++) all[h][half] = odd[h][half] = i_zero();
  }
  size_t line = 0;
  for (; line + 256 <= block_bytes; line += 256) {
    pq_group(queries, 4, tables + line, table_stride, block + line, all, odd);
  }
  for (; line < block_bytes; line += 64) {
    pq_group(queries, 1, tables + line, table_stride, block + line, all, odd);
  }
  AK_UNROLL for (int h = 0; h < queries; h++) {
    AK_UNROLL for (int half = 0; half < 2; half++) {
      const ak_i even = i_remove_odd(all[h][half], odd[h][half]);
      i_fold_zip16(totals[h] + half * 16, even, odd[h][half]);
    }
  }
}

AK_TEMPLATE void pq_rows(
  const int queries, ak_code_queries set, size_t first_query, const uint8_t *blocks, size_t block_bytes,
  size_t first, size_t n, float *out, size_t out_stride) {
  uint16_t totals[AK_PQ_QUERIES][AK_CODE_ROWS];
  const char *tables = (const char *)set.data + first_query * set.stride;
  const size_t begin = first % AK_PQ_BLOCK;
  const uint8_t *block = blocks + first / AK_PQ_BLOCK * block_bytes;
  for (size_t i = 0; i < begin + n; i += AK_PQ_BLOCK, block += block_bytes) {
    pq_block(queries, tables, set.stride, block, block_bytes, (uint16_t(*)[AK_CODE_ROWS])(totals[0] + i));
  }
  for (int h = 0; h < queries; h++) {
    const uint16_t *total = totals[h] + begin;
    const float base = set.bases[first_query + h], scale = set.scales[first_query + h];
    float *target = out + h * out_stride;
    size_t i = 0;
    for (; i + AK_LANES <= n; i += AK_LANES) {
      v_store(target + i, v_fma(v_set(scale), v_load_u16(total + i), v_set(base)));
    }
    for (; i < n; i++) target[i] = base + scale * (float)total[i];
  }
}

static __attribute__((noinline)) void pq_queries(
  size_t queries, ak_code_queries set, size_t first_query, const uint8_t *blocks, size_t block_bytes,
  size_t first, size_t n, float *out, size_t out_stride) {
  switch (queries) {
  case 1:
    pq_rows(1, set, first_query, blocks, block_bytes, first, n, out, out_stride);
    break;
  case 2:
    pq_rows(2, set, first_query, blocks, block_bytes, first, n, out, out_stride);
    break;
#if AK_PQ_QUERIES > 2
  case 3:
    pq_rows(3, set, first_query, blocks, block_bytes, first, n, out, out_stride);
    break;
  case 4:
    pq_rows(4, set, first_query, blocks, block_bytes, first, n, out, out_stride);
    break;
#endif
  }
}

static void AK_FN(dot_pq4)(
  ak_code_queries queries, size_t m, const uint8_t *blocks, size_t subquantizers, size_t first, size_t n,
  float *out, size_t out_stride) {
  const size_t block_bytes = ak_pq4_block_bytes(subquantizers);
  for (size_t i = 0; i < n;) {
    const size_t count = ak_min(AK_CODE_ROWS - (first + i) % AK_PQ_BLOCK, n - i);
    size_t shares = (m + AK_PQ_QUERIES - 1) / AK_PQ_QUERIES;
    for (size_t h = 0; h < m; shares--) {
      const size_t share = query_share(m - h, shares);
      pq_queries(
        share, queries, h, blocks, block_bytes, first + i, count, out + h * out_stride + i, out_stride);
      h += share;
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
