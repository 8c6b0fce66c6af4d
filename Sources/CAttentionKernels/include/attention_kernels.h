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

typedef enum ak_type {
  AK_F16 = 0,
  AK_F32 = 1,
  AK_Q8 = 2,  // see ak_q8_row_bytes
} ak_type;

// Rows of any of these types: row i starts at (const char *)data + i * stride.
typedef struct ak_rows {
  const void *data;
  size_t stride;  // bytes
  ak_type type;
} ak_rows;

// A row of 8-bit numbers: d signed bytes, one more if d is odd, and an f16 scale for each AK_Q8_BLOCK of them, the last
// of which may be shorter. Element k is byte k times scale k / AK_Q8_BLOCK. Rows and scales are aligned to 2 bytes.
#define AK_Q8_BLOCK 32
static inline size_t ak_q8_codes_bytes(size_t d) { return (d + 1) / 2 * 2; }
static inline size_t ak_q8_row_bytes(size_t d) {
  return ak_q8_codes_bytes(d) + 2 * ((d + AK_Q8_BLOCK - 1) / AK_Q8_BLOCK);
}

// Running state of an online softmax for m queries: the attention so far of query h is
// acc[h * acc_stride ..< + d] / sum[h], its log-sum-exp is max[h] + log(sum[h]).
// Empty state: max = -INFINITY, sum = 0, acc = 0.
typedef struct ak_states {
  float *max;  // [m]
  float *sum;  // [m]
  float *acc;  // [m, d]
  size_t acc_stride;
} ak_states;

// Coded rows lie in blocks of AK_LVQ_BLOCK or AK_PQ_BLOCK rows that start anywhere (at multiples of 64 bytes they
// are read fastest) and are whole: the rows of the last block that do not exist yet hold anything.
#define AK_LVQ_BLOCK 16
#define AK_PQ_BLOCK 32

// Codes of locally adaptive vector quantization (Aguerrebere et al., arXiv 2304.04759): row i is
// offset_i + scale_i * code_i, element by element. A block of 16 rows is 64 bytes of f16, the 16 scales and then the
// 16 offsets, and lines of 64 bytes of codes, 4 bytes a row, so that a vector holds the same columns of many rows and
// sums need no shuffles.
// 8 bits: line j holds columns 4j ..< 4j + 4; ak_lvq8_block_bytes(d).
// 4 bits: line j holds columns 8j ..< 8j + 4 in the low halves of its bytes, the next four in the high halves;
// ak_lvq4_block_bytes(d).
// Columns from d to the end of the last line hold any code: queries are zero there.
static inline size_t ak_lvq8_block_bytes(size_t d) { return 64 * (1 + (d + 3) / 4); }
static inline size_t ak_lvq4_block_bytes(size_t d) { return 64 * (1 + (d + 7) / 8); }

// 4-bit codes of product quantization for scans with tables in registers (Andre et al., Quicker ADC, arXiv
// 1812.09162). A block of 32 rows is 16 bytes for each of its parts, subquantizers a multiple of 4: byte b holds the
// code of row b in its low half and of row b + 16 in its high half.
static inline size_t ak_pq4_block_bytes(size_t subquantizers) { return 16 * subquantizers; }

// m queries as scans of codes take them: query h is at data + h * stride and scores
//   LVQ: bases[h] + scales[h] * scale_i * (integers . codes) + sums[h] * offset_i
//   PQ:  bases[h] + scales[h] * (sum of table entries)
// Integer sums are exact, at every level.
// LVQ, 8 bits: int16_t, columns in the order 0, 2, 1, 3 in each group of four, zero up to a multiple of 4.
//   d * 255 * their largest magnitude must be below 2^31.
// LVQ, 4 bits: int8_t, no less than -127, zero up to a multiple of 8.
// PQ: uint8_t [subquantizers, 16], at most 256 subquantizers (sums are 16 bits wide). Entries of four subquantizers at
//   distance 4, from number 16 i + j with j < 4, add up to at most 255, since they are first added in 8 bits.
typedef struct ak_code_queries {
  const void *data;
  size_t stride;  // bytes
  const float *scales;
  const float *sums;  // PQ: not used
  const float *bases;
} ak_code_queries;

// Lists of rows: list c has the rows begins[c] ..< ends[c], and no row is in two of them. Some of them, in ascending
// order: list selected[s] for s < count. "Their rows in order" are those of list selected[0], then selected[1], ...
typedef struct ak_lists {
  const uint32_t *begins;
  const uint32_t *ends;
  const uint32_t *selected;
  size_t count;
} ak_lists;

