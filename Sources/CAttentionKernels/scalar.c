// The scalar twin: every kernel in plain C, one obvious loop after another. It is the specification of the
// vector levels, the fallback, and what the tests compare with.

#include "internal.h"

static void ak_convert_f32_to_f16_scalar(const float *source, uint16_t *target, size_t count) {
  for (size_t i = 0; i < count; i++) target[i] = ak_f16_from_float(source[i]);
}

static void ak_convert_f16_to_f32_scalar(const uint16_t *source, float *target, size_t count) {
  for (size_t i = 0; i < count; i++) target[i] = ak_float_from_f16(source[i]);
}

static void ak_convert_f32_to_bf16_scalar(const float *source, uint16_t *target, size_t count) {
  for (size_t i = 0; i < count; i++) target[i] = ak_bf16_from_float(source[i]);
}

static void ak_convert_bf16_to_f32_scalar(const uint16_t *source, float *target, size_t count) {
  for (size_t i = 0; i < count; i++) target[i] = ak_float_from_bf16(source[i]);
}

static void ak_exp_f32_scalar(const float *source, float *target, size_t count) {
  for (size_t i = 0; i < count; i++) {
    const float x = source[i];
    target[i] = x < -87.336544f ? 0 : x > 88.72f ? INFINITY : expf(x);
  }
}

static void ak_log_f32_scalar(const float *source, float *target, size_t count) {
  for (size_t i = 0; i < count; i++) target[i] = source[i] >= 0x1p-126f ? logf(source[i]) : -INFINITY;
}

static void ak_add_scaled_f32_scalar(const float *x, float a, float *y, size_t count) {
  for (size_t i = 0; i < count; i++) y[i] += a * x[i];
}

static void ak_scale_f32_scalar(float *x, float a, size_t count) {
  for (size_t i = 0; i < count; i++) x[i] *= a;
}

static float element(ak_rows rows, size_t i, size_t d, size_t k) {
  const char *row = (const char *)rows.data + i * rows.stride;
  switch (rows.type) {
  case AK_F16:
    return ak_float_from_f16(((const uint16_t *)row)[k]);
  case AK_F32:
    return ((const float *)row)[k];
  case AK_Q8:
    return (float)((const int8_t *)row)[k] * ak_q8_scale(row, d, k);
  }
  return 0;
}

static void ak_quantize_f16_scalar(
  const uint16_t *source, size_t source_stride, size_t n, size_t d, const float *offsets, void *target,
  size_t target_stride) {
  for (size_t i = 0; i < n; i++) {
    int8_t *codes = (int8_t *)target + i * target_stride;
    if (d % 2) codes[d] = 0;
    for (size_t first = 0; first < d; first += AK_Q8_BLOCK) {
      float block[AK_Q8_BLOCK], largest = 0;
      const size_t count = ak_min(AK_Q8_BLOCK, d - first);
      for (size_t k = 0; k < count; k++) {
        block[k] = ak_float_from_f16(source[i * source_stride + first + k]) - (offsets ? offsets[first + k] : 0);
        largest = fabsf(block[k]) > largest ? fabsf(block[k]) : largest;
      }
      const float inverse = ak_q8_store_scale(codes, d, first, largest);
      for (size_t k = 0; k < count; k++) codes[first + k] = ak_q8_code(block[k] * inverse);
    }
  }
}

static void ak_unpack_scalar(ak_rows rows, size_t n, size_t d, float *target, size_t target_stride) {
  for (size_t i = 0; i < n; i++) {
    for (size_t k = 0; k < d; k++) target[i * target_stride + k] = element(rows, i, d, k);
  }
}

static void ak_dot_scalar(
  ak_rows_f32 queries, size_t m, ak_rows rows, const uint32_t *indices, size_t n, size_t d, float *out,
  size_t out_stride) {
  for (size_t h = 0; h < m; h++) {
    for (size_t i = 0; i < n; i++) {
      float sum = 0;
      for (size_t k = 0; k < d; k++) {
        sum += queries.data[h * queries.stride + k] * element(rows, indices ? indices[i] : i, d, k);
      }
      out[h * out_stride + i] = sum;
    }
  }
}

