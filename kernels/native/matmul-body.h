// Quantising, products and look-ups, written once for all instruction sets. A file that computes with one of them
// defines TARGET and Vec, and includes this inside a namespace of its own, so there is no include guard.
//
// The contract is docs/numerics.md. Integer sums are exact, so they are taken in any order and start at the negated
// sum of the activations times the codes' offset. Whole numbers below 2^24 are exact as f32, too, and so are their
// products and sums: scale · Σ code · a needs no integer multiplication. What does round is done in the contract's
// order, per output; outputs are independent, a lane each.

#include "formats-unpack.h"

/// How far ahead codes are asked for: into the first-level cache, and into the second. Measured in docs/kernels.md.
constexpr size_t kSoonBytes = 2048, kLaterBytes = 16384;

/// Addresses of R rows.
template <int R>
struct Rows {
  const uint8_t* at[R];
};

/// The value at `at`, in every lane.
INLINE Codes splatWord(const uint8_t* at) { return Vec::splatWord(loadAs<uint32_t>(at)); }

/// Where the numbers of 32 activations lie in a q8 row.
struct Place {
  size_t codes, scale, sum, halves;

  /// What a format's offset is multiplied with: the negated sum of the activations, or those of both halves.
  template <class Form>
  size_t offset() const {
    return Form::halves ? halves : sum;
  }
};

/// The offset of a format's codes times the negated sum of the activations: of 32, or of one half of them.
///
/// sum  the word at Place::offset, of a row in every lane that belongs to it
template <class Form>
INLINE Codes negatedOffset(Codes sum, int part) {
  if constexpr (Form::offsetBits < 0) return Vec::zeroWords();
  if constexpr (!Form::halves) return Vec::shiftLeft(sum, Form::offsetBits);
  // Two i16 in a word, the first half's in the lower bits.
  return Vec::shiftRightSigned(part == 0 ? Vec::shiftLeft(sum, 16) : Vec::andBytes32(sum, 0xffff0000),
                               16 - Form::offsetBits);
}

/// Sums of products of 32 values, or of one half of them: R rows of activations × P · Vec::lanes weight rows.
///
/// dots  [P][R] whole numbers, a weight row per lane
/// for the others see dot32
template <class Form, int P, int R>
INLINE void dotWords(Codes (&dots)[P][R], const uint8_t* codes, int j, int part, const Rows<R>& a, const Place& at) {
  constexpr int units = Form::halves ? 4 : 8;
  typename Vec::template Dot<Form::bits, units> sum[P][R];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
    const Codes start =
        Vec::startsLate ? Vec::zeroWords() : negatedOffset<Form>(splatWord(a.at[r] + at.template offset<Form>()), part);
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) sum[p][r].start(start);
  }
#pragma GCC unroll 8
  for (int i = 0; i < units; ++i) {
    const int u = part * units + i;
    Codes q[P];
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) q[p] = Form::unit(codes + 4 * p * Vec::lanes, j, u);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const Codes x = splatWord(a.at[r] + at.codes + 4 * u);
#pragma GCC unroll 4
      for (int p = 0; p < P; ++p) sum[p][r].add(q[p], x, i);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) {
      dots[p][r] = sum[p][r].finish();
      if constexpr (Vec::startsLate && Form::offsetBits >= 0) {
        const Codes sum32 = splatWord(a.at[r] + at.template offset<Form>());
        dots[p][r] = Vec::addWords(dots[p][r], negatedOffset<Form>(sum32, part));
      }
    }
  }
}

/// The same where an instruction multiplies two rows with two (Vec::Square): two units of four weight rows are eight
/// codes of two rows, twice, once their words are interleaved; activations of two rows are joined as they are. V is Vec,
/// named so that other levels need none of this.
template <class Form, int P, int R, class V = Vec>
INLINE void dotSquares(Codes (&dots)[P][R], const uint8_t* codes, int j, int part, const Rows<R>& a, const Place& at) {
  constexpr int units = Form::halves ? 4 : 8;
  typename V::Square sum[P][R / 2];
#pragma GCC unroll 4
  for (int r = 0; r < R; r += 2) {
    const size_t offset = at.template offset<Form>();
    const Codes sums = V::lowHalves(splatWord(a.at[r] + offset), splatWord(a.at[r + 1] + offset));
    const Codes start = negatedOffset<Form>(sums, part);
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) sum[p][r / 2].start(start);
  }
