// Numeric kernels for attention over long contexts and for k-means: blocks of dot products, softmax-weighted
// sums, blocked causal attention, matrix products, 16-bit conversions.
//
// Conventions, valid for every function here:
// - Memory: the caller owns all of it. Kernels allocate nothing; scratch is passed in, its size given by the
//   ak_*_scratch functions, its contents meaningless before and after. Buffers need the alignment of their
//   element type only. Outputs, scratch and inputs must not overlap unless a function says so.
// - Shapes: [rows, columns], row-major. Strides are in elements, at least the row length. Any d >= 1 is right
//   (multiples of 16 are fast), any count including 0.
// - Types: f16 (IEEE binary16) and bf16 are passed as bits in uint16_t. All sums are f32.
// - Threads: kernels are pure functions of their arguments and may run concurrently. Choosing the level is
//   thread-safe and happens once.
// - Errors: there are none to return. Wrong shapes, indices out of range, NaN and +INFINITY scores are the
//   caller's bug and undefined; the Swift module AttentionKernels checks shapes and indices.
// - Results depend on the level and on the values, not on time or threads. The score of one query with one
//   row is the same bit pattern whatever the other queries and rows of the call are.
// - Softmax: natural exponentials. A score of -INFINITY weighs zero. A weight below exp(AK_SOFTMAX_CUTOFF) of
//   the running maximum is taken as zero, which changes a sum over n keys by less than n * 4.3e-18 of it.

#ifndef ATTENTION_KERNELS_H
#define ATTENTION_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// Scores this far below the running maximum weigh exactly zero: exp(-40) = 4.2e-18, so even 2^31 keys of that
// weight are under 1e-8 of the sum, while the value rows nobody weighs need not be read.
#define AK_SOFTMAX_CUTOFF (-40.0f)

// Keys per block of attend: while one is multiplied the next comes from memory into the L2 (64 KB at d =
// 128), and per-block work is small against it.
#define AK_ATTEND_BLOCK 128

// Query rows that prefill takes through the keys together: a multiple of every level's panel (12, 16, 48).
// Queries and accumulators of 288 rows of 128 floats are 295 KB and share an L2 with the key block.
#define AK_PREFILL_ROWS 288

typedef enum ak_level {
  AK_LEVEL_SCALAR = 0,
  AK_LEVEL_NEON = 1,
  AK_LEVEL_AVX2 = 2,    // AVX2, FMA and F16C
  AK_LEVEL_AVX512 = 3,  // AVX-512 F, BW, DQ and VL
} ak_level;

#define AK_LEVEL_COUNT 4

// Row i of a matrix starts at data + i * stride.
typedef struct ak_rows_f32 {
  const float *data;
  size_t stride;
} ak_rows_f32;

typedef struct ak_rows_f16 {
  const uint16_t *data;
  size_t stride;
} ak_rows_f16;

// Running state of an online softmax for m queries: the attention so far of query h is
// acc[h * acc_stride ..< + d] / sum[h], its log-sum-exp is max[h] + log(sum[h]).
// Empty state: max = -INFINITY, sum = 0, acc = 0.
typedef struct ak_states {
  float *max;  // [m]
  float *sum;  // [m]
  float *acc;  // [m, d]
  size_t acc_stride;
} ak_states;