static void ak_softmax_accumulate_scalar(
  const float *scores, size_t score_stride, size_t m, ak_rows values, const uint32_t *indices, size_t n,
  size_t d, ak_states states) {
  for (size_t h = 0; h < m; h++) {
    const float *score = scores + h * score_stride;
    float *acc = states.acc + h * states.acc_stride;
    float max = states.max[h];
    for (size_t i = 0; i < n; i++) max = score[i] > max ? score[i] : max;
    if (max == -INFINITY) continue;
    if (max > states.max[h]) {
      float rescale = expf(states.max[h] - max);
      states.max[h] = max;
      states.sum[h] *= rescale;
      ak_scale_f32_scalar(acc, rescale, d);
    }
    for (size_t i = 0; i < n; i++) {
      if (!(score[i] - max > AK_SOFTMAX_CUTOFF)) continue;
      float weight = expf(score[i] - max);
      states.sum[h] += weight;
      for (size_t k = 0; k < d; k++) acc[k] += weight * element(values, indices ? indices[i] : i, d, k);
    }
  }
}

static void ak_add_rows_scalar(
  const float *weights, size_t weight_stride, size_t m, ak_rows rows, const uint32_t *indices, size_t n, size_t d,
  float *sums, float *acc, size_t acc_stride) {
  for (size_t h = 0; h < m; h++) {
    for (size_t i = 0; i < n; i++) {
      const float weight = weights[h * weight_stride + i];
      sums[h] += weight;
      for (size_t k = 0; k < d; k++) acc[h * acc_stride + k] += weight * element(rows, indices ? indices[i] : i, d, k);
    }
  }
}

static void ak_attend_scalar(
  ak_rows_f32 queries, size_t m, ak_rows keys, ak_rows values, const uint32_t *indices, const float *biases,
  size_t n, size_t d, ak_states states, float *scratch) {
  for (size_t i = 0; i < n; i += AK_ATTEND_BLOCK) {
    const size_t count = ak_min(AK_ATTEND_BLOCK, n - i);
    const uint32_t *list = indices ? indices + i : NULL;
    ak_dot_scalar(queries, m, indices ? keys : ak_rows_from(keys, i), list, count, d, scratch, AK_ATTEND_BLOCK);
    for (size_t h = 0; biases && h < m; h++) {
      for (size_t j = 0; j < count; j++) scratch[h * AK_ATTEND_BLOCK + j] += biases[i + j];
    }
    ak_softmax_accumulate_scalar(
      scratch, AK_ATTEND_BLOCK, m, indices ? values : ak_rows_from(values, i), list, count, d, states);
  }
}

static void ak_prefill_scalar(
  ak_rows_f32 queries, size_t m, float scale, ak_rows keys, ak_rows values, const uint32_t *indices,
  const float *biases, size_t n, size_t d, const uint32_t *begin, const uint32_t *end, ak_states states,
  float *scratch) {
  for (size_t r = 0; r < m; r++) {
    size_t last = ak_min(end[r], n);
    if (begin[r] >= last) continue;
    float *query = scratch + AK_ATTEND_BLOCK;
    for (size_t k = 0; k < d; k++) query[k] = queries.data[r * queries.stride + k] * scale;
    ak_rows_f32 query_row = {query, d};
    ak_states state = {states.max + r, states.sum + r, states.acc + r * states.acc_stride, states.acc_stride};
    const size_t first = indices ? 0 : begin[r];
    ak_attend_scalar(
      query_row, 1, ak_rows_from(keys, first), ak_rows_from(values, first), indices ? indices + begin[r] : NULL,
      biases ? biases + begin[r] : NULL, last - begin[r], d, state, scratch);
  }
}

static void ak_add_mass_f32_scalar(const float *scores, size_t n, float *max, float *sum) {
  float highest = *max;
  for (size_t i = 0; i < n; i++) highest = scores[i] > highest ? scores[i] : highest;
  if (highest == -INFINITY) return;
  *sum *= *max == -INFINITY ? 0 : expf(*max - highest);
  *max = highest;
  for (size_t i = 0; i < n; i++) {
    if (scores[i] - highest > AK_SOFTMAX_CUTOFF) *sum += expf(scores[i] - highest);
  }
}