// How a sample of rows is taken, and where it goes.
typedef struct ak_sample {
  float threshold;  // above 0 and normal, or nothing but 0 is below it
  int systematic;   // whether any of the rows below the threshold are taken
  size_t limit;
  uint32_t *rows;  // room for `limit`, or as many as there are
  float *chances;  // the same
  float *rests;    // [queries, lists]
  size_t rest_stride;
} ak_sample;

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
  // target[i] = the natural logarithm of source[i], off by 1e-7 or 2.5e-7 of itself at most, whichever is more;
  // -infinity below 2^-126 (and so for what has no logarithm), infinity for infinity. In place is fine.
  void (*log_f32)(const float *source, float *target, size_t count);
  // y[i] += a * x[i]
  void (*add_scaled_f32)(const float *x, float a, float *y, size_t count);
  // x[i] *= a
  void (*scale_f32)(float *x, float a, size_t count);

  // Rounds n rows of d elements, less offsets[k] in column k (NULL for none), to the nearest of 127 steps up and down
  // to the largest magnitude of a block. An element is off by half a step at most, and by what a step's rounding to f16
  // makes of 127 steps, 2^-11 of the largest magnitude: 0.5 / 127 + 2^-11 of it together. Magnitudes whose step is no
  // normal f16 (below 0.0078) lose more, at most half of the least step 2^-24; a step is at most the largest f16.
  void (*quantize_f16)(
    const uint16_t *source, size_t source_stride, size_t n, size_t d, const float *offsets, void *target,
    size_t target_stride);
  // Elements of n rows as f32: exact for f16, one rounding for 8 bits. target_stride is in elements.
  void (*unpack)(ak_rows rows, size_t n, size_t d, float *target, size_t target_stride);

  // out[h * out_stride + i] = queries[h] . rows[i] for h < m, i < n, or rows[indices[i]] unless indices is NULL. Each
  // row is read once for up to 6 queries.
  void (*dot)(
    ak_rows_f32 queries, size_t m, ak_rows rows, const uint32_t *indices, size_t n, size_t d, float *out,
    size_t out_stride);

  // Adds n values, weighted by exp(scores[h * score_stride + i]), to the states of m queries: values[i], or
  // values[indices[i]] unless indices is NULL. Scores come scaled and biased. Values: f16 or 8 bits.
  void (*softmax_accumulate)(
    const float *scores, size_t score_stride, size_t m, ak_rows values, const uint32_t *indices, size_t n,
    size_t d, ak_states states);

  // sums[h] += the sum of weights[h * weight_stride + i], acc[h * acc_stride ..< + d] += the sum of these times
  // rows[i], or rows[indices[i]] unless indices is NULL. Weights may be negative. Rows: f16 or 8 bits.
  void (*add_rows)(
    const float *weights, size_t weight_stride, size_t m, ak_rows rows, const uint32_t *indices, size_t n, size_t d,
    float *sums, float *acc, size_t acc_stride);

  // Attention of m queries (already scaled) over n keys and values, each read once: keys[i] and values[i], or those of
  // indices[i] unless indices is NULL. Unless biases is NULL, biases[i] is added to every query's score i. Values: f16
  // or 8 bits. scratch: ak_attend_scratch(m).
  void (*attend)(
    ak_rows_f32 queries, size_t m, ak_rows keys, ak_rows values, const uint32_t *indices, const float *biases,
    size_t n, size_t d, ak_states states, float *scratch);

  // Attention of many queries, each multiplied by scale, query r over the keys begin[r] ..< end[r] (clamped
  // to n; may be empty). Keys and values are keys[i] and values[i], or those of indices[i] unless indices is NULL:
  // neighbors are best listed together. Unless biases is NULL, biases[i] is added to every query's score i. Key blocks
  // nobody sees are not read. Best with m a multiple of 48, up to AK_PREFILL_ROWS. scratch: ak_prefill_scratch(d).
  void (*prefill)(
    ak_rows_f32 queries, size_t m, float scale, ak_rows keys, ak_rows values, const uint32_t *indices,
    const float *biases, size_t n, size_t d, const uint32_t *begin, const uint32_t *end, ak_states states,
    float *scratch);

  // Adds n scores to the running maximum and sum of one query's softmax.
  void (*add_mass_f32)(const float *scores, size_t n, float *max, float *sum);
  // shares[i] += exp(scores[i] - log_total + the smaller of per_spread * spreads[i] and most)
  void (*add_shares_f32)(
    const float *scores, const float *spreads, size_t n, float log_total, float per_spread, float most,
    float *shares);

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

  // out[h * out_stride + i] = the score of query h with coded row first + i, for h < m, i < n. Codes are read once
  // for several queries.
  void (*dot_lvq8)(
    ak_code_queries queries, size_t m, const uint8_t *blocks, size_t d, size_t first, size_t n, float *out,
    size_t out_stride);
  void (*dot_lvq4)(
    ak_code_queries queries, size_t m, const uint8_t *blocks, size_t d, size_t first, size_t n, float *out,
    size_t out_stride);
  void (*dot_pq4)(
    ak_code_queries queries, size_t m, const uint8_t *blocks, size_t subquantizers, size_t first, size_t n,
    float *out, size_t out_stride);

  // The table of one query for dot_pq4, from codebooks of 16 entries that cover coordinates of the query: codebook s
  // has the coordinates coordinates[j] for starts[s] <= j < starts[s + 1], and entry e of it the elements
  // entries[16 * j + e]. The products of entries with the query, less each codebook's lowest, are rounded to
  // multiples of *scale; the lowest are added to *base. *scale is the widest sum / 253 of the ranges of four codebooks
  // that are added in 8 bits, so it is smallest when wide and narrow ranges are together. If that sum is zero or not
  // finite, entries and *scale are 0. scratch: 17 * codebooks floats.
  void (*pq4_tables)(
    const float *query, const uint32_t *coordinates, const uint32_t *starts, const float *entries,
    size_t codebooks, uint8_t *tables, float *scale, float *base, float *scratch);

  // codes[i] = the j for which (x[i] - words[j])^2 + (y[i] - words[16 + j])^2 is least, the lowest of equal ones, for
  // i < n: the nearest of 16 words of two elements. n is a multiple of 16.
  void (*nearest_words)(const float *x, const float *y, size_t n, const float *words, uint8_t *codes);

  // A sample of the coded rows of some lists, which are gone through in order; row i is of list c.
  //   weight[h] = exp(bases[h * base_stride + c] + the score of query h with the row), the exponent cut to -87 ... 87
  //   worth = factors[c] * the sum of weight[h]
  // Rows that are worth the threshold or more (or NaN) are taken with chance 1; of the others, in a systematic sample,
  // one whenever 0.5 and the sum of worth / threshold over those so far pass a whole number, with chance worth /
  // threshold. Answers how many that are; but only the first `limit` of them are taken.
  // The rest of list selected[s] is the sum of its rows' weights, less weight[h] / chance of those that were taken.
  // worths: unless NULL, the worths of all rows. scratch: ak_sample_scratch(m).
  size_t (*sample_pq4)(
    ak_code_queries queries, size_t m, const uint8_t *blocks, size_t subquantizers, ak_lists lists,
    const float *bases, size_t base_stride, const float *factors, ak_sample sample, float *worths, float *scratch);

  // Appends ak_rank(scores[i], first + i) for each i < n with scores[i] > threshold, in order, and returns how
  // many. ranks: room for n.
  size_t (*collect_above_f32)(
    const float *scores, size_t n, float threshold, uint32_t first, uint64_t *ranks);

  // Probes of the machine, for benchmarks. The answers of the first two depend on what was read, so that it is read.
  // Reads bytes in order, but for a last part of less than 256 bytes.
  float (*read_memory)(const void *data, size_t bytes);
  // Reads `bytes`, a multiple of 64, of n rows; asks for row i + ahead before row i is read, unless ahead is 0.
  float (*read_rows)(ak_rows rows, const uint32_t *indices, size_t n, size_t bytes, size_t ahead);
  // Multiplies and adds in registers for `rounds` rounds; answers how many operations that were, two for each element.
  size_t (*multiply_add)(size_t rounds, float *result);
} ak_kernels;

// A number that is higher for a higher score and, among equal scores, for a lower index. Not for NaN; -0 ranks
// below 0.
static inline uint64_t ak_rank(float score, uint32_t index) {
  union {
    float value;
    uint32_t bits;
  } number = {score};
  const uint32_t ordered = number.bits ^ (number.bits >> 31 ? 0xffffffffu : 0x80000000u);
  return (uint64_t)ordered << 32 | (uint32_t)~index;
}

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
size_t ak_sample_scratch(size_t m);

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