#pragma GCC unroll 4
  for (int u = part * units; u < (part + 1) * units; u += 2) {
    Codes low[P], high[P];
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) {
      const Codes one = Form::unit(codes + 4 * p * Vec::lanes, j, u);
      const Codes two = Form::unit(codes + 4 * p * Vec::lanes, j, u + 1);
      low[p] = V::lowWords(one, two);
      high[p] = V::highWords(one, two);
    }
#pragma GCC unroll 4
    for (int r = 0; r < R; r += 2) {
      const Codes x = V::joined(a.at[r] + at.codes + 4 * u, a.at[r + 1] + at.codes + 4 * u);
#pragma GCC unroll 4
      for (int p = 0; p < P; ++p) sum[p][r / 2].add(low[p], high[p], x);
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < R; r += 2) {
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) {
      dots[p][r] = sum[p][r / 2].first();
      dots[p][r + 1] = sum[p][r / 2].second();
    }
  }
}

/// Sums of products of 32 values, times their scales, where widening the products multiplies them, too (Vec::widens):
/// one sum for both halves. As whole numbers: below 2^24, so as exact as in floating point.
///
/// dots  [P][R] whole numbers, a weight row per lane
template <class Form, int P, int R>
INLINE void dotScaled(Codes (&dots)[P][R], const Scales (&factors)[P], const uint8_t* codes, int j, const Rows<R>& a,
                      const Place& at) {
  constexpr int last = Form::halves ? 1 : 0;
  typename Vec::template Dot<Form::bits, Form::halves ? 4 : 8> sum[P][R];
  Codes scale[P][2];
#pragma GCC unroll 4
  for (int p = 0; p < P; ++p) {
    scale[p][0] = twoShorts(factors[p].scale[0], factors[p].scale[0]);
    if constexpr (Form::halves) scale[p][1] = twoShorts(factors[p].scale[1], factors[p].scale[1]);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) sum[p][r].start(Vec::zeroWords());
  }
#pragma GCC unroll 8
  for (int u = 0; u < 8; ++u) {
    Codes q[P];
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) q[p] = Form::unit(codes + 4 * p * Vec::lanes, j, u);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const Codes x = splatWord(a.at[r] + at.codes + 4 * u);
#pragma GCC unroll 4
      for (int p = 0; p < P; ++p) sum[p][r].add(q[p], x, u, scale[p][u / 4 * last]);
    }
  }
#pragma GCC unroll 4
  for (int p = 0; p < P; ++p) {
    const Codes both = twoShorts(factors[p].scale[0], factors[p].scale[last]);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      dots[p][r] = sum[p][r].finish();
      if constexpr (Form::offsetBits >= 0) {
        const Codes low = Vec::dotPairs(both, splatWord(a.at[r] + at.halves));
        dots[p][r] = Vec::addWords(dots[p][r], Vec::shiftLeft(low, Form::offsetBits));
      }
    }
  }
}

/// Adds 32 products of R rows of activations × P · Vec::lanes weight rows to acc.
///
/// acc     [P][R], a weight row per lane
/// codes   the packed block's codes, from the first of the weight rows on
/// scales  the packed block's scales; `row` is the first of the weight rows in its group
/// j       which 32 values of the block
template <class Form, int P, int R>
INLINE void dot32(Floats (&acc)[P][R], const uint8_t* codes, const uint8_t* scales, size_t row, int j, const Rows<R>& a,
                  const Place& at) {
  // Codes of 8 bits are widened every time, and gain nothing.
  constexpr bool scaledWhole = Vec::widens && Form::scaled && Form::bits < 8;
  constexpr int parts = Form::halves && !scaledWhole ? 2 : 1;
  Scales factors[P];
#pragma GCC unroll 4
  for (int p = 0; p < P; ++p) Form::scales(scales, row + p * Vec::lanes, j, factors[p]);

  Floats dot[P][R];
#pragma GCC unroll 2
  for (int part = 0; part < parts; ++part) {
    Codes dots[P][R];
    if constexpr (scaledWhole) {
      dotScaled<Form>(dots, factors, codes, j, a, at);
    } else if constexpr (Vec::squares && R > 1) {
      dotSquares<Form>(dots, codes, j, part, a, at);
    } else {
      dotWords<Form>(dots, codes, j, part, a, at);
    }
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) {
      Floats scale;
      if constexpr (Form::scaled && !scaledWhole) scale = Vec::toFloat(factors[p].scale[part]);
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) {
        Floats whole = Vec::toFloat(dots[p][r]);
        if constexpr (Form::scaled && !scaledWhole) whole = Vec::mul(whole, scale);
        dot[p][r] = part == 0 ? whole : Vec::add(dot[p][r], whole);
      }
    }
  }

