// Products of many rows with weights of integer formats: sixteen columns are unpacked once for all rows of activations,
// into a panel of codes as they are multiplied and of factors as f32, and rows of activations are rewritten so that what
// is needed of eight of them at a time lies in one stream. Included, like matmul-fused.h, inside a namespace of its own
// after TARGET and Vec have been defined; so no include guard.
//
// Two ways to round. Contract: that of docs/numerics.md. Fused: scale and minimum become one f32 with their d and dmin
// when unpacked, and products are fused with sums; docs/numerics.md, "Fast mode", bounds what then differs. Sums take
// their terms in the same order however many rows and columns are taken together.

#include "formats-unpack.h"

enum class Rounding { contract, fused };

/// The format whose form this one has: IQ2_S is packed as IQ2_XS.
constexpr int formOf(int format) { return format == kIQ2_S ? kIQ2_XS : format; }

/// What a panel holds of 32 values of sixteen rows: lines of 64 bytes.
///
/// 8 lines of codes: four of a row in each lane. Then lines of sixteen f32, or of sixteen pairs of i16:
///   contract  d; scales of the halves (one where they are the same); dmin; minima of the halves (i16)
///   fused     d · scale of the halves; dmin · min of the halves (one where they are the same)
template <class Form, Rounding rounding>
struct PanelLines {
  static constexpr bool exact = rounding == Rounding::contract;
  static constexpr bool hasMinima = Form::minima != Minima::none;
  static constexpr int parts = Form::halves ? 2 : 1;
  static constexpr int minima = !hasMinima ? 0 : !exact ? parts : Form::minima == Minima::one ? 1 : 2;
  static constexpr int scales = exact ? 1 + (Form::scaled ? parts : 0) : parts;
  static constexpr int scaleAt = 8, minimaAt = scaleAt + scales;
  static constexpr size_t bytes = 64 * (minimaAt + minima);
};

// ---- activations: [8 rows][32 values][row] records

/// What is kept of 32 values of a row: 32 codes, the scale da (f32), and two numbers more.
///
///   codes with an offset: the offset times the negated sum of the codes, or of either half (i32)
///   contract, minima      the negated sum of the codes as f32, or those of the halves as a pair of i16
///   fused, minima         da times the negated sum, or of either half (f32)
constexpr size_t kRecordBytes = 48, kRecordScale = 32, kRecordNumbers = 36;
constexpr size_t kTileRows = 8, kStepBytes = kTileRows * kRecordBytes;

constexpr size_t preparedTileBytes(size_t k) { return k / 32 * kStepBytes; }

static size_t preparedBytes(size_t rows, size_t k) {
  return (rows + kTileRows - 1) / kTileRows * preparedTileBytes(k);
}

template <class T>
static inline void storeAs(uint8_t* to, T value) {
  std::memcpy(to, &value, sizeof value);
}

template <class Form, Rounding rounding>
static void prepareRow(const uint8_t* row, size_t k, uint8_t* to) {
  using Lines = PanelLines<Form, rounding>;
  for (size_t block = 0; block < k / 32; ++block, to += kStepBytes) {
    std::memcpy(to, row + 32 * block, 32);
    const auto da = loadAs<float>(row + q8ScalesAt(k) + 4 * block);
    const auto sum = loadAs<int32_t>(row + q8SumsAt(k) + 4 * block);
    const int32_t halves[2] = {loadAs<int16_t>(row + q8HalvesAt(k) + 4 * block),
                               loadAs<int16_t>(row + q8HalvesAt(k) + 4 * block + 2)};
    storeAs(to + kRecordScale, da);
    for (int part = 0; part < Lines::parts; ++part) {
      uint8_t* number = to + kRecordNumbers + 4 * part;
      const int32_t negated = Form::halves ? halves[part] : sum;
      if constexpr (Form::offsetBits >= 0) storeAs(number, negated * (1 << Form::offsetBits));
      else if constexpr (Lines::hasMinima && !Lines::exact) storeAs(number, da * float(negated));
      else if constexpr (Form::minima == Minima::one) storeAs(number, float(negated));
      else if (Lines::hasMinima && part == 0) std::memcpy(number, row + q8HalvesAt(k) + 4 * block, 4);
    }
  }
}

/// As ManyRowKernels::prepareRows.
template <Rounding rounding, class... Each>
static void prepareRows(int format, const uint8_t* a, size_t aStride, size_t k, size_t first, size_t last,
                        uint8_t* prepared) {
  for (size_t row = first; row < last; ++row) {
    uint8_t* to = prepared + row / kTileRows * preparedTileBytes(k) + row % kTileRows * kRecordBytes;
    ((formOf(format) == Each::id ? prepareRow<Each, rounding>(a + row * aStride, k, to) : void()), ...);
  }
}

