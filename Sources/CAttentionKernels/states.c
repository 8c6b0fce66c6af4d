// Finishing and merging softmax states, and scratch sizes. These are the same for every level: they touch
// each float once, and the compiler's own vectors are enough.

#include "internal.h"

void ak_finish_states(
  ak_states states, size_t m, size_t d, float *outputs, size_t output_stride, float *log_sum_exps) {
  for (size_t h = 0; h < m; h++) {
    const float *acc = states.acc + h * states.acc_stride;
    float *output = outputs + h * output_stride;
    int empty = !(states.sum[h] > 0);
    float factor = empty ? 0 : 1 / states.sum[h];
    for (size_t k = 0; k < d; k++) output[k] = empty ? 0 : acc[k] * factor;
    log_sum_exps[h] = empty ? -INFINITY : states.max[h] + logf(states.sum[h]);
  }
}

void ak_merge_states(
  float *outputs, size_t output_stride, float *log_sum_exps, ak_rows_f32 other_outputs,
  const float *other_log_sum_exps, size_t m, size_t d) {
  for (size_t h = 0; h < m; h++) {
    float *output = outputs + h * output_stride;
    const float *other = other_outputs.data + h * other_outputs.stride;
    float mine = log_sum_exps[h], theirs = other_log_sum_exps[h];
    if (theirs == -INFINITY) {
      // Keeps the promise of a zero output when both are empty.
      if (mine == -INFINITY) memset(output, 0, d * sizeof *output);
      continue;
    }
    if (mine == -INFINITY) {
      memcpy(output, other, d * sizeof *output);
      log_sum_exps[h] = theirs;
      continue;
    }
    float max = mine > theirs ? mine : theirs;
    float my_weight = expf(mine - max), their_weight = expf(theirs - max);
    float sum = my_weight + their_weight;
    my_weight /= sum;
    their_weight /= sum;
    for (size_t k = 0; k < d; k++) output[k] = output[k] * my_weight + other[k] * their_weight;
    log_sum_exps[h] = max + logf(sum);
  }
}

size_t ak_attend_scratch(size_t m) { return m * AK_ATTEND_BLOCK; }

size_t ak_prefill_scratch(size_t d) {
  size_t padded = d + AK_MAX_TILE_ROWS - 1;  // d rounded up to whole tiles, whatever the level's tile
  // Queries and accumulators of all rows with their maxima and sums, a block of keys and values, its
  // scores, and one value row.
  // The level with the widest panel pads the rows most; AK_PREFILL_ROWS is a multiple of it.
  return AK_PREFILL_ROWS * (2 * d + 2) + AK_PREFILL_BLOCK * (d + padded + AK_MAX_PANEL) + padded;
}

// A packed panel of B, a packed block of A, and a tile of C.
size_t ak_gemm_scratch(void) {
  return AK_GEMM_DEPTH * (AK_MAX_PANEL + AK_GEMM_ROWS) + AK_MAX_TILE_ROWS * AK_MAX_PANEL;
}

// A packed panel of points, a tile of products, and the best value and index of each point.
size_t ak_assign_scratch(size_t d) { return AK_MAX_PANEL * (d + AK_MAX_TILE_ROWS + 2); }

size_t ak_sample_scratch(size_t m) { return (m + 1) * AK_SAMPLE_ROWS; }