#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
    const Floats da = Vec::splat(loadAs<float>(a.at[r] + at.scale));
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) {
      acc[p][r] = Vec::add(acc[p][r], Vec::mul(Vec::mul(da, factors[p].d), dot[p][r]));
      if constexpr (Form::minima != Minima::none) {
        // The sums are negated, so what is to be subtracted is added.
        const Codes low = Form::minima == Minima::one ? splatWord(a.at[r] + at.sum)
                                                      : Vec::dotPairs(factors[p].mins, splatWord(a.at[r] + at.halves));
        acc[p][r] = Vec::add(acc[p][r], Vec::mul(Vec::mul(da, factors[p].dmin), Vec::toFloat(low)));
      }
    }
  }
}

/// A place in the codes of this group or of a later one, so many bytes of codes ahead.
struct Ahead {
  const uint8_t* at;
  const uint8_t* end;

  /// allBytes of a packed group, of which the first codesBytes are codes
  Ahead(const uint8_t* group, size_t distance, size_t allBytes, size_t codesBytes)
      : at(group + distance / codesBytes * allBytes + distance % codesBytes),
        end(group + distance / codesBytes * allBytes + codesBytes) {}

  /// Goes on with the next group's codes behind the last of this one's.
  void pass(size_t allBytes, size_t codesBytes) {
    if (at < end) return;
    at += allBytes - codesBytes;
    end += allBytes;
  }
};

/// Adds R rows of activations × P · Vec::lanes rows of a packed group to acc.
///
/// acc    [P][R], a weight row per lane
/// group  a packed group of sixteen rows of k values
/// row    the first weight row in the group, a multiple of Vec::lanes
/// a      q8 rows (formats.h)
template <class Form, int P, int R>
INLINE void dotGroup(Floats (&acc)[P][R], const uint8_t* group, size_t row, size_t k, const Rows<R>& a) {
  constexpr BlockFormat format = *blockFormat(Form::id);
  constexpr int times32 = format.values / 32;
  constexpr size_t codes32 = format.codeBytes() / times32;
  constexpr size_t scales32 = format.scaleBytes() / times32;
  // A row alone is limited by memory, and the processor's own prefetching starts anew with every group's codes and
  // scales: codes are asked for twice, and scales a whole group ahead.
  constexpr bool prefetches = R <= 2 && P * Vec::lanes == kGroup;
  const size_t codesBytes = k / format.values * format.codeBytes(), allBytes = groupBytes(format, k);
  const uint8_t* codes = group + 4 * row;
  const uint8_t* scales = group + codesBytes;
  Ahead soon(group, kSoonBytes, allBytes, codesBytes);
  Ahead later(group, kLaterBytes, allBytes, codesBytes);
  const uint8_t* scalesAhead = scales + allBytes;
  Place at{0, q8ScalesAt(k), q8SumsAt(k), q8HalvesAt(k)};
  for (size_t block = 0; block < k; block += format.values) {
    for (int turn = 0; turn < times32; turn += Form::period) {
#pragma GCC unroll 8
      for (int step = 0; step < Form::period; ++step) {
        if constexpr (prefetches) {
          soon.pass(allBytes, codesBytes);
          later.pass(allBytes, codesBytes);
#pragma GCC unroll 8
          for (size_t i = 0; i < codes32; i += 64) {
            __builtin_prefetch(soon.at + i, 0, 3);
            __builtin_prefetch(later.at + i, 0, 2);
          }
#pragma GCC unroll 8
          for (size_t i = 0; i < scales32; i += 64) __builtin_prefetch(scalesAhead + i, 0, 2);
          soon.at += codes32;
          later.at += codes32;
          scalesAhead += scales32;
        }
        dot32<Form, P, R>(acc, codes, scales, row, turn + step, a, at);
        at = {at.codes + 32, at.scale + 4, at.sum + 4, at.halves + 4};
      }
    }
    codes += format.codeBytes();
    scales += format.scaleBytes();
  }
}

/// Where outputs go, and what is added to them: as MatrixKernels::matmulTile has it, from one activation row on.
struct Target {
  float* out;
  size_t outStride;
  const float* bias;
  const float* residual;
  size_t residualStride;

