// Template: what rows weigh by their product codes, and a sample of them.

// 2^t for -126 <= t <= 126, relative error below 3e-7: a polynomial of least relative error, 1e-7, for the
// fraction, the rest into the exponent.
AK_TEMPLATE ak_v v_power(ak_v t) {
  const ak_v magic = v_set(12582912.0f);
  const ak_v shifted = v_add(t, magic);
  const ak_v r = v_sub(t, v_sub(shifted, magic));
  ak_v p = v_set(1.32647273e-03f);
  p = v_fma(p, r, v_set(9.67151279e-03f));
  p = v_fma(p, r, v_set(5.55073374e-02f));
  p = v_fma(p, r, v_set(2.40222421e-01f));
  p = v_fma(p, r, v_set(6.93146978e-01f));
  p = v_fma(p, r, v_set(1));
  return v_add_exponent(p, shifted);
}

// [0 ..< AK_LANES] ones, then zeros: the first `count` lanes are those from 16 - count on.
static const float first_lanes[32] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};

AK_PRIMITIVE ak_v v_first_lanes(size_t count) { return v_load(first_lanes + 16 - ak_min(count, AK_LANES)); }

// The part of some lists that a scan takes at once: n rows from row `first` on, that of list selected[list].
typedef struct ak_piece {
  size_t list, first, n;
} ak_piece;

// Where the weights of some queries go: bases, weights and the queries' scales begin with the first of them.
typedef struct ak_weighing {
  ak_lists lists;
  const float *scales, *table_bases, *bases, *factors;
  size_t base_stride;
  float *weights;  // [queries, AK_SAMPLE_ROWS]
  float *worths;   // [AK_SAMPLE_ROWS]
  int adds;        // to the worths of other queries
} ak_weighing;

// Weights and worths of a piece from its sums of table entries, in whole vectors, so that up to a vector more is
// written.
AK_TEMPLATE void weigh_lists(
  const int queries, uint16_t (*totals)[AK_PQ_TOTALS], size_t begin, ak_piece piece, const ak_weighing *to) {
  const float octave = 1.44269504088896341f;
  const ak_v most = v_set(87 * octave), least = v_set(-87 * octave);
  for (size_t s = piece.list, i = 0, end; i < piece.n; i = end, s++) {
    const size_t c = to->lists.selected[s];
    end = ak_min(to->lists.ends[c] - piece.first, piece.n);
    ak_v steps[AK_PQ_QUERIES], firsts[AK_PQ_QUERIES];
    AK_UNROLL for (int h = 0; h < queries; h++) {
      steps[h] = v_set(to->scales[h] * octave);
      firsts[h] = v_set((to->bases[h * to->base_stride + c] + to->table_bases[h]) * octave);
    }
    const ak_v factor = v_set(to->factors[c]);
    for (size_t j = i; j < end; j += AK_LANES) {
      ak_v sum = v_set(0);
      AK_UNROLL for (int h = 0; h < queries; h++) {
        const ak_v t = v_fma(steps[h], v_load_u16(totals[h] + begin + j), firsts[h]);
        const ak_v weight = v_power(v_max(least, v_min(most, t)));
        v_store(to->weights + h * AK_SAMPLE_ROWS + j, weight);
        sum = v_add(sum, weight);
      }
      sum = v_mul(factor, sum);
      // What is behind a list is the next one's, and must not be added to.
      if (to->adds && end - j < AK_LANES) {
        v_store_part(to->worths + j, end - j, v_add(v_load_part(to->worths + j, end - j, 0), sum));
      } else {
        v_store(to->worths + j, to->adds ? v_add(v_load(to->worths + j), sum) : sum);
      }
    }
  }
}

