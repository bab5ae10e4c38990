// Attention over the paged cache, in two passes per block of rows: all scores, softmax, then the weighted values.
// One chunk is up to 16 rows and query heads that share a key head. A page's keys (and values) are turned into f32
// once for all of them; the order of every sum stays that of one row alone.
// Included like lanes.h.

/// A chunk's call. Its lines are one row and one query head each.
struct Attention {
  const Call& call;
  size_t n, stride;             // values of a head; the same rounded up to 16
  size_t kvHead, first, group;  // key head; the first of the query heads, and how many
  size_t window;
  F scale, cap;
  bool capped;

  size_t position(size_t row) const { return static_cast<size_t>(call.program.step.positions[row]); }
  int32_t slot(size_t row) const { return call.program.step.slots[row]; }
  /// The first position that a row sees.
  size_t start(size_t row) const { return call.program.step.visibleFrom(row, window); }
  /// Room for one line's scores of rows [first, last): whole pages, and sixteen beyond.
  size_t span(size_t first, size_t last) const {
    return (position(last - 1) / pagePositions + 1) * pagePositions - start(first) / pagePositions * pagePositions + 16;
  }
};

/// Scores of one page for `lines` neighbouring lines: softcap(dot16(query, keys[…]) · scale), 32 each.
///
/// out      scores of the first line; the next line's are `span` values further
/// queries  `stride` values a line, zeros behind the n-th
/// panel    [stride][32] keys, zeros likewise
/// Lanes of dot16 are registers here, so the tree that joins them is plain additions.
template <size_t lines>
inline void scorePage(float* out, size_t span, const float* queries, const float* panel, const Attention& at) {
  constexpr size_t vectors = CLAVIS_LANES == 16 ? 2 : 1;  // as many accumulators as registers allow
  for (size_t from = 0; from < pagePositions; from += 16 * vectors) {
    F joined[4][lines][vectors];
#pragma GCC unroll 4
    for (size_t lane = 0; lane < 4; lane++) {
      F sums[4][lines][vectors];
#pragma GCC unroll 4
      for (size_t i = 0; i < 4; i++) {
#pragma GCC unroll 2
        for (size_t line = 0; line < lines; line++) {
#pragma GCC unroll 2
          for (size_t v = 0; v < vectors; v++) sums[i][line][v] = splat(0.0f);
        }
      }
      for (size_t e = lane; e < at.stride; e += 16) {
#pragma GCC unroll 4
        for (size_t i = 0; i < 4; i++) {
          const float* keys = panel + (e + 4 * i) * pagePositions + from;
#pragma GCC unroll 2
          for (size_t line = 0; line < lines; line++) {
            const F q = splat(queries[line * at.stride + e + 4 * i]);
#pragma GCC unroll 2
            for (size_t v = 0; v < vectors; v++) sums[i][line][v] = sums[i][line][v] + q * load(keys + 16 * v);
          }
        }
      }
#pragma GCC unroll 2
      for (size_t line = 0; line < lines; line++) {
#pragma GCC unroll 2
        for (size_t v = 0; v < vectors; v++) {
          joined[lane][line][v] =
              (sums[0][line][v] + sums[2][line][v]) + (sums[1][line][v] + sums[3][line][v]);
        }
      }
    }
    for (size_t line = 0; line < lines; line++) {
      for (size_t v = 0; v < vectors; v++) {
        const F dots =
            (joined[0][line][v] + joined[2][line][v]) + (joined[1][line][v] + joined[3][line][v]);
        const F scores = dots * at.scale;
        store(out + line * span + from + 16 * v, at.capped ? softcap(scores, at.cap) : scores);
      }
    }
  }
}

/// scores = exp(scores − their largest), `count` of them; writes up to fifteen beyond.
inline void exponentials(float* scores, size_t count) {
  F most = splat(-INFINITY);
  size_t i = 0;
  for (; i + 16 <= count; i += 16) most = larger(most, load(scores + i));
  float top = largest(most);
  for (; i < count; i++) top = scores[i] > top ? scores[i] : top;
  for (i = 0; i < count; i += 16) store(scores + i, exp(load(scores + i) - splat(top)));
}