static void ak_add_shares_f32_scalar(
  const float *scores, const float *spreads, size_t n, float log_total, float per_spread, float most,
  float *shares) {
  for (size_t i = 0; i < n; i++) {
    shares[i] += expf(scores[i] - log_total + fminf(per_spread * spreads[i], most));
  }
}

static void ak_gemm_f32_scalar(
  const float *a, size_t a_row_stride, size_t a_column_stride, const float *b, size_t b_row_stride,
  size_t b_column_stride, float *c, size_t c_stride, size_t m, size_t n, size_t k, int accumulate,
  float *scratch) {
  (void)scratch;
  for (size_t i = 0; i < m; i++) {
    float *row = c + i * c_stride;
    if (!accumulate) {
      for (size_t j = 0; j < n; j++) row[j] = 0;
    }
    for (size_t p = 0; p < k; p++) {
      float factor = a[i * a_row_stride + p * a_column_stride];
      for (size_t j = 0; j < n; j++) row[j] += factor * b[p * b_row_stride + j * b_column_stride];
    }
  }
}

static void ak_assign_f32_scalar(
  ak_rows_f32 points, size_t n, ak_rows_f32 centroids, size_t k, size_t d, const float *half_norms,
  uint32_t *assignments, float *best, float *scratch) {
  (void)scratch;
  for (size_t i = 0; i < n; i++) {
    ak_rows_f32 point = {points.data + i * points.stride, points.stride};
    assignments[i] = 0;
    best[i] = -INFINITY;
    for (size_t j = 0; j < k; j++) {
      float value;
      ak_rows centroid = {centroids.data + j * centroids.stride, centroids.stride * sizeof(float), AK_F32};
      ak_dot_scalar(point, 1, centroid, NULL, 1, d, &value, 1);
      value -= half_norms[j];
      if (value > best[i]) {
        best[i] = value;
        assignments[i] = (uint32_t)j;
      }
    }
  }
}

// Integers of 16 bits in the order 0, 2, 1, 3, or of 8.
static int32_t lvq_query_element(const void *query, int bits, size_t column) {
  static const size_t order[4] = {0, 2, 1, 3};
  return bits == 8 ? ((const int16_t *)query)[column / 4 * 4 + order[column % 4]] : ((const int8_t *)query)[column];
}

static int32_t lvq_code(const uint8_t *block, int bits, size_t row, size_t column) {
  const size_t columns = bits == 8 ? 4 : 8;
  const uint8_t byte = block[64 * (1 + column / columns) + row * 4 + column % 4];
  return bits == 8 ? byte : column % 8 < 4 ? byte & 15 : byte >> 4;
}

static void dot_lvq(
  ak_code_queries queries, size_t m, const uint8_t *blocks, int bits, size_t d, size_t first, size_t n, float *out,
  size_t out_stride) {
  const size_t block_bytes = bits == 8 ? ak_lvq8_block_bytes(d) : ak_lvq4_block_bytes(d);
  for (size_t h = 0; h < m; h++) {
    const void *query = (const char *)queries.data + h * queries.stride;
    for (size_t i = 0; i < n; i++) {
      const size_t row = (first + i) % AK_LVQ_BLOCK;
      const uint8_t *block = blocks + (first + i) / AK_LVQ_BLOCK * block_bytes;
      int32_t sum = 0;
      for (size_t k = 0; k < d; k++) sum += lvq_query_element(query, bits, k) * lvq_code(block, bits, row, k);
      uint16_t scale, offset;
      memcpy(&scale, block + 2 * row, 2);
      memcpy(&offset, block + 2 * (AK_LVQ_BLOCK + row), 2);
      const float score = queries.bases[h] + queries.scales[h] * ak_float_from_f16(scale) * (float)sum;
      out[h * out_stride + i] = score + queries.sums[h] * ak_float_from_f16(offset);
    }
  }
}