typedef void (*weigh_function)(uint16_t (*)[AK_PQ_TOTALS], size_t, ak_piece, const ak_weighing *);
#define AK_WEIGH_FUNCTION(queries)                                                                      \
  static __attribute__((noinline)) void weigh_lists_##queries(                                          \
    uint16_t (*totals)[AK_PQ_TOTALS], size_t begin, ak_piece piece, const ak_weighing *to) {            \
    weigh_lists(queries <= AK_PQ_QUERIES ? queries : AK_PQ_QUERIES, totals, begin, piece, to);          \
  }
AK_WEIGH_FUNCTION(1)
AK_WEIGH_FUNCTION(2)
AK_WEIGH_FUNCTION(3)
AK_WEIGH_FUNCTION(4)
AK_WEIGH_FUNCTION(5)
AK_WEIGH_FUNCTION(6)
#undef AK_WEIGH_FUNCTION

static void weigh_piece(
  ak_code_queries queries, size_t m, const uint8_t *blocks, size_t block_bytes, ak_piece piece, ak_coming *coming,
  const ak_weighing *to) {
  static const weigh_function functions[6] = {weigh_lists_1, weigh_lists_2, weigh_lists_3,
                                              weigh_lists_4, weigh_lists_5, weigh_lists_6};
  uint16_t totals[AK_PQ_QUERIES][AK_PQ_TOTALS];
  size_t shares = pq_shares(m);
  for (size_t h = 0; h < m; shares--) {
    const size_t share = query_share(m - h, shares);
    const size_t begin =
      pq_totals(share, queries, h, blocks, block_bytes, piece.first, piece.n, h > 0 ? NULL : coming, totals);
    ak_weighing part = *to;
    part.scales += h;
    part.table_bases += h;
    part.bases += h * to->base_stride;
    part.weights += h * AK_SAMPLE_ROWS;
    part.adds = h > 0;
    functions[share - 1](totals, begin, piece, &part);
    h += share;
  }
}

// A sample that is being taken.
typedef struct ak_taking {
  ak_sample to;
  size_t room;   // for rows
  size_t count;  // also of those for which there was no room
  float before;  // the fraction of the sum of chances so far
} ak_taking;

// Takes the lanes of a vector of rows whose bits are set, `whole` for sure and the others with their chances. Answers
// what is left of each row of the list, 0 for rows that are not its own.
static ak_v take_lanes(ak_taking *taking, uint32_t taken, uint32_t whole, ak_v chance, size_t row, ak_v own) {
#ifdef AK_COMPRESSES
  if (taking->count + AK_LANES <= taking->room) {
    const ak_v chances = v_blend(whole, chance, v_set(1));
    v_store(taking->to.chances + taking->count, v_compress(taken, chances));
    i_store(taking->to.rows + taking->count, i_compress(taken, i_count_from((uint32_t)row)));
    taking->count += (size_t)__builtin_popcount(taken);
    return v_sub(own, v_divide(v_set(1), v_blend(taken, v_set(INFINITY), chances)));
  }
#endif
  if (!taken) return own;
  float chances[AK_LANES], left[AK_LANES];
  v_store(chances, chance);
  v_store(left, own);
  for (; taken; taken &= taken - 1) {
    const size_t lane = (size_t)__builtin_ctz(taken), place = taking->count++;
    if (place >= taking->room) continue;
    const float lane_chance = whole >> lane & 1 ? 1 : chances[lane];
    taking->to.chances[place] = lane_chance;
    taking->to.rows[place] = (uint32_t)(row + lane);
    left[lane] = 1 - 1 / lane_chance;
  }
  return v_load(left);
}

