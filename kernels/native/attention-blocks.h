// Attention for fast mode: blocks of lines (a row's query head each) × blocks of positions. A block's keys and values are
// converted once for all lines of a chunk; each line keeps the largest score so far, the sum of its weights and its
// output, and rescales them when a larger score comes. Source: Milakov and Gimelshein 2018, arXiv:1805.02867; Dao et al.
// 2022, arXiv:2205.14135.
//
// Included inside an anonymous namespace after lanes.h and math.h. A Unit multiplies: it says what factors are kept as
// (Value), how many of them along the inner dimension share a 32-bit lane (pair), of how many the inner dimension is a
// multiple (depth), and how many lines it takes at a time (lines).
//
// The second factor of both products lies in panels of sixteen columns: [inner / pair][16 columns][pair].

/// Positions of a block. Blocks begin at multiples of it, so a line's sums are cut the same whatever lies beside it.
constexpr size_t kBlock = 128;

/// Scores of positions that a line does not see, and what its largest score begins with: low enough that the first
/// vanish beside the second, and that neither leaves the range of f32 when it is scaled.
constexpr float kHidden = -1e36f, kLowest = -1e30f;

inline F fusedAdd(F x, F y, F sum) {
#if CLAVIS_LANES == 16
  return {_mm512_fmadd_ps(x.a, y.a, sum.a)};
#else
  return {_mm256_fmadd_ps(x.a, y.a, sum.a), _mm256_fmadd_ps(x.b, y.b, sum.b)};
#endif
}

/// The largest lane.
inline float largestOf(F x) {
#if CLAVIS_LANES == 16
  return _mm512_reduce_max_ps(x.a);
#else
  const __m256 eight = _mm256_max_ps(x.a, x.b);
  __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  four = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(four, _mm_movehdup_ps(four)));
#endif
}