// ---- panels: [group of sixteen columns][32 values] lines

INLINE Floats lineOf(const uint8_t* lines, int i) { return Vec::loadFloats(lines + 64 * i); }

INLINE void storeLine(uint8_t* lines, int i, Floats x) { Vec::store(reinterpret_cast<float*>(lines + 64 * i), x); }

/// 32 values of Vec::lanes rows to the lines of a panel.
template <class Form, Rounding rounding>
INLINE void unpackLines(const uint8_t* codes, const uint8_t* scales, size_t row, int j, uint8_t* lines) {
  using Lines = PanelLines<Form, rounding>;
#pragma GCC unroll 8
  for (int u = 0; u < 8; ++u) storeLine(lines, u, Vec::fromBits(Form::unit(codes + 4 * row, j, u)));
  Scales factors;
  Form::scales(scales, row, j, factors);
  if constexpr (Lines::exact) {
    storeLine(lines, Lines::scaleAt, factors.d);
    if constexpr (Form::scaled) {
#pragma GCC unroll 2
      for (int part = 0; part < Lines::parts; ++part) {
        storeLine(lines, Lines::scaleAt + 1 + part, Vec::toFloat(factors.scale[part]));
      }
    }
    if constexpr (Lines::hasMinima) storeLine(lines, Lines::minimaAt, factors.dmin);
    if constexpr (Form::minima == Minima::each) storeLine(lines, Lines::minimaAt + 1, Vec::fromBits(factors.mins));
  } else {
#pragma GCC unroll 2
    for (int part = 0; part < Lines::parts; ++part) {
      Floats scale = factors.d;
      if constexpr (Form::scaled) scale = Vec::mul(scale, Vec::toFloat(factors.scale[part]));
      storeLine(lines, Lines::scaleAt + part, scale);
      if constexpr (Lines::hasMinima) {
        Floats low = factors.dmin;
        if constexpr (Form::minima == Minima::each) {
          const Codes min = part == 0 ? Vec::andBytes32(factors.mins, 0xffff) : Vec::shiftRight(factors.mins, 16);
          low = Vec::mul(low, Vec::toFloat(min));
        }
        storeLine(lines, Lines::minimaAt + part, low);
      }
    }
  }
}

/// A packed group of sixteen rows of k values to its panel.
template <class Form, Rounding rounding>
TARGET static void unpackGroup(const uint8_t* group, size_t k, uint8_t* panel) {
  constexpr BlockFormat format = *blockFormat(Form::id);
  const uint8_t* codes = group;
  const uint8_t* scales = group + k / format.values * format.codeBytes();
  for (size_t block = 0; block < k; block += format.values) {
    for (int turn = 0; turn < format.values / 32; turn += Form::period) {
#pragma GCC unroll 8
      for (int step = 0; step < Form::period; ++step, panel += PanelLines<Form, rounding>::bytes) {
#pragma GCC unroll 2
        for (size_t row = 0; row < kGroup; row += Vec::lanes) {
          unpackLines<Form, rounding>(codes, scales, row, turn + step, panel + 4 * row);
        }
      }
    }
    codes += format.codeBytes();
    scales += format.scaleBytes();
  }
}

// ---- products

/// What a sum of products begins with: the offset's share.
template <class Form>
INLINE Codes startOf(const uint8_t* record, int part) {
  if constexpr (Form::offsetBits < 0) return Vec::zeroWords();
  return Vec::splatWord(loadAs<uint32_t>(record + kRecordNumbers + 4 * part));
}

/// Sums of products of 32 values, or of one half of them: R rows of activations × Vec::lanes columns.
template <class Form, int R>
INLINE void dotPart(Codes (&dots)[R], const uint8_t* lines, const uint8_t* a, int part) {
  constexpr int units = Form::halves ? 4 : 8;
  Vec::Dot<Form::bits, units> sum[R];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
    sum[r].start(Vec::startsLate ? Vec::zeroWords() : startOf<Form>(a + r * kRecordBytes, part));
  }
#pragma GCC unroll 8
  for (int i = 0; i < units; ++i) {
    const int u = part * units + i;
    const Codes q = Vec::load(lines + 64 * u);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) sum[r].add(q, Vec::splatWord(loadAs<uint32_t>(a + r * kRecordBytes + 4 * u)), i);
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
    dots[r] = sum[r].finish();
    if constexpr (Vec::startsLate && Form::offsetBits >= 0) dots[r] = Vec::addWords(dots[r], startOf<Form>(a + r * kRecordBytes, part));
  }
}