  /// The same from `rows` activation rows further on.
  Target after(size_t rows) const {
    Target next = *this;
    next.out = reinterpret_cast<float*>(reinterpret_cast<uint8_t*>(out) + rows * outStride);
    if (residual) {
      next.residual = reinterpret_cast<const float*>(reinterpret_cast<const uint8_t*>(residual) + rows * residualStride);
    }
    return next;
  }
};

/// Writes `count` outputs of one row from `column` on: acc + bias, then residual + that.
TARGET static inline void finish(const Target& to, size_t row, size_t column, const float* acc, size_t count) {
  const Target from = to.after(row);
  for (size_t i = 0; i < count; ++i) {
    float value = acc[i];
    if (to.bias) value = value + to.bias[column + i];
    if (to.residual) value = from.residual[column + i] + value;
    from.out[column + i] = value;
  }
}

/// R rows of activations × columns [first, last) of a block format.
template <class Form, int P, int R>
TARGET static void matmulRows(const Target& to, const Rows<R>& a, const uint8_t* weight, size_t n, size_t k,
                              size_t first, size_t last) {
  const size_t step = groupBytes(*blockFormat(Form::id), k);
  for (size_t group = first; group < last; group += kGroup) {
    for (size_t row = 0; row < kGroup && group + row < last; row += P * Vec::lanes) {
      Floats acc[P][R];
#pragma GCC unroll 4
      for (int p = 0; p < P; ++p) {
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) acc[p][r] = Vec::splat(0.0f);
      }
      dotGroup<Form, P, R>(acc, weight + group / kGroup * step, row, k, a);
#pragma GCC unroll 4
      for (int p = 0; p < P; ++p) {
        const size_t column = group + row + p * Vec::lanes;
        if (column >= n) break;
        const size_t count = n - column < Vec::lanes ? n - column : Vec::lanes;
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) {
          alignas(64) float values[Vec::lanes];
          Vec::store(values, acc[p][r]);
          finish(to, r, column, values, count);
        }
      }
    }
  }
}

/// The sixteen running sums of one dot product of floats.
struct Lanes16 {
  static constexpr int parts = 16 / Vec::lanes;
  Floats part[parts];

  /// Joins the lanes by the contract's tree: 8 apart, 4, 2, 1.
  INLINE float joined(const Lanes16& x) {
    alignas(64) float lane[16];
    for (int i = 0; i < parts; ++i) Vec::store(lane + i * Vec::lanes, x.part[i]);
    for (int half = 8; half > 0; half >>= 1) {
      for (int i = 0; i < half; ++i) lane[i] = lane[i] + lane[i + half];
    }
    return lane[0];
  }
};

struct FormF32 {
  static constexpr int id = kF32;
  INLINE Floats load(const uint8_t* at) { return Vec::loadFloats(at); }
};

struct FormF16 {
  static constexpr int id = kF16;
  INLINE Floats load(const uint8_t* at) { return Vec::finiteHalves(at); }
};

struct FormBF16 {
  static constexpr int id = kBF16;
  INLINE Floats load(const uint8_t* at) { return Vec::fromBits(Vec::shiftLeft(Vec::loadShorts(at), 16)); }
};

/// Sixteen more values of W weight rows × R activation rows.
template <class Form, int W, int R>
INLINE void dotSixteen(Lanes16 (&acc)[W][R], const Rows<W>& weight, const Rows<R>& a, size_t k) {
#pragma GCC unroll 4
  for (int part = 0; part < Lanes16::parts; ++part) {
    const size_t at = k + part * Vec::lanes;
    Floats x[R];
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) x[r] = Vec::loadFloats(a.at[r] + 4 * at);
#pragma GCC unroll 4
    for (int w = 0; w < W; ++w) {
      const Floats y = Form::load(weight.at[w] + floatBytes(Form::id) * at);
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r) acc[w][r].part[part] = Vec::add(acc[w][r].part[part], Vec::mul(x[r], y));
    }
  }
}