/// 2^x in each lane, x below 127, within 2^-18 of itself; what is below 2^-126 may be zero. NaN stays NaN. The polynomial
/// is the minimax one of degree 4 for 2^f, |f| ≤ 1/2 (relative error 2.6e-6).
inline F exp2(F x) {
#if CLAVIS_LANES == 16
  const F whole = {_mm512_roundscale_ps(x.a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
#else
  // The second operand is the result where one is NaN.
  x = larger(splat(-127.0f), x);
  const I exponent = toInt(x);
  const F whole = toFloat(exponent);
#endif
  const F f = x - whole;
  F p = splat(0.009570102207362652f);
  p = fusedAdd(p, f, splat(0.05591785907745361f));
  p = fusedAdd(p, f, splat(0.240247443318367f));
  p = fusedAdd(p, f, splat(0.6931217908859253f));
  p = fusedAdd(p, f, splat(0.9999992847442627f));
#if CLAVIS_LANES == 16
  return {_mm512_scalef_ps(p.a, whole.a)};
#else
  return p * asExponent(exponent + splatInt(127));
#endif
}

constexpr size_t roundUp(size_t count, size_t unit) { return (count + unit - 1) / unit * unit; }

/// Where a thread keeps what; every part begins on a cache line.
template <class Unit>
struct BlockScratch {
  using Value = typename Unit::Value;
  size_t depth, queryStride;  // values of a key, and of a query line, with zeros behind the n-th
  size_t keys, values, queries, weights, scores, outputs, sums, tops, bytes;

  BlockScratch(size_t n, size_t lines) {
    const size_t all = roundUp(lines, Unit::lines);
    depth = roundUp(n, Unit::depth);
    queryStride = roundUp(n, 32);
    bytes = 0;
    const auto place = [this](size_t size) {
      const size_t at = bytes;
      bytes += roundUp(size, 64);
      return at;
    };
    keys = place(kBlock * depth * sizeof(Value));
    values = place(kBlock * n * sizeof(Value));
    queries = place(all * queryStride * sizeof(Value));
    weights = place(Unit::lines * kBlock * sizeof(Value));
    scores = place(Unit::lines * kBlock * sizeof(float));
    outputs = place(all * n * sizeof(float));
    sums = place(all * 16 * sizeof(float));
    tops = place(all * sizeof(float));
  }
};

/// Element e of the keys of sixteen positions of a page (program.h, Cache): the first or the second sixteen.
inline F keyLanes(const uint8_t* keys, size_t n, size_t e, size_t half, bool quantized) {
  const size_t at = e * pagePositions + 16 * half;
  if (!quantized) return fromHalves(reinterpret_cast<const uint16_t*>(keys) + at);
  const float* scales = reinterpret_cast<const float*>(keys + n * pagePositions) + e / 32 * pagePositions + 16 * half;
  return load(scales) * fromCodes(reinterpret_cast<const int8_t*>(keys) + at);
}

/// Elements [e, e + 16) of position t's value.
inline F valueLanes(const uint8_t* values, size_t n, size_t t, size_t e, bool quantized) {
  if (!quantized) return fromHalves(reinterpret_cast<const uint16_t*>(values) + t * n + e);
  const uint8_t* line = values + t * (n + n / 32 * sizeof(float));
  return splat(reinterpret_cast<const float*>(line + n)[e / 32]) * fromCodes(reinterpret_cast<const int8_t*>(line) + e);
}

/// One head's keys of a page as two panels of sixteen positions.
template <class Unit, bool quantized>
inline void convertKeys(typename Unit::Value* to, const uint8_t* keys, size_t n, size_t depth) {
  for (size_t half = 0; half < 2; half++, to += 16 * depth) {
    for (size_t e = 0; e < n; e += Unit::pair) {
      Unit::put(to + 16 * e, keyLanes(keys, n, e, half, quantized),
                keyLanes(keys, n, e + Unit::pair - 1, half, quantized));
    }
    for (size_t e = n; e < depth; e += Unit::pair) Unit::put(to + 16 * e, splat(0.0f), splat(0.0f));
  }
}

/// One head's values of a page as a part of n / 16 panels, `kBlock` positions each; zeros from position `count` on, where
/// the cache may hold anything.
template <class Unit, bool quantized>
inline void convertValues(typename Unit::Value* to, const uint8_t* values, size_t n, size_t count) {
  const auto at = [=](size_t t, size_t e) { return t < count ? valueLanes(values, n, t, e, quantized) : splat(0.0f); };
  for (size_t t = 0; t < pagePositions; t += Unit::pair) {
    for (size_t e = 0; e < n; e += 16) Unit::put(to + e * kBlock + 16 * t, at(t, e), at(t + Unit::pair - 1, e));
  }
}

/// Lines × panels of sixteen columns, as many sums at a time as the registers hold.
///
/// out     a line's sums `outStride` floats after those of the line before; overwritten, or added to
/// a       first factors, `aStride` values from line to line
/// b       second factors, `panelStride` values from panel to panel
template <class Unit, size_t columns>
inline void multiplyPanels(float* out, size_t outStride, const typename Unit::Value* a, size_t aStride,
                           const typename Unit::Value* b, size_t panelStride, size_t depth, bool adds) {
  F sums[Unit::lines][columns];
#pragma GCC unroll 8
  for (size_t line = 0; line < Unit::lines; line++) {
#pragma GCC unroll 8
    for (size_t c = 0; c < columns; c++) {
      sums[line][c] = adds ? load(out + line * outStride + 16 * c) : splat(0.0f);
    }
  }
  for (size_t at = 0; at < depth; at += Unit::pair) {
    typename Unit::Factors second[columns];
#pragma GCC unroll 8
    for (size_t c = 0; c < columns; c++) second[c] = Unit::loadFactors(b + c * panelStride + 16 * at);
#pragma GCC unroll 8
    for (size_t line = 0; line < Unit::lines; line++) {
      const auto first = Unit::spreadFactor(a + line * aStride + at);
#pragma GCC unroll 8
      for (size_t c = 0; c < columns; c++) sums[line][c] = Unit::addProducts(sums[line][c], first, second[c]);
    }
  }
#pragma GCC unroll 8
  for (size_t line = 0; line < Unit::lines; line++) {
#pragma GCC unroll 8
    for (size_t c = 0; c < columns; c++) store(out + line * outStride + 16 * c, sums[line][c]);
  }
}

template <class Unit>
inline void multiplyVectors(float* out, size_t outStride, const typename Unit::Value* a, size_t aStride,
                            const typename Unit::Value* b, size_t panelStride, size_t panels, size_t depth, bool adds) {
  constexpr size_t most = Unit::columns;
  size_t c = 0;
  for (; c + most <= panels; c += most) {
    multiplyPanels<Unit, most>(out + 16 * c, outStride, a, aStride, b + c * panelStride, panelStride, depth, adds);
  }
  for (; c < panels; c++) {
    multiplyPanels<Unit, 1>(out + 16 * c, outStride, a, aStride, b + c * panelStride, panelStride, depth, adds);
  }
}

/// A line's scores of a block become weights, 2^(score · scale − the largest so far).
///
/// scores   [from, to), 32 divides both
/// top      the largest scaled score so far
/// sums     sixteen sums of weights
/// output   n values
template <class Unit>
inline void weighLine(const float* scores, typename Unit::Value* weights, size_t from, size_t to, F scale, float& top,
                      float* sums, float* output, size_t n) {
  F low = load(scores + from), high = load(scores + from + 16);
  for (size_t i = from + 32; i < to; i += 32) {
    low = larger(low, load(scores + i));
    high = larger(high, load(scores + i + 16));
  }
  const float most = largestOf(larger(low, high) * scale);
  F sum = load(sums);
  // NaN differs from everything, and becomes the output.
  if (!(most <= top)) {
    const F factor = exp2(splat(top) - splat(most));
    sum = sum * factor;
    for (size_t e = 0; e < n; e += 16) store(output + e, load(output + e) * factor);
    top = most;
  }
  const F less = splat(top);
  for (size_t i = from; i < to; i += 32) {
    // Not fused: the largest score must become 0, however large it is.
    const F first = exp2(load(scores + i) * scale - less);
    const F second = exp2(load(scores + i + 16) * scale - less);
    sum = sum + (first + second);
    Unit::putRow(weights + i, first, second);
  }
  store(sums, sum);
}

/// What a chunk computes.
struct BlockCall {
  const Call& call;
  size_t n, window, kvHead;
  size_t fromHead, group;  // the first query head, and how many share the key head
  float scale, cap;

  size_t position(size_t row) const { return static_cast<size_t>(call.program.step.positions[row]); }
  size_t start(size_t row) const { return call.program.step.visibleFrom(row, window); }
};

/// Rows [first, last) of one sequence.
template <class Unit>
inline void attendBlocks(const BlockCall& at, size_t first, size_t last, uint8_t* scratch) {
  using Value = typename Unit::Value;
  const Call& call = at.call;
  const Cache& cache = call.program.cache;
  const Step& step = call.program.step;
  const size_t n = at.n, lines = (last - first) * at.group, layer = call.size(8);
  const BlockScratch<Unit> places(n, lines);
  const size_t depth = places.depth, queryStride = places.queryStride;
  Value* keys = reinterpret_cast<Value*>(scratch + places.keys);
  Value* values = reinterpret_cast<Value*>(scratch + places.values);
  Value* queries = reinterpret_cast<Value*>(scratch + places.queries);
  Value* weights = reinterpret_cast<Value*>(scratch + places.weights);
  float* scores = reinterpret_cast<float*>(scratch + places.scores);
  float* outputs = reinterpret_cast<float*>(scratch + places.outputs);
  float* sums = reinterpret_cast<float*>(scratch + places.sums);
  float* tops = reinterpret_cast<float*>(scratch + places.tops);
  const auto rowOf = [&](size_t line) { return first + line / at.group; };
  const auto headAt = [&](size_t line) { return (at.fromHead + line % at.group) * n; };

  // Lines that fill up the last unit are zeros, and nobody reads what becomes of them.
  std::memset(scratch + places.queries, 0, roundUp(lines, Unit::lines) * queryStride * sizeof(Value));
  std::memset(scratch + places.weights, 0, Unit::lines * kBlock * sizeof(Value));
  std::memset(scratch + places.outputs, 0, places.tops - places.outputs);
  for (size_t line = 0; line < lines; line++) {
    const float* query = call.aF32(rowOf(line)) + headAt(line);
    Value* to = queries + line * queryStride;
    size_t e = 0;
    for (; e + 32 <= n; e += 32) Unit::putRow(to + e, load(query + e), load(query + e + 16));
    if (e < n) Unit::putRow(to + e, load(query + e), splat(0.0f));
    tops[line] = kLowest;
  }

  constexpr float log2e = 1.44269504f;
  const F cap = splat(at.cap), scale = splat(at.cap > 0 ? log2e : at.scale * log2e);
  const size_t end = at.position(last - 1) + 1;
  Unit::begin();
  for (size_t block = at.start(first) / kBlock * kBlock; block < end; block += kBlock) {
    const size_t firstPage = at.start(first) > block ? (at.start(first) - block) / pagePositions * pagePositions : 0;
    for (size_t page = firstPage; page < kBlock && block + page < end; page += pagePositions) {
      const size_t number = step.page(first, block + page);
      const uint8_t* pageKeys = cache.keys(layer, number, at.kvHead);
      const uint8_t* pageValues = cache.values(layer, number, at.kvHead);
      if (cache.quantized) {
        convertKeys<Unit, true>(keys + page * depth, pageKeys, n, depth);
        convertValues<Unit, true>(values + 16 * page, pageValues, n, end - (block + page));
      } else {
        convertKeys<Unit, false>(keys + page * depth, pageKeys, n, depth);
        convertValues<Unit, false>(values + 16 * page, pageValues, n, end - (block + page));
      }
    }
    for (size_t line = 0; line < lines; line += Unit::lines) {
      const size_t count = lines - line < Unit::lines ? lines - line : Unit::lines;
      // Whole pages that any of these lines sees.
      const size_t low = at.start(rowOf(line)), high = at.position(rowOf(line + count - 1)) + 1;
      if (high <= block || low >= block + kBlock) continue;
      const size_t from = low > block ? (low - block) / pagePositions * pagePositions : 0;
      const size_t to = high - block < kBlock ? roundUp(high - block, pagePositions) : kBlock;
      Unit::multiply(scores + from, kBlock, queries + line * queryStride, queryStride, keys + from * depth, 16 * depth,
                     (to - from) / 16, depth, false);
      for (size_t i = 0; i < count; i++) {
        float* score = scores + i * kBlock;
        if (at.cap > 0) {
          for (size_t j = from; j < to; j += 16) store(score + j, softcap(load(score + j) * splat(at.scale), cap));
        }
        const size_t start = at.start(rowOf(line + i)), stop = at.position(rowOf(line + i)) + 1;
        for (size_t j = from; j < to && block + j < start; j++) score[j] = kHidden;
        for (size_t j = stop > block + from ? stop - block : from; j < to; j++) score[j] = kHidden;
        weighLine<Unit>(score, weights + i * kBlock, from, to, scale, tops[line + i], sums + 16 * (line + i),
                        outputs + (line + i) * n, n);
      }
      Unit::multiply(outputs + line * n, n, weights + from, kBlock, values + 16 * from, 16 * kBlock, n / 16, to - from,
                     true);
    }
  }
  Unit::end();
  for (size_t line = 0; line < lines; line++) {
    const F inverse = splat(1.0f / join(load(sums + 16 * line)));
    float* out = call.outF32(rowOf(line)) + headAt(line);
    for (size_t e = 0; e < n; e += 16) store(out + e, load(outputs + line * n + e) * inverse);
  }
}

/// As FastAttention::attention.
template <class Unit>
void attentionBlocks(const Call& call, size_t first, size_t last, size_t kvHead, size_t fromHead, size_t toHead,
                     uint8_t* scratch, size_t scratchBytes) {
  const Step& step = call.program.step;
  const BlockCall at{
      .call = call,
      .n = call.size(9),
      .window = call.size(12),
      .kvHead = kvHead,
      .fromHead = fromHead,
      .group = toHead - fromHead,
      .scale = call.real(13),
      .cap = call.real(14),
  };
  for (size_t row = first; row < last;) {
    size_t end = row + 1;
    while (end < last && step.slots[end] == step.slots[row]) end++;
    // All of the sequence's rows in the step decide, so that how they are cut does not.
    size_t begun = row, all = end;
    while (begun > 0 && step.slots[begun - 1] == step.slots[row] && all - begun < fastAttentionRows) begun--;
    while (all < step.tokenCount && step.slots[all] == step.slots[row] && all - begun < fastAttentionRows) all++;
    if (all - begun >= fastAttentionRows) attendBlocks<Unit>(at, row, end, scratch);
    else call.program.rows->attention(call, row, end, kvHead, fromHead, toHead, scratch, scratchBytes);
    row = end;
  }
}

template <class Unit>
size_t blockScratchBytes(size_t headWidth, size_t lines) {
  return BlockScratch<Unit>(headWidth, lines).bytes;
}