// Takes rows of a list, a vector at a time: running sums along the lanes show where a whole number is passed. Writes
// what is left of each row to `left`.
static void take_list(ak_taking *taking, const float *worths, size_t n, size_t first, float *left) {
  const ak_v zero = v_set(0), threshold = v_set(taking->to.threshold);
  const ak_v inverse = v_set(taking->to.systematic ? 1 / taking->to.threshold : 0);
  // It grows through the list, so that a vector waits for one addition of the vector before.
  float before = taking->before;
  for (size_t i = 0; i < n; i += AK_LANES) {
    const ak_v own = v_first_lanes(n - i), worth = v_load(worths + i);
    // Of what is worth the threshold or is NaN, nothing is added to the sum.
    const uint32_t whole = ~v_greater(threshold, worth) & v_greater(own, zero);
    const ak_v below = v_if_greater(threshold, worth, v_mul(worth, inverse), zero);
    const ak_v chance = v_if_greater(own, zero, below, zero);
    const ak_v running = v_running(chance);
    const ak_v floors = v_floor(v_add(running, v_set(before)));
    const uint32_t taken = whole | v_greater(floors, v_behind(floors, floorf(before)));
    before += v_last(running);
    v_store(left + i, take_lanes(taking, taken, whole, chance, first + i, own));
  }
  taking->before = before - floorf(before);
}

// Takes rows of a piece, and adds to the rests of its lists.
static void take_piece(ak_taking *taking, size_t m, ak_piece piece, const ak_weighing *from) {
  float left[AK_SAMPLE_ROWS];
  for (size_t s = piece.list, i = 0, end; i < piece.n; i = end, s++) {
    end = ak_min(from->lists.ends[from->lists.selected[s]] - piece.first, piece.n);
    take_list(taking, from->worths + i, end - i, piece.first + i, left);
    for (size_t h = 0; h < m; h++) {
      const float *weights = from->weights + h * AK_SAMPLE_ROWS + i;
      ak_v sum = v_set(0);
      for (size_t j = 0; j < end - i; j += AK_LANES) sum = v_fma(v_load(weights + j), v_load(left + j), sum);
      taking->to.rests[h * taking->to.rest_stride + s] += v_total(sum);
    }
  }
}

// Codes that are asked for before the first ones are scanned.
#define AK_CODES_AHEAD 32768

// Lists that are neighbors are scanned together: a block that two of them share is looked at once.
static size_t AK_FN(sample_pq4)(
  ak_code_queries queries, size_t m, const uint8_t *blocks, size_t subquantizers, ak_lists lists,
  const float *bases, size_t base_stride, const float *factors, ak_sample sample, float *worths, float *scratch) {
  const size_t block_bytes = ak_pq4_block_bytes(subquantizers);
  const ak_weighing weighing = {
    .lists = lists,
    .scales = queries.scales,
    .table_bases = queries.bases,
    .bases = bases,
    .factors = factors,
    .base_stride = base_stride,
    .weights = scratch,
    .worths = scratch + m * AK_SAMPLE_ROWS,
  };
  for (size_t h = 0; h < m; h++) memset(sample.rests + h * sample.rest_stride, 0, lists.count * sizeof(float));
  ak_taking taking = {.to = sample, .before = 0.5f};
  for (size_t s = 0; s < lists.count; s++) taking.room += lists.ends[lists.selected[s]] - lists.begins[lists.selected[s]];
  taking.room = ak_min(taking.room, sample.limit);
  ak_coming coming = {.blocks = blocks, .lists = lists};
  fetch_codes(&coming, AK_CODES_AHEAD, block_bytes);
  size_t next = 0;
  for (size_t s = 0; s < lists.count;) {
    size_t last = s;
    while (last + 1 < lists.count && lists.begins[lists.selected[last + 1]] == lists.ends[lists.selected[last]]) last++;
    const size_t end = lists.ends[lists.selected[last]];
    for (size_t row = lists.begins[lists.selected[s]]; row < end;) {
      while (lists.ends[lists.selected[s]] <= row) s++;
      const ak_piece piece = {s, row, pq_scan_rows(row, end - row)};
      weigh_piece(queries, m, blocks, block_bytes, piece, &coming, &weighing);
      take_piece(&taking, m, piece, &weighing);
      if (worths) memcpy(worths + next, weighing.worths, piece.n * sizeof(float));
      row += piece.n;
      next += piece.n;
    }
    s = last + 1;
  }
  return taking.count;
}