/// out += Σ p[t] · values[t], t ascending, for `lines` neighbouring lines and `vectors` · 16 values.
///
/// out     outputs of the first line; the next line's are `stride` values further
/// p       weights, `span` values from line to line
/// values  rows `stride` values apart
template <size_t lines, size_t vectors>
inline void addColumns(float* out, const float* p, size_t span, const float* values, size_t stride, size_t count) {
  F sums[lines][vectors];
#pragma GCC unroll 4
  for (size_t line = 0; line < lines; line++) {
#pragma GCC unroll 8
    for (size_t v = 0; v < vectors; v++) sums[line][v] = load(out + line * stride + 16 * v);
  }
  for (size_t t = 0; t < count; t++, values += stride) {
#pragma GCC unroll 4
    for (size_t line = 0; line < lines; line++) {
      const F weight = splat(p[line * span + t]);
#pragma GCC unroll 8
      for (size_t v = 0; v < vectors; v++) sums[line][v] = sums[line][v] + weight * load(values + 16 * v);
    }
  }
#pragma GCC unroll 4
  for (size_t line = 0; line < lines; line++) {
#pragma GCC unroll 8
    for (size_t v = 0; v < vectors; v++) store(out + line * stride + 16 * v, sums[line][v]);
  }
}

template <size_t lines>
inline void addValues(float* out, const float* p, size_t span, const float* values, size_t stride, size_t count) {
  // Sixteen registers of sums with AVX-512, else eight; a lane group takes 16 / CLAVIS_LANES of them.
  constexpr size_t most = (CLAVIS_LANES == 16 ? 16 : 8) * CLAVIS_LANES / 16 / lines;
  constexpr size_t vectors = most > 8 ? 8 : most;
  size_t e = 0;
  for (; e + 16 * vectors <= stride; e += 16 * vectors) {
    addColumns<lines, vectors>(out + e, p, span, values + e, stride, count);
  }
  if (vectors > 4 && e + 64 <= stride) {
    addColumns<lines, 4>(out + e, p, span, values + e, stride, count);
    e += 64;
  }
  for (; e < stride; e += 16) addColumns<lines, 1>(out + e, p, span, values + e, stride, count);
}