/// W weight rows × R activation rows of floats; values beyond the last sixteen are padded with zeros, which add
/// nothing: no lane is ever −0.
template <class Form, int W, int R>
TARGET static void matmulFloatTile(const Target& to, const Rows<W>& weight, const Rows<R>& a, size_t column, size_t k) {
  constexpr size_t bytes = floatBytes(Form::id);
  Lanes16 acc[W][R];
#pragma GCC unroll 4
  for (int w = 0; w < W; ++w) {
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
      for (int part = 0; part < Lanes16::parts; ++part) acc[w][r].part[part] = Vec::splat(0.0f);
    }
  }
  const size_t whole = k / 16 * 16;
  for (size_t at = 0; at < whole; at += 16) {
    if constexpr (W > 1 && R == 1) {
      // The same place of the next W rows: rows are pages apart, beyond the reach of the processor's own prefetching.
#pragma GCC unroll 4
      for (int w = 0; w < W; ++w) __builtin_prefetch(weight.at[w] + bytes * (W * k + at), 0, 2);
    }
    dotSixteen<Form, W, R>(acc, weight, a, at);
  }
  if (whole < k) {
    uint8_t weights[W][64] = {};
    float values[R][16] = {};
    Rows<W> lastWeights;
    Rows<R> lastValues;
    for (int w = 0; w < W; ++w) {
      std::memcpy(weights[w], weight.at[w] + bytes * whole, bytes * (k - whole));
      lastWeights.at[w] = weights[w];
    }
    for (int r = 0; r < R; ++r) {
      std::memcpy(values[r], a.at[r] + 4 * whole, 4 * (k - whole));
      lastValues.at[r] = reinterpret_cast<const uint8_t*>(values[r]);
    }
    dotSixteen<Form, W, R>(acc, lastWeights, lastValues, 0);
  }
  for (int r = 0; r < R; ++r) {
    float values[W];
    for (int w = 0; w < W; ++w) values[w] = Lanes16::joined(acc[w][r]);
    finish(to, r, column, values, W);
  }
}

/// R rows of activations × columns [first, last) of a format of floats.
template <class Form, int R>
TARGET static void matmulFloatRows(const Target& to, const Rows<R>& a, const uint8_t* weight, size_t k, size_t first,
                                   size_t last) {
  constexpr int W = Vec::floatRows;
  const size_t stride = floatBytes(Form::id) * k;
  const size_t step = (kGroup * stride + 63) / 64 * 64;
  const auto rowAt = [=](size_t column) { return weight + column / kGroup * step + column % kGroup * stride; };
  size_t column = first;
  for (; column + W <= last; column += W) {
    Rows<W> rows;
    for (int w = 0; w < W; ++w) rows.at[w] = rowAt(column + w);
    matmulFloatTile<Form, W, R>(to, rows, a, column, k);
  }
  for (; column < last; ++column) matmulFloatTile<Form, 1, R>(to, Rows<1>{{rowAt(column)}}, a, column, k);
}

template <int R>
static Rows<R> rowsAt(const uint8_t* a, size_t stride) {
  Rows<R> rows;
  for (int r = 0; r < R; ++r) rows.at[r] = a + r * stride;
  return rows;
}

/// Everything that matmulTile was asked for, of one format.
struct Tile {
  Target to;
  const uint8_t* a;
  size_t aStride;
  const uint8_t* weight;
  size_t n, k, first, last;
};

/// `count` ≥ R rows of a tile from `row` on, R at a time; returns the first row that is left.
template <class Form, int P, int R>
TARGET static size_t runRows(const Tile& t, size_t row, size_t rows) {
  for (; row + R <= rows; row += R) {
    const Rows<R> a = rowsAt<R>(t.a + row * t.aStride, t.aStride);
    matmulRows<Form, P, R>(t.to.after(row), a, t.weight, t.n, t.k, t.first, t.last);
  }
  return row;
}

template <class Form, int R>
TARGET static size_t runFloatRows(const Tile& t, size_t row, size_t rows) {
  for (; row + R <= rows; row += R) {
    const Rows<R> a = rowsAt<R>(t.a + row * t.aStride, t.aStride);
    matmulFloatRows<Form, R>(t.to.after(row), a, t.weight, t.k, t.first, t.last);
  }
  return row;
}

/// Not inlined, as with all formats in one function gcc fits some into fewer registers than there are: IQ2_XXS with
/// AVX-512 took half as long again.
template <class Form>
__attribute__((noinline)) TARGET static void runTile(const Tile& t, size_t rows) {
  size_t row = 0;
  if constexpr (Vec::mostRows >= 8) row = runRows<Form, Vec::manyParts, 8>(t, row, rows);
  if constexpr (Vec::mostRows >= 4) row = runRows<Form, Vec::manyParts, 4>(t, row, rows);
  if constexpr (Vec::mostRows >= 2) row = runRows<Form, Vec::fewParts, 2>(t, row, rows);
  runRows<Form, Vec::fewParts, 1>(t, row, rows);
}

template <class Form>
TARGET static void runFloatTile(const Tile& t, size_t rows) {
  size_t row = 0;
  if constexpr (Vec::floatRows > 1) row = runFloatRows<Form, Vec::floatRows>(t, row, rows);
  runFloatRows<Form, 1>(t, row, rows);
}

