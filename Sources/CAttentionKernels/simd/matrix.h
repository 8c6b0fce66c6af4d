// Template: packing and the register tile of all matrix products, the general product, and the k-means step.
//
// Every product is C[i, j] = sum over p of A[i, p] * B[p, j]: elements of A are broadcast, and the columns j
// are lanes of B, packed in panels [p, width] of up to AK_PANEL columns.

#define AK_PANEL (AK_PANEL_VECTORS * AK_LANES)

// c [rows, vectors * AK_LANES] (+)= A [rows, k] * panel [k, vectors * AK_LANES]
AK_TEMPLATE void product_tile(
  const int rows, const int vectors, const float *a, size_t a_row_stride, size_t a_column_stride,
  const float *panel, size_t k, float *c, size_t c_stride, const int accumulate) {
  ak_v sums[AK_TILE_ROWS][AK_PANEL_VECTORS];
  AK_UNROLL for (int r = 0; r < rows; r++) {
    AK_UNROLL for (int v = 0; v < vectors; v++) {
      sums[r][v] = accumulate ? v_load(c + r * c_stride + v * AK_LANES) : v_set(0);
    }
  }
  for (size_t p = 0; p < k; p++) {
    ak_v x[AK_PANEL_VECTORS];
    AK_UNROLL for (int v = 0; v < vectors; v++) x[v] = v_load(panel + (p * vectors + v) * AK_LANES);
    AK_UNROLL for (int r = 0; r < rows; r++) {
      const ak_v factor = v_set(a[r * a_row_stride + p * a_column_stride]);
      AK_UNROLL for (int v = 0; v < vectors; v++) sums[r][v] = v_fma(factor, x[v], sums[r][v]);
    }
  }
  AK_UNROLL for (int r = 0; r < rows; r++) {
    AK_UNROLL for (int v = 0; v < vectors; v++) v_store(c + r * c_stride + v * AK_LANES, sums[r][v]);
  }
}

// Any number of rows: whole tiles, then smaller ones.
AK_TEMPLATE void product_rows(
  const int vectors, size_t rows, const float *a, size_t a_row_stride, size_t a_column_stride,
  const float *panel, size_t k, float *c, size_t c_stride, const int accumulate) {
  size_t r = 0;
#define AK_ROWS_CASE(count)                                                          \
  for (; r + (count) <= rows; r += (count)) {                                        \
    product_tile(                                                                    \
      count, vectors, a + r * a_row_stride, a_row_stride, a_column_stride, panel, k, \
      c + r * c_stride, c_stride, accumulate);                                       \
  }
  AK_ROWS_CASE(AK_TILE_ROWS)
  AK_ROWS_CASE(4)
  AK_ROWS_CASE(2)
  AK_ROWS_CASE(1)
#undef AK_ROWS_CASE
}

// Dispatches on the panel's vectors and on `accumulate`.
static void product(
  size_t vectors, size_t rows, const float *a, size_t a_row_stride, size_t a_column_stride,
  const float *panel, size_t k, float *c, size_t c_stride, int accumulate) {
#define AK_PANEL_CASE(count)                                                                 \
  case count:                                                                                \
    if (accumulate)                                                                          \
      product_rows(count, rows, a, a_row_stride, a_column_stride, panel, k, c, c_stride, 1); \
    else                                                                                     \
      product_rows(count, rows, a, a_row_stride, a_column_stride, panel, k, c, c_stride, 0); \
    break
  switch (vectors) {
    AK_PANEL_CASE(1);
    AK_PANEL_CASE(2);
#if AK_PANEL_VECTORS > 2
    AK_PANEL_CASE(3);
#endif
  }
#undef AK_PANEL_CASE
}

// Vectors of a panel that holds `columns` columns, or of a full one.
static size_t panel_vectors(size_t columns) {
  return columns >= AK_PANEL ? AK_PANEL_VECTORS : (columns + AK_LANES - 1) / AK_LANES;
}