/// Adds 32 products of R rows of activations × Vec::lanes columns to acc.
template <class Form, Rounding rounding, int R>
INLINE void addProducts(Floats (&acc)[R], const uint8_t* lines, const uint8_t* a) {
  using Lines = PanelLines<Form, rounding>;
  constexpr int firstScale = Lines::scaleAt + (Lines::exact ? 1 : 0);
  Floats whole[R];
#pragma GCC unroll 2
  for (int part = 0; part < Lines::parts; ++part) {
    Codes dots[R];
    dotPart<Form, R>(dots, lines, a, part);
    Floats scale;
    // Whole numbers below 2^24, and so exact however they are added, in the contract's way.
    if constexpr (Form::halves || (Lines::exact && Form::scaled)) scale = lineOf(lines, firstScale + part);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const Floats dot = Vec::toFloat(dots[r]);
      if constexpr (!Form::halves && !(Lines::exact && Form::scaled)) whole[r] = dot;
      else whole[r] = part == 0 ? Vec::mul(dot, scale) : Vec::fusedAdd(dot, scale, whole[r]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
    const uint8_t* record = a + r * kRecordBytes;
    const Floats da = Vec::splat(loadAs<float>(record + kRecordScale));
    if constexpr (Lines::exact) {
      acc[r] = Vec::add(acc[r], Vec::mul(Vec::mul(da, lineOf(lines, Lines::scaleAt)), whole[r]));
    } else if constexpr (Form::halves) {
      acc[r] = Vec::fusedAdd(whole[r], da, acc[r]);
    } else {
      acc[r] = Vec::fusedAdd(Vec::mul(da, lineOf(lines, Lines::scaleAt)), whole[r], acc[r]);
    }
    if constexpr (Lines::hasMinima && Lines::exact) {
      // The sums are negated, so what is to be subtracted is added.
      Floats low;
      if constexpr (Form::minima == Minima::one) {
        low = Vec::splat(loadAs<float>(record + kRecordNumbers));
      } else {
        const Codes halves = Vec::splatWord(loadAs<uint32_t>(record + kRecordNumbers));
        low = Vec::toFloat(Vec::dotPairs(Vec::load(lines + 64 * (Lines::minimaAt + 1)), halves));
      }
      acc[r] = Vec::add(acc[r], Vec::mul(Vec::mul(da, lineOf(lines, Lines::minimaAt)), low));
    } else if constexpr (Lines::hasMinima) {
#pragma GCC unroll 2
      for (int part = 0; part < Lines::parts; ++part) {
        const Floats sum = Vec::splat(loadAs<float>(record + kRecordNumbers + 4 * part));
        acc[r] = Vec::fusedAdd(lineOf(lines, Lines::minimaAt + part), sum, acc[r]);
      }
    }
  }
}

/// R rows × the columns [column, column + Vec::lanes) that there are.
///
/// panel  from the first of these columns on
/// a      the records of the first row
template <class Form, Rounding rounding, int R>
TARGET static void panelTile(const ManyRowOutput& to, const uint8_t* panel, const uint8_t* a, size_t row, size_t column,
                             size_t count, size_t k) {
  Floats acc[R];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) acc[r] = Vec::splat(0.0f);
  for (size_t block = 0; block < k; block += 32, a += kStepBytes, panel += PanelLines<Form, rounding>::bytes) {
    addProducts<Form, rounding, R>(acc, panel, a);
  }
  alignas(64) float values[R][Vec::lanes];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) Vec::store(values[r], acc[r]);
  for (int r = 0; r < R; ++r) {
    auto* out = reinterpret_cast<float*>(reinterpret_cast<uint8_t*>(to.out) + (row + r) * to.outStride) + column;
    const auto* residual =
        reinterpret_cast<const float*>(reinterpret_cast<uintptr_t>(to.residual) + (row + r) * to.residualStride) + column;
    if (count == Vec::lanes) {
      Floats value = Vec::loadFloats(reinterpret_cast<const uint8_t*>(values[r]));
      if (to.bias) value = Vec::add(value, Vec::loadFloats(reinterpret_cast<const uint8_t*>(to.bias + column)));
      if (to.residual) value = Vec::add(Vec::loadFloats(reinterpret_cast<const uint8_t*>(residual)), value);
      Vec::store(out, value);
      continue;
    }
    for (size_t i = 0; i < count; ++i) {
      float value = values[r][i];
      if (to.bias) value = value + to.bias[column + i];
      if (to.residual) value = residual[i] + value;
      out[i] = value;
    }
  }
}