/// Rows [first, last) of one sequence. scratch: a panel of 32 rows, then per line a query, an output and scores.
inline void attend(const Attention& at, size_t first, size_t last, float* scratch) {
  const Call& call = at.call;
  const Cache& cache = call.program.cache;
  const Step& step = call.program.step;
  const size_t layer = call.size(8), n = at.n, stride = at.stride, lines = (last - first) * at.group;
  const size_t span = at.span(first, last);
  float* panel = scratch;
  float* queries = panel + pagePositions * stride;
  float* outputs = queries + lines * stride;
  float* scores = outputs + lines * stride;
  const auto rowOf = [&](size_t line) { return first + line / at.group; };
  const auto headAt = [&](size_t line) { return (at.first + line % at.group) * n; };

  for (size_t line = 0; line < lines; line++) {
    float* query = queries + line * stride;
    std::memcpy(query, call.aF32(rowOf(line)) + headAt(line), n * sizeof(float));
    std::memset(query + n, 0, (stride - n) * sizeof(float));
  }
  std::memset(outputs, 0, lines * stride * sizeof(float));
  // The panel's rows behind the n-th key value; loadKeys leaves them alone.
  std::memset(panel + n * pagePositions, 0, (stride - n) * pagePositions * sizeof(float));

  // Score of position p of a line: scores[line · span + p − base].
  const size_t base = at.start(first) / pagePositions * pagePositions, end = at.position(last - 1) + 1;
  for (size_t page = base; page < end; page += pagePositions) {
    loadKeys(panel, cache.keys(layer, step.page(first, page), at.kvHead), n, cache.quantized);
    // Positions of the page that a row does not see get a score, too; nobody looks at it.
    const auto sees = [&](size_t line) {
      return line < lines && at.start(rowOf(line)) < page + pagePositions && at.position(rowOf(line)) >= page;
    };
    for (size_t line = 0; line < lines; line++) {
      if (!sees(line)) continue;
      float* out = scores + line * span + (page - base);
      if (CLAVIS_LANES == 16 && sees(line + 1)) scorePage<2>(out, span, queries + line++ * stride, panel, at);
      else scorePage<1>(out, span, queries + line * stride, panel, at);
    }
  }
  for (size_t line = 0; line < lines; line++) {
    const size_t row = rowOf(line);
    exponentials(scores + line * span + (at.start(row) - base), at.position(row) + 1 - at.start(row));
  }
  for (size_t page = base; page < end; page += pagePositions) {
    const size_t low = at.start(first) > page ? at.start(first) : page;
    const size_t high = end < page + pagePositions ? end : page + pagePositions;
    loadValues(panel, stride, cache.values(layer, step.page(first, page), at.kvHead), n, low - page, high - page,
               cache.quantized);
    for (size_t line = 0; line < lines;) {
      const size_t row = rowOf(line);
      const size_t from = at.start(row) > page ? at.start(row) : page;
      const size_t to = at.position(row) + 1 < high ? at.position(row) + 1 : high;
      // Query heads of one row see the same positions and share the loads of their values.
      size_t left = at.group - line % at.group;
      if (from >= to) {
        line += left;
        continue;
      }
      while (left > 0) {
        float* out = outputs + line * stride;
        const float* p = scores + line * span + (from - base);
        const float* values = panel + (from - page) * stride;
        const size_t together = left >= 4 && CLAVIS_LANES == 16 ? 4 : left >= 2 && CLAVIS_LANES >= 8 ? 2 : 1;
        if (together == 4) addValues<CLAVIS_LANES == 16 ? 4 : 1>(out, p, span, values, stride, to - from);
        else if (together == 2) addValues<2>(out, p, span, values, stride, to - from);
        else addValues<1>(out, p, span, values, stride, to - from);
        line += together;
        left -= together;
      }
    }
  }
  for (size_t line = 0; line < lines; line++) {
    const size_t row = rowOf(line);
    const float* p = scores + line * span + (at.start(row) - base);
    const F inverse = splat(1.0f / sum16(p, at.position(row) + 1 - at.start(row)));
    mapRow(call.outF32(row) + headAt(line), outputs + line * stride, n, [inverse](F v) { return v * inverse; });
  }
}

/// Rows [first, last) (at most attentionRows) of query heads [fromHead, toHead), which share key head `kvHead`.
void attention(const Call& call, size_t first, size_t last, size_t kvHead, size_t fromHead, size_t toHead,
               uint8_t* scratch, size_t scratchBytes) {
  const size_t n = call.size(9);
  const float cap = call.real(14);
  const Attention at{
      .call = call,
      .n = n,
      .stride = (n + 15) / 16 * 16,
      .kvHead = kvHead,
      .first = fromHead,
      .group = toHead - fromHead,
      .window = call.size(12),
      .scale = splat(call.real(13)),
      .cap = splat(cap),
      .capped = cap > 0,
  };
  // As many neighbours of one sequence together as the scratch has room for; one always fits.
  const auto bytes = [&](size_t from, size_t to) {
    return (pagePositions * at.stride + (to - from) * at.group * (2 * at.stride + at.span(from, to))) * sizeof(float);
  };
  for (size_t row = first; row < last;) {
    size_t end = row + 1;
    while (end < last && at.slot(end) == at.slot(row) && bytes(row, end + 1) <= scratchBytes) end++;
    attend(at, row, end, reinterpret_cast<float*>(scratch));
    row = end;
  }
}