// Four rows of four floats, transposed. Plain vector types: every compiler target has these shuffles.
typedef float ak_quad __attribute__((vector_size(16), aligned(4)));

static inline void store_transposed(
  const float *source, size_t source_stride, float *target, size_t target_stride) {
  ak_quad r[4];
  AK_UNROLL for (int i = 0; i < 4; i++) memcpy(&r[i], source + i * source_stride, sizeof r[i]);
  const ak_quad a = __builtin_shufflevector(r[0], r[1], 0, 4, 1, 5);
  const ak_quad b = __builtin_shufflevector(r[0], r[1], 2, 6, 3, 7);
  const ak_quad c = __builtin_shufflevector(r[2], r[3], 0, 4, 1, 5);
  const ak_quad d = __builtin_shufflevector(r[2], r[3], 2, 6, 3, 7);
  const ak_quad t[4] = {
    __builtin_shufflevector(a, c, 0, 1, 4, 5), __builtin_shufflevector(a, c, 2, 3, 6, 7),
    __builtin_shufflevector(b, d, 0, 1, 4, 5), __builtin_shufflevector(b, d, 2, 3, 6, 7)};
  AK_UNROLL for (int i = 0; i < 4; i++) memcpy(target + i * target_stride, &t[i], sizeof t[i]);
}

// target[j * target_stride + i] = source[i * source_stride + j] for i < rows, j < columns
static void transpose(
  const float *source, size_t source_stride, size_t rows, size_t columns, float *target,
  size_t target_stride) {
  for (size_t i = 0; i < rows; i += 4) {
    const size_t height = ak_min(4, rows - i);
    size_t j = 0;
    for (; height == 4 && j + 4 <= columns; j += 4) {
      store_transposed(
        source + i * source_stride + j, source_stride, target + j * target_stride + i, target_stride);
    }
    for (; j < columns; j++) {
      for (size_t r = 0; r < height; r++) {
        target[j * target_stride + i + r] = source[(i + r) * source_stride + j];
      }
    }
  }
}

// Packs B[0 ..< k, 0 ..< columns] into a panel [k, width], zeros beyond the columns.
static void pack_panel(
  const float *b, size_t row_stride, size_t column_stride, size_t k, size_t columns, size_t width,
  float *panel) {
  if (column_stride != 1 && row_stride == 1) {
    transpose(b, column_stride, columns, k, panel, width);
  } else {
    for (size_t p = 0; p < k; p++) {
      for (size_t j = 0; j < columns; j++) panel[p * width + j] = b[p * row_stride + j * column_stride];
    }
  }
  if (columns == width) return;
  for (size_t p = 0; p < k; p++) {
    for (size_t j = columns; j < width; j++) panel[p * width + j] = 0;
  }
}

// One panel of columns times a block of rows, written to C by way of `tile` where the panel is padded.
static void product_into(
  size_t vectors, size_t rows, const float *a, size_t a_row_stride, size_t a_column_stride,
  const float *panel, size_t k, float *c, size_t c_stride, size_t columns, int accumulate, float *tile) {
  const size_t width = vectors * AK_LANES;
  if (columns == width) {
    product(vectors, rows, a, a_row_stride, a_column_stride, panel, k, c, c_stride, accumulate);
    return;
  }
  for (size_t i = 0; i < rows; i += AK_TILE_ROWS) {
    const size_t height = ak_min(AK_TILE_ROWS, rows - i);
    product(vectors, height, a + i * a_row_stride, a_row_stride, a_column_stride, panel, k, tile, width, 0);
    for (size_t r = 0; r < height; r++) {
      float *row = c + (i + r) * c_stride;
      for (size_t j = 0; j < columns; j++) row[j] = (accumulate ? row[j] : 0) + tile[r * width + j];
    }
  }
}