/// As MatrixKernels::matmulTile.
TARGET static void matmulTile(int format, float* out, size_t outStride, const uint8_t* a, size_t aStride, size_t rows,
                              const uint8_t* weight, size_t n, size_t k, const float* bias, const float* residual,
                              size_t residualStride, size_t first, size_t last, uint8_t*) {
  const Tile tile{{out, outStride, bias, residual, residualStride}, a, aStride, weight, n, k, first, last};
  switch (format) {
    case kF32: return runFloatTile<FormF32>(tile, rows);
    case kF16: return runFloatTile<FormF16>(tile, rows);
    case kBF16: return runFloatTile<FormBF16>(tile, rows);
    case kQ4_0: return runTile<FormQ4_0>(tile, rows);
    case kQ4_1: return runTile<FormQ4_1>(tile, rows);
    case kQ5_0: return runTile<FormQ5_0>(tile, rows);
    case kQ5_1: return runTile<FormQ5_1>(tile, rows);
    case kQ8_0: return runTile<FormQ8_0>(tile, rows);
    case kQ2_K: return runTile<FormQ2_K>(tile, rows);
    case kQ3_K: return runTile<FormQ3_K>(tile, rows);
    case kQ4_K: return runTile<FormQ4_K>(tile, rows);
    case kQ5_K: return runTile<FormQ5_K>(tile, rows);
    case kQ6_K: return runTile<FormQ6_K>(tile, rows);
    case kIQ2_XXS: return runTile<FormIQ2_XXS>(tile, rows);
    case kIQ2_XS: return runTile<FormIQ2_XS>(tile, rows);
    case kIQ2_S: return runTile<FormIQ2_XS>(tile, rows);
    case kIQ3_XXS: return runTile<FormIQ3_XXS>(tile, rows);
    case kIQ3_S: return runTile<FormIQ3_S>(tile, rows);
    case kIQ4_NL: return runTile<FormIQ4_NL>(tile, rows);
    case kIQ4_XS: return runTile<FormIQ4_XS>(tile, rows);
    case kTQ2_0: return runTile<FormTQ2_0>(tile, rows);
    case kMXFP4: return runTile<FormMXFP4>(tile, rows);
  }
}

/// As MatrixKernels::quantizeRow.
TARGET static void quantizeRow(const float* x, uint8_t* out, size_t n) {
  constexpr int parts = 32 / Vec::lanes;
  for (size_t block = 0; block < n / 32; ++block, x += 32) {
    // Without their signs, floats order as their bits do, and NaN above infinity.
    Codes largest = Vec::zeroWords();
    Floats value[parts];
    for (int i = 0; i < parts; ++i) {
      value[i] = Vec::loadFloats(reinterpret_cast<const uint8_t*>(x + i * Vec::lanes));
      largest = Vec::larger(largest, Vec::andBytes32(Vec::toBits(value[i]), 0x7fffffff));
    }
    const uint32_t bits = Vec::largestWord(largest);
    float scale = 0, inverse = 0;
    if (bits >= 0x7f800000) {
      scale = bitsToFloat(0x7fc00000);
    } else if (bitsToFloat(bits) >= 1e-30f) {
      scale = bitsToFloat(bits) / 127;
      inverse = 127 / bitsToFloat(bits);
    }
    int32_t sums[2] = {0, 0};
    auto* codes = reinterpret_cast<int8_t*>(out + block * 32);
    if (inverse == 0) {
      std::memset(codes, 0, 32);
    } else {
      for (int half = 0; half < 2; ++half) {
        Codes sum = Vec::zeroWords();
        for (int i = half * parts / 2; i < (half + 1) * parts / 2; ++i) {
          const Codes code = Vec::nearest(Vec::mul(value[i], Vec::splat(inverse)));
          Vec::storeBytes(codes + i * Vec::lanes, code);
          sum = Vec::addWords(sum, code);
        }
        sums[half] = Vec::sumOfWords(sum);
      }
    }
    const int32_t negated = -(sums[0] + sums[1]);
    const int16_t halves[2] = {int16_t(-sums[0]), int16_t(-sums[1])};
    std::memcpy(out + q8ScalesAt(n) + block * 4, &scale, 4);
    std::memcpy(out + q8SumsAt(n) + block * 4, &negated, 4);
    std::memcpy(out + q8HalvesAt(n) + block * 4, halves, 4);
  }
}