/// R rows from `row` on × columns [first, last), whose panels are there.
template <class Form, Rounding rounding, int R>
TARGET static void panelRows(const ManyRowOutput& to, const uint8_t* panels, const uint8_t* prepared, size_t row,
                             size_t k, size_t first, size_t last) {
  const uint8_t* a = prepared + row / kTileRows * preparedTileBytes(k) + row % kTileRows * kRecordBytes;
  const size_t groupStep = k / 32 * PanelLines<Form, rounding>::bytes;
  for (size_t group = first; group < last; group += kGroup, panels += groupStep) {
    for (size_t at = 0; at < kGroup && group + at < last; at += Vec::lanes) {
      const size_t left = last - group - at;
      panelTile<Form, rounding, R>(to, panels + 4 * at, a, row, group + at, left < Vec::lanes ? left : Vec::lanes, k);
    }
  }
}

/// Panels at a time: as many as take half of a second-level cache of 1 MB, beside the rows of activations.
constexpr size_t kPanelsBytes = 512 << 10, kMostColumns = 128;

template <class Form, Rounding rounding>
constexpr size_t panelColumns(size_t k) {
  const size_t groups = kPanelsBytes / (k / 32 * PanelLines<Form, rounding>::bytes);
  return groups < 1 ? kGroup : groups * kGroup < kMostColumns ? groups * kGroup : kMostColumns;
}

template <class Form, Rounding rounding>
TARGET static void panelProduct(const ManyRowOutput& to, const uint8_t* a, size_t rows, const uint8_t* weight, size_t k,
                                size_t first, size_t last, uint8_t* panels) {
  const size_t step = groupBytes(*blockFormat(Form::id), k), panel = k / 32 * PanelLines<Form, rounding>::bytes;
  const size_t columns = panelColumns<Form, rounding>(k);
  for (size_t from = first; from < last; from += columns) {
    const size_t end = from + columns < last ? from + columns : last;
    for (size_t group = from; group < end; group += kGroup) {
      unpackGroup<Form, rounding>(weight + group / kGroup * step, k, panels + (group - from) / kGroup * panel);
    }
    size_t row = 0;
    if constexpr (Vec::mostRows >= 8) {
      for (; row + 8 <= rows; row += 8) panelRows<Form, rounding, 8>(to, panels, a, row, k, from, end);
    }
    for (; row + 4 <= rows; row += 4) panelRows<Form, rounding, 4>(to, panels, a, row, k, from, end);
    for (; row + 2 <= rows; row += 2) panelRows<Form, rounding, 2>(to, panels, a, row, k, from, end);
    if (row < rows) panelRows<Form, rounding, 1>(to, panels, a, row, k, from, end);
  }
}

/// As ManyRowKernels::matmulTile.
template <Rounding rounding, class... Each>
TARGET static void matmulTile(int format, float* out, size_t outStride, const uint8_t* a, size_t, size_t rows,
                              const uint8_t* weight, size_t, size_t k, const float* bias, const float* residual,
                              size_t residualStride, size_t first, size_t last, uint8_t* scratch) {
  const ManyRowOutput to{out, outStride, bias, residual, residualStride};
  ((formOf(format) == Each::id ? panelProduct<Each, rounding>(to, a, rows, weight, k, first, last, scratch) : void()), ...);
}

/// As ManyRowKernels::scratchBytes.
template <Rounding rounding, class... Each>
static size_t scratchBytes(int format, size_t k) {
  size_t bytes = 0;
  ((formOf(format) == Each::id
        ? void(bytes = panelColumns<Each, rounding>(k) / kGroup * (k / 32) * PanelLines<Each, rounding>::bytes)
        : void()),
   ...);
  return bytes;
}

template <class... Each>
static bool multiplies(int format) {
  return ((formOf(format) == Each::id) || ...);
}

/// The kernels of these formats, rounded in one way. Fewer rows than fromRows are not worth unpacking for.
template <Rounding rounding, class... Each>
constexpr ManyRowKernels panelKernels(const char* name, size_t fromRows) {
  return {
      .name = name,
      .multiplies = multiplies<Each...>,
      .fromRows = fromRows,
      .mostColumns = kMostColumns,
      .preparedBytes = preparedBytes,
      .prepareRows = prepareRows<rounding, Each...>,
      .matmulTile = matmulTile<rounding, Each...>,
      .scratchBytes = scratchBytes<rounding, Each...>,
      .exact = rounding == Rounding::contract,
  };
}