// One level's functions. Argument order: inputs, their sizes, outputs, scratch.
typedef struct ak_kernels {
  ak_level level;

  // Rounds to nearest even; overflow becomes infinity, NaN stays NaN.
  void (*convert_f32_to_f16)(const float *source, uint16_t *target, size_t count);
  // Exact.
  void (*convert_f16_to_f32)(const uint16_t *source, float *target, size_t count);
  // Rounds to nearest even; NaN stays NaN.
  void (*convert_f32_to_bf16)(const float *source, uint16_t *target, size_t count);
  // Exact.
  void (*convert_bf16_to_f32)(const uint16_t *source, float *target, size_t count);

  // target[i] = e^source[i], relative error below 2.5e-7; 0 below -87.33 (no subnormals), infinity above
  // 88.72. In place is fine.
  void (*exp_f32)(const float *source, float *target, size_t count);
  // y[i] += a * x[i]
  void (*add_scaled_f32)(const float *x, float a, float *y, size_t count);
  // x[i] *= a
  void (*scale_f32)(float *x, float a, size_t count);

  // out[h * out_stride + i] = queries[h] . rows[i] for h < m, i < n. Each row is read once for up to 6
  // queries.
  void (*dot_f16)(
    ak_rows_f32 queries, size_t m, ak_rows_f16 rows, size_t n, size_t d, float *out, size_t out_stride);
  void (*dot_f32)(
    ak_rows_f32 queries, size_t m, ak_rows_f32 rows, size_t n, size_t d, float *out, size_t out_stride);
  // The same with rows[indices[i]].
  void (*dot_gather_f16)(
    ak_rows_f32 queries, size_t m, ak_rows_f16 rows, const uint32_t *indices, size_t n, size_t d, float *out,
    size_t out_stride);

  // Adds n values, weighted by exp(scores[h * score_stride + i]), to the states of m queries. Scores come
  // scaled and biased.
  void (*softmax_accumulate_f16)(
    const float *scores, size_t score_stride, size_t m, ak_rows_f16 values, size_t n, size_t d,
    ak_states states);
  // The same with values[indices[i]].
  void (*softmax_accumulate_gather_f16)(
    const float *scores, size_t score_stride, size_t m, ak_rows_f16 values, const uint32_t *indices, size_t n,
    size_t d, ak_states states);

  // Attention of m queries (already scaled) over n keys and values, each read once. scratch:
  // ak_attend_scratch(m).
  void (*attend_f16)(
    ak_rows_f32 queries, size_t m, ak_rows_f16 keys, ak_rows_f16 values, size_t n, size_t d, ak_states states,
    float *scratch);
  // The same over keys[indices[i]] and values[indices[i]].
  void (*attend_gather_f16)(
    ak_rows_f32 queries, size_t m, ak_rows_f16 keys, ak_rows_f16 values, const uint32_t *indices, size_t n,
    size_t d, ak_states states, float *scratch);

  // Attention of many queries, each multiplied by scale, query r over the keys begin[r] ..< end[r] (clamped
  // to n; may be empty). Key blocks nobody sees are not read. Best with m a multiple of 48, up to
  // AK_PREFILL_ROWS. scratch: ak_prefill_scratch(d).
  void (*prefill_f16)(
    ak_rows_f32 queries, size_t m, float scale, ak_rows_f16 keys, ak_rows_f16 values, size_t n, size_t d,
    const uint32_t *begin, const uint32_t *end, ak_states states, float *scratch);

  // c[i * c_stride + j] = (accumulate ? c : 0) + sum over p < k of A[i, p] * B[p, j], where A[i, p] is
  // a[i * a_row_stride + p * a_column_stride] and B[p, j] likewise, so either may be a transpose.
  // scratch: ak_gemm_scratch().
  void (*gemm_f32)(
    const float *a, size_t a_row_stride, size_t a_column_stride, const float *b, size_t b_row_stride,
    size_t b_column_stride, float *c, size_t c_stride, size_t m, size_t n, size_t k, int accumulate,
    float *scratch);

  // best[i] = max over j < k of points[i] . centroids[j] - half_norms[j], assignments[i] the lowest such j.
  // With half_norms[j] = |c_j|^2 / 2 that is the nearest centroid. 1 <= k <= 2^24 (indices travel as f32).
  // scratch: ak_assign_scratch(d).
  void (*assign_f32)(
    ak_rows_f32 points, size_t n, ak_rows_f32 centroids, size_t k, size_t d, const float *half_norms,
    uint32_t *assignments, float *best, float *scratch);
} ak_kernels;

// The functions of a level, or NULL when this CPU or this build lacks it. Never NULL for AK_LEVEL_SCALAR.
const ak_kernels *ak_kernels_for(ak_level level);

// The functions of the active level: the one RA_SIMD_LEVEL names if it is known and supported, else the
// highest supported. Read once, at the first call.
const ak_kernels *ak_kernels_active(void);

// The highest level this CPU supports.
ak_level ak_level_detected(void);

// "scalar", "neon", "avx2", "avx512".
const char *ak_level_name(ak_level level);

// What RA_SIMD_LEVEL asked for, when the active level was chosen.
typedef enum ak_request {
  AK_REQUEST_NONE = 0,
  AK_REQUEST_GRANTED = 1,
  AK_REQUEST_UNKNOWN = 2,      // no level of that name
  AK_REQUEST_UNSUPPORTED = 3,  // a level this CPU or this build lacks
} ak_request;

ak_request ak_level_request(void);

// The value of RA_SIMD_LEVEL at that time, cut to 31 characters; "" if it was not set.
const char *ak_level_requested_name(void);

// Scratch sizes in floats, enough for every level.
size_t ak_attend_scratch(size_t m);
size_t ak_prefill_scratch(size_t d);
size_t ak_gemm_scratch(void);
size_t ak_assign_scratch(size_t d);

// Normalizes m states: outputs[h] = acc[h] / sum[h], log_sum_exps[h] = max[h] + log(sum[h]).
// A state without keys gives zeros and -INFINITY. outputs may be states.acc, with the same stride.
void ak_finish_states(
  ak_states states, size_t m, size_t d, float *outputs, size_t output_stride, float *log_sum_exps);

// Replaces m normalized outputs [m, d] and their log-sum-exps [m] by their merges with others: the attention
// over the union of the two key sets. -INFINITY marks an empty state, whose output is ignored.
void ak_merge_states(
  float *outputs, size_t output_stride, float *log_sum_exps, ak_rows_f32 other_outputs,
  const float *other_log_sum_exps, size_t m, size_t d);

#ifdef __cplusplus
}
#endif

#endif