static void AK_FN(gemm_f32)(
  const float *a, size_t a_row_stride, size_t a_column_stride, const float *b, size_t b_row_stride,
  size_t b_column_stride, float *c, size_t c_stride, size_t m, size_t n, size_t k, int accumulate,
  float *scratch) {
  float *panel = scratch;
  float *packed = panel + AK_GEMM_DEPTH * AK_PANEL;
  float *tile = packed + AK_GEMM_DEPTH * AK_GEMM_ROWS;
  if (k == 0 && !accumulate) {
    for (size_t i = 0; i < m; i++) memset(c + i * c_stride, 0, n * sizeof(float));
  }
  for (size_t i = 0; i < m; i += AK_GEMM_ROWS) {
    const size_t rows = ak_min(AK_GEMM_ROWS, m - i);
    for (size_t p = 0; p < k; p += AK_GEMM_DEPTH) {
      const size_t depth = ak_min(AK_GEMM_DEPTH, k - p);
      const float *block = a + i * a_row_stride + p * a_column_stride;
      size_t row_stride = a_row_stride, column_stride = a_column_stride;
      if (column_stride != 1 && n > AK_PANEL) {
        // A column of A would touch a cache line a step, again for each panel: transpose it once.
        pack_panel(block, row_stride, column_stride, rows, depth, depth, packed);
        block = packed;
        row_stride = depth;
        column_stride = 1;
      }
      for (size_t j = 0; j < n; j += AK_PANEL) {
        const size_t columns = ak_min(AK_PANEL, n - j);
        const size_t vectors = panel_vectors(columns);
        pack_panel(
          b + p * b_row_stride + j * b_column_stride, b_row_stride, b_column_stride, depth, columns,
          vectors * AK_LANES, panel);
        product_into(
          vectors, rows, block, row_stride, column_stride, panel, depth, c + i * c_stride + j, c_stride,
          columns, accumulate || p > 0, tile);
      }
    }
  }
}

// Folds the products of `rows` centroids, the first of number `first`, into the best of each point.
AK_TEMPLATE void fold_best(
  const float *tile, size_t width, size_t rows, const float *half_norms, size_t first, float *best,
  float *best_index) {
  for (size_t j = 0; j < width; j += AK_LANES) {
    ak_v value = v_load(best + j), index = v_load(best_index + j);
    for (size_t r = 0; r < rows; r++) {
      const ak_v candidate = v_sub(v_load(tile + r * width + j), v_set(half_norms[first + r]));
      index = v_if_greater(candidate, value, v_set((float)(first + r)), index);
      value = v_max(value, candidate);
    }
    v_store(best + j, value);
    v_store(best_index + j, index);
  }
}

// Points are the lanes, so that the best of each is found without crossing lanes.
static void AK_FN(assign_f32)(
  ak_rows_f32 points, size_t n, ak_rows_f32 centroids, size_t k, size_t d, const float *half_norms,
  uint32_t *assignments, float *best, float *scratch) {
  float *panel = scratch;
  float *tile = panel + d * AK_PANEL;
  float *values = tile + AK_TILE_ROWS * AK_PANEL;
  float *indices = values + AK_PANEL;
  for (size_t i = 0; i < n; i += AK_PANEL) {
    const size_t count = ak_min(AK_PANEL, n - i);
    const size_t vectors = panel_vectors(count), width = vectors * AK_LANES;
    pack_panel(points.data + i * points.stride, 1, points.stride, d, count, width, panel);
    for (size_t j = 0; j < width; j++) values[j] = -INFINITY, indices[j] = 0;
    for (size_t j = 0; j < k; j += AK_TILE_ROWS) {
      const size_t rows = ak_min(AK_TILE_ROWS, k - j);
      const float *block = centroids.data + j * centroids.stride;
      product(vectors, rows, block, centroids.stride, 1, panel, d, tile, width, 0);
      fold_best(tile, width, rows, half_norms, j, values, indices);
    }
    for (size_t j = 0; j < count; j++) {
      best[i + j] = values[j];
      assignments[i + j] = (uint32_t)indices[j];
    }
  }
}