static void ak_dot_lvq8_scalar(
  ak_code_queries queries, size_t m, const uint8_t *blocks, size_t d, size_t first, size_t n, float *out,
  size_t out_stride) {
  dot_lvq(queries, m, blocks, 8, d, first, n, out, out_stride);
}

static void ak_dot_lvq4_scalar(
  ak_code_queries queries, size_t m, const uint8_t *blocks, size_t d, size_t first, size_t n, float *out,
  size_t out_stride) {
  dot_lvq(queries, m, blocks, 4, d, first, n, out, out_stride);
}

static void ak_dot_pq4_scalar(
  ak_code_queries queries, size_t m, const uint8_t *blocks, size_t subquantizers, size_t first, size_t n,
  float *out, size_t out_stride) {
  for (size_t h = 0; h < m; h++) {
    const uint8_t *table = (const uint8_t *)queries.data + h * queries.stride;
    for (size_t i = 0; i < n; i++) {
      const size_t row = (first + i) % AK_PQ_BLOCK;
      const uint8_t *block = blocks + (first + i) / AK_PQ_BLOCK * ak_pq4_block_bytes(subquantizers);
      uint32_t sum = 0;
      for (size_t s = 0; s < subquantizers; s++) {
        const uint8_t byte = block[16 * s + row % 16];
        sum += table[16 * s + (row < 16 ? byte & 15 : byte >> 4)];
      }
      out[h * out_stride + i] = queries.bases[h] + queries.scales[h] * (float)sum;
    }
  }
}

static size_t ak_sample_pq4_scalar(
  ak_code_queries queries, size_t m, const uint8_t *blocks, size_t subquantizers, ak_lists lists,
  const float *bases, size_t base_stride, const float *factors, ak_sample sample, float *worths, float *scratch) {
  size_t taken = 0, next = 0;
  float before = 0.5f;
  for (size_t s = 0; s < lists.count; s++) {
    const size_t c = lists.selected[s];
    for (size_t h = 0; h < m; h++) sample.rests[h * sample.rest_stride + s] = 0;
    for (size_t row = lists.begins[c]; row < lists.ends[c]; row++) {
      float *weights = scratch, sum = 0;
      ak_dot_pq4_scalar(queries, m, blocks, subquantizers, row, 1, weights, 1);
      for (size_t h = 0; h < m; h++) {
        weights[h] = expf(fminf(fmaxf(weights[h] + bases[h * base_stride + c], -87), 87));
        sample.rests[h * sample.rest_stride + s] += weights[h];
        sum += weights[h];
      }
      const float worth = factors[c] * sum;
      if (worths) worths[next++] = worth;
      float chance = 1;
      if (worth < sample.threshold) {
        chance = sample.systematic ? worth / sample.threshold : 0;
        before += chance;
        if (before < 1) continue;
        before -= 1;
      }
      if (taken++ >= sample.limit) continue;
      sample.rows[taken - 1] = (uint32_t)row;
      sample.chances[taken - 1] = chance;
      for (size_t h = 0; h < m; h++) sample.rests[h * sample.rest_stride + s] -= weights[h] / chance;
    }
  }
  return taken;
}

static void ak_nearest_words_scalar(
  const float *x, const float *y, size_t n, const float *words, uint8_t *codes) {
  for (size_t i = 0; i < n; i++) {
    float least = INFINITY;
    codes[i] = 0;
    for (size_t j = 0; j < 16; j++) {
      const float dx = x[i] - words[j], dy = y[i] - words[16 + j];
      const float distance = dx * dx + dy * dy;
      if (distance < least) {
        least = distance;
        codes[i] = (uint8_t)j;
      }
    }
  }
}

