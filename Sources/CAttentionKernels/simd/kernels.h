// All templates and the table of one level. A level's .c file includes its primitives, then this.

#include "common.h"
#include "dot.h"
#include "softmax.h"
#include "matrix.h"
#include "prefill.h"
#include "lvq.h"
#include "pq.h"
#include "pq_sample.h"
#include "collect.h"
#include "probe.h"

const ak_kernels AK_FN(table) = {
  .level = AK_LEVEL,
  .convert_f32_to_f16 = AK_FN(convert_f32_to_f16),
  .convert_f16_to_f32 = AK_FN(convert_f16_to_f32),
  .convert_f32_to_bf16 = AK_FN(convert_f32_to_bf16),
  .convert_bf16_to_f32 = AK_FN(convert_bf16_to_f32),
  .exp_f32 = AK_FN(exp_f32),
  .log_f32 = AK_FN(log_f32),
  .add_scaled_f32 = AK_FN(add_scaled_f32),
  .scale_f32 = AK_FN(scale_f32),
  .quantize_f16 = AK_FN(quantize_f16),
  .unpack = AK_FN(unpack),
  .dot = AK_FN(dot),
  .softmax_accumulate = AK_FN(softmax_accumulate),
  .add_rows = AK_FN(add_rows),
  .attend = AK_FN(attend),
  .prefill = AK_FN(prefill),
  .add_mass_f32 = AK_FN(add_mass_f32),
  .add_shares_f32 = AK_FN(add_shares_f32),
  .gemm_f32 = AK_FN(gemm_f32),
  .assign_f32 = AK_FN(assign_f32),
  .dot_lvq8 = AK_FN(dot_lvq8),
  .dot_lvq4 = AK_FN(dot_lvq4),
  .dot_pq4 = AK_FN(dot_pq4),
  .pq4_tables = AK_FN(pq4_tables),
  .nearest_words = AK_FN(nearest_words),
  .sample_pq4 = AK_FN(sample_pq4),
  .collect_above_f32 = AK_FN(collect_above_f32),
  .read_memory = AK_FN(read_memory),
  .read_rows = AK_FN(read_rows),
  .multiply_add = AK_FN(multiply_add),
};
