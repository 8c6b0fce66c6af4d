// Runs each kernel once on fixed inputs, in a function of its own whose instructions a simulator counts. Its argument
// chooses the shape, that of one KV head of a small model: d64 with 3 query heads, d128 with 6.

#include "attention_kernels.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { rows = 1024, listed = 256, widest = 128, most = 288 };

static float queries[most * widest], scores[8 * rows], worths[rows];
static float maxima[most], sums[most], accumulators[most * widest], floats[rows * widest], chances[rows];
static uint16_t halves[2 * rows * widest];
static uint8_t bytes[2 * rows * widest * 2], codes[rows * widest / 2], tables[8 * widest / 2 * 16];
static uint32_t indices[listed], begins[most], ends[most], starts[rows / 64 + 1], selected[rows / 64], items[rows];
static float ones[rows / 64], steps[8] = {0.01f, 0.01f, 0.01f, 0.01f, 0.01f, 0.01f, 0.01f, 0.01f};
static float *scratch;

static uint32_t next_random(void) {
  static uint32_t state = 1;
  return (state = state * 1664525u + 1013904223u) >> 8;
}

static void fill(const ak_kernels *kernels) {
  for (size_t i = 0; i < sizeof queries / sizeof *queries; i++) queries[i] = (float)(next_random() % 2001) / 8000 - 0.125f;
  for (size_t i = 0; i < sizeof halves / sizeof *halves; i++) halves[i] = (uint16_t)(0x3000 | (next_random() & 0x87ff));
  for (size_t i = 0; i < sizeof codes; i++) codes[i] = (uint8_t)next_random();
  for (size_t i = 0; i < sizeof tables; i++) tables[i] = (uint8_t)(next_random() % 64);
  for (size_t i = 0; i < rows / 64; i++) ones[i] = 1;
  for (size_t i = 0; i < listed; i++) indices[i] = next_random() % rows;
  for (size_t i = 0; i < most; i++) begins[i] = 0, ends[i] = rows - most + (uint32_t)i;
  for (size_t i = 0; i <= rows / 64; i++) starts[i] = (uint32_t)(i * 64 - (i % 3 == 1 ? 5 : 0));
  for (size_t i = 0; i < rows / 64; i++) selected[i] = (uint32_t)i;
  kernels->convert_f16_to_f32(halves, floats, sizeof floats / sizeof *floats);
}

static ak_rows_f32 query_rows(size_t d) { return (ak_rows_f32){queries, d}; }

static ak_rows f16_rows(size_t d, size_t first) { return (ak_rows){halves + first * d, 2 * d, AK_F16}; }

static ak_rows q8_rows(size_t d, size_t first) {
  return (ak_rows){bytes + first * ak_q8_row_bytes(d), ak_q8_row_bytes(d), AK_Q8};
}

static ak_states empty_states(size_t d) {
  for (size_t i = 0; i < most; i++) maxima[i] = -INFINITY;
  memset(sums, 0, sizeof sums);
  memset(accumulators, 0, sizeof accumulators);
  return (ak_states){maxima, sums, accumulators, d};
}

#define MEASURE(name) \
  __attribute__((noinline)) static void measure_##name(const ak_kernels *kernels, size_t d, size_t m, ak_states states)

MEASURE(quantize) { kernels->quantize_f16(halves, d, 2 * rows, d, NULL, bytes, ak_q8_row_bytes(d)); }
MEASURE(dot_f16) { kernels->dot(query_rows(d), m, f16_rows(d, 0), NULL, rows, d, scores, rows); }
MEASURE(dot_q8) { kernels->dot(query_rows(d), m, q8_rows(d, 0), NULL, rows, d, scores, rows); }
MEASURE(dot_gather_f16) { kernels->dot(query_rows(d), m, f16_rows(d, 0), indices, listed, d, scores, listed); }
MEASURE(softmax_f16) { kernels->softmax_accumulate(scores, rows, m, f16_rows(d, 0), NULL, rows, d, states); }
MEASURE(attend_f16) {
  kernels->attend(query_rows(d), m, f16_rows(d, 0), f16_rows(d, rows), NULL, NULL, rows, d, states, scratch);
}
MEASURE(attend_q8) {
  kernels->attend(query_rows(d), m, q8_rows(d, 0), q8_rows(d, rows), NULL, NULL, rows, d, states, scratch);
}
MEASURE(prefill_f16) {
  kernels->prefill(
    query_rows(d), 48 * m / 3, 1, f16_rows(d, 0), f16_rows(d, rows), NULL, NULL, rows, d, begins, ends, states,
    scratch);
}
MEASURE(assign_f32) {
  kernels->assign_f32((ak_rows_f32){floats, d}, 256, (ak_rows_f32){floats, d}, 64, d, worths, items, chances, scratch);
}
MEASURE(gemm_f32) { kernels->gemm_f32(floats, d, 1, floats, 1, d, accumulators, 128, 128, 128, d, 0, scratch); }
MEASURE(dot_pq4) {
  kernels->dot_pq4(
    (ak_code_queries){tables, d / 2 * 16, steps, ones, ones}, m, codes, d / 2, 0, rows, scores, rows);
}
MEASURE(sample_pq4) {
  kernels->sample_pq4(
    (ak_code_queries){tables, d / 2 * 16, steps, ones, ones}, m, codes, d / 2,
    (ak_lists){starts, starts + 1, selected, rows / 64}, queries, rows / 64, ones,
    (ak_sample){100.0f * (float)m, 1, rows, items, chances, accumulators, rows / 64}, NULL, scratch);
}
MEASURE(add_rows) {
  kernels->add_rows(queries, listed, m, f16_rows(d, 0), indices, listed, d, states.sum, states.acc, d);
}
MEASURE(exp_f32) { kernels->exp_f32(queries, scores, rows); }
MEASURE(add_mass_f32) {
  float max = -INFINITY, sum = 0;
  kernels->add_mass_f32(queries, rows, &max, &sum);
}
MEASURE(add_shares_f32) { kernels->add_shares_f32(queries, worths, rows, 1, 0.5f, 8, scores); }
MEASURE(log_f32) { kernels->log_f32(worths, scores, rows); }

int main(int count, char **arguments) {
  const ak_kernels *kernels = ak_kernels_active();
  const size_t d = count == 2 && strcmp(arguments[1], "d128") == 0 ? 128 : 64, m = d == 128 ? 6 : 3;
  const size_t needs[] = {ak_attend_scratch(8), ak_prefill_scratch(widest), ak_gemm_scratch(), ak_assign_scratch(widest),
                          ak_sample_scratch(8)};
  size_t most_scratch = 0;
  for (size_t i = 0; i < sizeof needs / sizeof *needs; i++) most_scratch = needs[i] > most_scratch ? needs[i] : most_scratch;
  if (!(scratch = malloc(most_scratch * sizeof *scratch))) return 1;
  fill(kernels);
#define RUN(name) measure_##name(kernels, d, m, empty_states(d))
  RUN(quantize);
  RUN(dot_f16);
  RUN(dot_q8);
  RUN(dot_gather_f16);
  RUN(softmax_f16);
  RUN(attend_f16);
  RUN(attend_q8);
  RUN(prefill_f16);
  RUN(assign_f32);
  RUN(gemm_f32);
  RUN(dot_pq4);
  RUN(sample_pq4);
  RUN(add_rows);
  RUN(exp_f32);
  RUN(log_f32);
  RUN(add_mass_f32);
  RUN(add_shares_f32);
  printf("%s\n", ak_level_name(kernels->level));
  free(scratch);
  return 0;
}