static void ak_pq4_tables_scalar(
  const float *query, const uint32_t *coordinates, const uint32_t *starts, const float *entries,
  size_t codebooks, uint8_t *tables, float *scale, float *base, float *scratch) {
  float *ranges = scratch + 16 * codebooks;
  for (size_t s = 0; s < codebooks; s++) {
    float *products = scratch + 16 * s;
    float lowest = INFINITY, highest = -INFINITY;
    for (size_t e = 0; e < 16; e++) {
      float product = 0;
      for (size_t j = starts[s]; j < starts[s + 1]; j++) product += query[coordinates[j]] * entries[16 * j + e];
      products[e] = product;
      lowest = product < lowest ? product : lowest;
      highest = product > highest ? product : highest;
    }
    for (size_t e = 0; e < 16; e++) products[e] -= lowest;
    ranges[s] = highest - lowest;
    *base += lowest;
  }
  ak_round_tables(scratch, ranges, codebooks, tables, scale);
}

static size_t ak_collect_above_f32_scalar(
  const float *scores, size_t n, float threshold, uint32_t first, uint64_t *ranks) {
  size_t count = 0;
  for (size_t i = 0; i < n; i++) {
    if (scores[i] > threshold) ranks[count++] = ak_rank(scores[i], first + (uint32_t)i);
  }
  return count;
}

static float ak_read_memory_scalar(const void *data, size_t bytes) {
  uint64_t sum = 0, word;
  for (size_t i = 0; i + sizeof word <= bytes; i += sizeof word) {
    memcpy(&word, (const char *)data + i, sizeof word);
    sum += word;
  }
  return (float)sum;
}

static float ak_read_rows_scalar(ak_rows rows, const uint32_t *indices, size_t n, size_t bytes, size_t ahead) {
  float sum = 0;
  for (size_t i = 0; i < n; i++) {
    const char *row = (const char *)rows.data + indices[i] * rows.stride;
    if (ahead && i + ahead < n) __builtin_prefetch((const char *)rows.data + indices[i + ahead] * rows.stride);
    sum += ak_read_memory_scalar(row, bytes);
  }
  return sum;
}

static size_t ak_multiply_add_scalar(size_t rounds, float *result) {
  float sums[8] = {0, 1, 2, 3, 4, 5, 6, 7};
  for (size_t r = 0; r < rounds; r++) {
    for (int i = 0; i < 8; i++) sums[i] = sums[i] * 0.9999f + *result;
  }
  for (int i = 1; i < 8; i++) sums[0] += sums[i];
  *result = sums[0];
  return rounds * 16;
}

const ak_kernels ak_table_scalar = {
  .level = AK_LEVEL_SCALAR,
  .convert_f32_to_f16 = ak_convert_f32_to_f16_scalar,
  .convert_f16_to_f32 = ak_convert_f16_to_f32_scalar,
  .convert_f32_to_bf16 = ak_convert_f32_to_bf16_scalar,
  .convert_bf16_to_f32 = ak_convert_bf16_to_f32_scalar,
  .exp_f32 = ak_exp_f32_scalar,
  .log_f32 = ak_log_f32_scalar,
  .add_scaled_f32 = ak_add_scaled_f32_scalar,
  .scale_f32 = ak_scale_f32_scalar,
  .quantize_f16 = ak_quantize_f16_scalar,
  .unpack = ak_unpack_scalar,
  .dot = ak_dot_scalar,
  .softmax_accumulate = ak_softmax_accumulate_scalar,
  .add_rows = ak_add_rows_scalar,
  .attend = ak_attend_scalar,
  .prefill = ak_prefill_scalar,
  .add_mass_f32 = ak_add_mass_f32_scalar,
  .add_shares_f32 = ak_add_shares_f32_scalar,
  .gemm_f32 = ak_gemm_f32_scalar,
  .assign_f32 = ak_assign_f32_scalar,
  .dot_lvq8 = ak_dot_lvq8_scalar,
  .dot_lvq4 = ak_dot_lvq4_scalar,
  .dot_pq4 = ak_dot_pq4_scalar,
  .pq4_tables = ak_pq4_tables_scalar,
  .nearest_words = ak_nearest_words_scalar,
  .sample_pq4 = ak_sample_pq4_scalar,
  .collect_above_f32 = ak_collect_above_f32_scalar,
  .read_memory = ak_read_memory_scalar,
  .read_rows = ak_read_rows_scalar,
  .multiply_add = ak_multiply_add_scalar,
};
