// Products of many rows with AMX whose results have the bits of docs/numerics.md. Tiles multiply the whole numbers of 32
// values at a time, which is exact in any order; vectors turn each block's sums into f32, multiply them with the scales
// and add them up, in the contract's order. A panel of weights, whatever their format, becomes signed bytes once, in the
// order that the tiles multiply them in; so do activations, once for all panels.
#include "matmul-many.h"

#if defined(CLAVIS_AMX)

// gcc takes its own undefined registers for mistakes (its bug 105593).
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"

#include <immintrin.h>

#include "formats.h"
#include "matmul.h"
#include "pack.h"

#define TARGET __attribute__((target("amx-tile,amx-int8,avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,fma,f16c")))

namespace clavis {
namespace amx_int8 {
namespace {

#include "matmul-avx512-vec.h"

#include "formats-unpack.h"

#include "tiles.h"

#include "matmul-amx.h"

/// A block of 32 values of sixteen rows of activations fills half a tile, [row][value]; of sixteen columns another half,
/// [four values][column][value]: sums of more than 32 products are of no use. Each lies in memory in one piece.
constexpr size_t kRows = 16, kBlock = 32, kTileBytes = 512;

/// Values of k that sixteen rows of activations (18 KB) are multiplied with sixteen columns after sixteen columns for,
/// so that they stay in the first-level cache beside those.
constexpr size_t kDepthBlocks = 1024 / kBlock;

/// Columns of one panel at most, and its bytes, unless sixteen columns take more: half of a second-level cache of 2 MB.
constexpr size_t kColumns = 256, kPanelBytes = size_t{1} << 20;

/// Tiles 0 to 3 hold sums; 4 and 5 activations; 6 and 7 weights.
constexpr TileForm tileForm() {
  TileForm form;
  form.rowBytes[4] = form.rowBytes[5] = kBlock;
  form.rows[6] = form.rows[7] = kBlock / 4;
  return form;
}
constexpr TileForm kForm = tileForm();

// ---- panels: [16 columns][block along k], what a Record says

/// How a format's integer scales come to its sums.
enum class Scaling {
  none,
  /// One for all of a block, as a float: below 2^24 everything is exact.
  factor,
  /// Two per block, multiplied into the codes. Negated: −32 · −4 fits a byte only so.
  inCodes,
  /// Two per block, multiplied into the codes, 128 · high + low, each a byte: |scale · code| ≤ 128 · 32. Two tiles of
  /// sums are one multiplication and four loads fewer than sums of sixteen products, each with its scale.
  inTwoBytes,
};

template <class Form>
constexpr Scaling scalingOf() {
  if (!Form::scaled) return Scaling::none;
  if (!Form::halves) return Scaling::factor;
  return Form::bits <= 3 ? Scaling::inCodes : Scaling::inTwoBytes;
}

/// What a panel holds of sixteen columns' block: tiles of codes, d, scales as f32, dmin, and minima: as f32 where a block
/// has one, as pairs of i16 where it has two.
template <Scaling scaling_, Minima minima_, bool halves_>
struct Record {
  static constexpr Scaling scaling = scaling_;
  static constexpr Minima minima = minima_;
  static constexpr bool halves = halves_;
  static constexpr int tiles = scaling == Scaling::inTwoBytes ? 2 : 1;
  static constexpr size_t d = tiles * kTileBytes;
  static constexpr size_t scale = d + 64;
  static constexpr size_t dmin = scale + (scaling == Scaling::factor ? 64 : 0);
  static constexpr size_t mins = dmin + (minima != Minima::none ? 64 : 0);
  static constexpr size_t bytes = mins + (minima == Minima::each ? 64 : 0);
};

template <class Form>
using RecordOf = Record<scalingOf<Form>(), Form::minima, Form::halves && Form::minima == Minima::each>;

/// Bytes of x where the mask has ones, and of y where it has zeros.
INLINE Codes select(uint32_t mask, Codes x, Codes y) {
  return _mm512_ternarylogic_epi32(Vec::splatWord(mask), x, y, 0xca);
}

/// What is to be taken away from codes that unit() gives.
template <class Form>
constexpr int kOffset = Form::offsetBits < 0 ? 0 : 1 << Form::offsetBits;

template <class Form>
INLINE Codes signedCodes(Codes q) {
  return kOffset<Form> == 0 ? q : _mm512_sub_epi8(q, _mm512_set1_epi8(char(kOffset<Form>)));
}

/// −scale · code as bytes.
///
/// scale  the same i16 twice in a lane
template <class Form>
INLINE Codes negatedProducts(Codes q, Codes scale) {
  const Codes even = _mm512_mullo_epi16(Vec::andBytes32(q, 0x00ff00ff), scale);
  const Codes odd = _mm512_mullo_epi16(Vec::andBytes32(q, 0xff00ff00), scale);
  // The lowest byte of a difference follows from the lowest bytes, so what is too large in between does no harm.
  const Codes offset = _mm512_mullo_epi16(scale, _mm512_set1_epi16(kOffset<Form>));
  return _mm512_sub_epi8(select(0x00ff00ff, offset, _mm512_slli_epi16(offset, 8)), select(0x00ff00ff, even, odd));
}

/// scale · code as 128 · high + low, −64 ≤ low ≤ 63, to two tiles.
///
/// scale  the same i16 twice in a lane
template <class Form>
INLINE void storeInTwo(Codes q, Codes scale, uint8_t* tile) {
  const Codes offset = _mm512_mullo_epi16(scale, _mm512_set1_epi16(kOffset<Form>));
  const Codes base = _mm512_sub_epi16(_mm512_set1_epi16(64), offset);
  const Codes even = _mm512_add_epi16(_mm512_mullo_epi16(Vec::andBytes32(q, 0x00ff00ff), scale), base);
  const Codes odd = _mm512_add_epi16(_mm512_mullo_epi16(_mm512_srli_epi16(q, 8), scale), base);
  const Codes high = select(0x00ff00ff, _mm512_srli_epi16(even, 7), _mm512_slli_epi16(odd, 1));
  const Codes low = Vec::andBytes(select(0x00ff00ff, even, _mm512_slli_epi16(odd, 8)), 0x7f);
  _mm512_store_si512(tile, high);
  _mm512_store_si512(tile + kTileBytes, _mm512_sub_epi8(low, _mm512_set1_epi8(64)));
}

/// 32 values of sixteen columns to a record.
template <class Form>
INLINE void unpackBlock(const uint8_t* codes, const uint8_t* scales, int j, uint8_t* record) {
  using To = RecordOf<Form>;
  Scales factors;
  Form::scales(scales, 0, j, factors);
#pragma GCC unroll 8
  for (int u = 0; u < 8; ++u) {
    const Codes q = Form::unit(codes, j, u);
    uint8_t* to = record + 64 * u;
    if constexpr (To::scaling == Scaling::none || To::scaling == Scaling::factor) {
      _mm512_store_si512(to, signedCodes<Form>(q));
    } else {
      const Codes scale = twoShorts(factors.scale[u / 4], factors.scale[u / 4]);
      if constexpr (To::scaling == Scaling::inCodes) _mm512_store_si512(to, negatedProducts<Form>(q, scale));
      else storeInTwo<Form>(q, scale, to);
    }
  }
  _mm512_store_ps(record + To::d, To::scaling == Scaling::inCodes ? Vec::negate(factors.d) : factors.d);
  if constexpr (To::scaling == Scaling::factor) _mm512_store_ps(record + To::scale, Vec::toFloat(factors.scale[0]));
  if constexpr (To::minima != Minima::none) _mm512_store_ps(record + To::dmin, factors.dmin);
  if constexpr (To::minima == Minima::each) {
    const Floats one = Vec::toFloat(Vec::andBytes32(factors.mins, 0xffff));
    _mm512_store_ps(record + To::mins, To::halves ? Vec::fromBits(factors.mins) : one);
  }
}

/// A packed group of sixteen columns of k values to their records.
template <class Form>
TARGET static void unpackGroup(const uint8_t* group, size_t k, uint8_t* records) {
  constexpr BlockFormat format = *blockFormat(Form::id);
  const uint8_t* codes = group;
  const uint8_t* scales = group + k / format.values * format.codeBytes();
  for (size_t block = 0; block < k; block += format.values) {
    for (int turn = 0; turn < format.values / 32; turn += Form::period) {
#pragma GCC unroll 8
      for (int step = 0; step < Form::period; ++step, records += RecordOf<Form>::bytes) {
        unpackBlock<Form>(codes, scales, turn + step, records);
      }
    }
    codes += format.codeBytes();
    scales += format.scaleBytes();
  }
}

// ---- activations: [16 rows][block along k], what an ActivationRecord says

/// What prepared activations hold of sixteen rows' block: a tile of codes; each row's scale, negated sum as f32, and the
/// negated sums of both halves as two i16.
struct ActivationRecord {
  static constexpr size_t scales = kTileBytes, sums = scales + 64, halves = sums + 64, bytes = halves + 64;
};

size_t preparedBytes(size_t rows, size_t k) { return divideUp(rows, kRows) * (k / kBlock) * ActivationRecord::bytes; }

/// As ManyRowKernels::prepareRows. Rows missing in the last sixteen become zeros.
void prepareRows(int, const uint8_t* a, size_t aStride, size_t k, size_t first, size_t last, uint8_t* prepared) {
  using To = ActivationRecord;
  const size_t blocks = k / kBlock;
  for (size_t row = first; row < divideUp(last, kRows) * kRows; ++row) {
    const uint8_t* from = a + row * aStride;
    const size_t place = row % kRows;
    uint8_t* to = prepared + row / kRows * blocks * To::bytes;
    for (size_t block = 0; block < blocks; ++block, to += To::bytes) {
      uint8_t codes[kBlock] = {};
      float scale = 0, sum = 0;
      uint32_t halves = 0;
      if (row < last) {
        std::memcpy(codes, from + block * kBlock, kBlock);
        scale = loadAs<float>(from + q8ScalesAt(k) + block * 4);
        sum = float(loadAs<int32_t>(from + q8SumsAt(k) + block * 4));
        halves = loadAs<uint32_t>(from + q8HalvesAt(k) + block * 4);
      }
      std::memcpy(to + place * kBlock, codes, kBlock);
      std::memcpy(to + To::scales + place * 4, &scale, 4);
      std::memcpy(to + To::sums + place * 4, &sum, 4);
      std::memcpy(to + To::halves + place * 4, &halves, 4);
    }
  }
}

// ---- products

/// One product of sixteen rows and sixteen columns over `blocks` blocks: where both lie, and room for the tiles' sums,
/// [slot · tiles + tile][row][column].
struct Pass {
  const uint8_t* a;
  const uint8_t* w;
  size_t blocks;
  int32_t (*sums)[256];
};

/// Blocks that are in the tiles at the same time, or between them and the vectors.
template <class R>
constexpr int kSlots = 4 / R::tiles;

/// The whole numbers of one block, to the sums of its slot.
template <class T, class R, int slot>
INLINE void multiplyBlock(const Pass& pass, size_t block) {
  constexpr int a = 4 + slot % 2, w = 6 + slot % 2, sum = slot * R::tiles;
  const uint8_t* weights = pass.w + block * R::bytes;
  T::template load<a>(pass.a + block * ActivationRecord::bytes, kBlock);
  T::template load<w>(weights, 64);
  T::template zero<sum>();
  T::template dotBytes<sum, a, w>();
  if constexpr (R::tiles == 2) {
    T::template load<w ^ 1>(weights + kTileBytes, 64);
    T::template zero<sum + 1>();
    T::template dotBytes<sum + 1, a, w ^ 1>();
    T::template store<sum + 1>(pass.sums[sum + 1], 64);
  }
  T::template store<sum>(pass.sums[sum], 64);
}

/// Adds one block's products to acc: [row], a column per lane.
template <class R>
INLINE void addBlock(Floats (&acc)[kRows], const Pass& pass, size_t block, int slot) {
  const uint8_t* a = pass.a + block * ActivationRecord::bytes;
  const uint8_t* w = pass.w + block * R::bytes;
  const auto* sums = reinterpret_cast<const uint8_t*>(pass.sums[slot * R::tiles]);
  const Floats d = Vec::loadFloats(w + R::d);
  Floats scale, dmin, min;
  if constexpr (R::scaling == Scaling::factor) scale = Vec::loadFloats(w + R::scale);
  if constexpr (R::minima != Minima::none) dmin = Vec::loadFloats(w + R::dmin);
  if constexpr (R::minima == Minima::each) min = Vec::loadFloats(w + R::mins);
#pragma GCC unroll 16
  for (size_t r = 0; r < kRows; ++r) {
    Floats dot = Vec::toFloat(Vec::load(sums + 64 * r));
    // Whole numbers below 2^24, so nothing is rounded.
    if constexpr (R::tiles == 2) {
      dot = _mm512_fmadd_ps(dot, Vec::splat(128), Vec::toFloat(Vec::load(sums + 1024 + 64 * r)));
    }
    if constexpr (R::scaling == Scaling::factor) dot = Vec::mul(dot, scale);
    const Floats da = Vec::splat(loadAs<float>(a + ActivationRecord::scales + 4 * r));
    acc[r] = Vec::add(acc[r], Vec::mul(Vec::mul(da, d), dot));
    if constexpr (R::minima != Minima::none) {
      // The sums are negated, so what is to be subtracted is added.
      Floats low;
      if constexpr (R::halves) {
        const Codes halves = Vec::splatWord(loadAs<uint32_t>(a + ActivationRecord::halves + 4 * r));
        low = Vec::toFloat(Vec::dotPairs(Vec::toBits(min), halves));
      } else {
        low = Vec::splat(loadAs<float>(a + ActivationRecord::sums + 4 * r));
        if constexpr (R::minima == Minima::each) low = Vec::mul(min, low);
      }
      acc[r] = Vec::add(acc[r], Vec::mul(Vec::mul(da, dmin), low));
    }
  }
}

/// Blocks first … that are in the slots from the first on, fewer where the product ends.
template <class T, class R, int slot = 0>
INLINE void beginBlocks(const Pass& pass) {
  if constexpr (slot + 1 < kSlots<R>) {
    if (slot < pass.blocks) multiplyBlock<T, R, slot>(pass, slot);
    beginBlocks<T, R, slot + 1>(pass);
  }
}

/// Blocks from `block` on, whose slot is the first: each is added while the tiles work at those that follow.
template <class T, class R, int slot = 0>
INLINE void goOn(Floats (&acc)[kRows], const Pass& pass, size_t block) {
  if constexpr (slot < kSlots<R>) {
    constexpr int ahead = kSlots<R> - 1;
    if (block + slot + ahead < pass.blocks) multiplyBlock<T, R, (slot + ahead) % kSlots<R>>(pass, block + slot + ahead);
    if (block + slot < pass.blocks) addBlock<R>(acc, pass, block + slot, slot);
    goOn<T, R, slot + 1>(acc, pass, block);
  }
}

/// Sixteen rows × sixteen columns over some blocks of k.
///
/// begins  whether sums begin at +0, or at those that are in `sums`: [row][column] f32
template <class T, class R>
TARGET static void multiply(const uint8_t* a, const uint8_t* w, size_t blocks, bool begins, float* sums) {
  alignas(64) int32_t whole[4][256];
  const Pass pass{a, w, blocks, whole};
  beginBlocks<T, R>(pass);
  Floats acc[kRows];
#pragma GCC unroll 16
  for (size_t r = 0; r < kRows; ++r) {
    acc[r] = begins ? Vec::splat(0.0f) : Vec::loadFloats(reinterpret_cast<const uint8_t*>(sums + kGroup * r));
  }
  for (size_t block = 0; block < blocks; block += kSlots<R>) goOn<T, R>(acc, pass, block);
#pragma GCC unroll 16
  for (size_t r = 0; r < kRows; ++r) Vec::store(sums + kGroup * r, acc[r]);
}

/// Columns in one panel, of so many bytes a block.
constexpr size_t panelColumns(size_t k, size_t recordBytes) {
  const size_t groups = kPanelBytes / (k / kBlock * recordBytes);
  return kGroup * (groups < 1 ? 1 : groups < kColumns / kGroup ? groups : kColumns / kGroup);
}

/// What matmulTile was asked for, of one format.
struct Columns {
  ManyRowOutput to;
  const uint8_t* a;
  size_t rows;
  const uint8_t* weight;
  size_t k, first, last;
  uint8_t* scratch;
};

template <class T, class Form>
TARGET static void multiplyColumns(const Columns& t) {
  using R = RecordOf<Form>;
  const size_t step = packedBytes(Form::id, kGroup, t.k), blocks = t.k / kBlock, most = panelColumns(t.k, R::bytes);
  alignas(64) float sums[kColumns / kGroup][kRows * kGroup];
  for (size_t from = t.first; from < t.last; from += most) {
    const size_t end = from + most < t.last ? from + most : t.last;
    const size_t groups = divideUp(end - from, kGroup);
    for (size_t i = 0; i < groups; ++i) {
      unpackGroup<Form>(t.weight + (from / kGroup + i) * step, t.k, t.scratch + i * blocks * R::bytes);
    }
    for (size_t row = 0; row < t.rows; row += kRows) {
      const uint8_t* a = t.a + row / kRows * blocks * ActivationRecord::bytes;
      for (size_t deep = 0; deep < blocks; deep += kDepthBlocks) {
        const size_t depth = deep + kDepthBlocks < blocks ? kDepthBlocks : blocks - deep;
        for (size_t i = 0; i < groups; ++i) {
          multiply<T, R>(a + deep * ActivationRecord::bytes, t.scratch + (i * blocks + deep) * R::bytes, depth,
                         deep == 0, sums[i]);
        }
      }
      const size_t height = t.rows - row < kRows ? t.rows - row : kRows;
      for (size_t i = 0; i < groups; ++i) {
        const size_t column = from + i * kGroup, left = end - column;
        finish(t.to, true, row, height, column, left < kGroup ? left : kGroup, sums[i], kGroup);
      }
    }
  }
}

/// IQ2_S is packed as IQ2_XS.
constexpr int formOf(int format) { return format == kIQ2_S ? kIQ2_XS : format; }

/// All formats of blocks.
template <class... Forms>
struct Formats {
  static bool multiplies(int format) { return ((formOf(format) == Forms::id) || ...); }

  static size_t scratchBytes(int format, size_t k) {
    size_t bytes = 0;
    ((formOf(format) == Forms::id ? void(bytes = RecordOf<Forms>::bytes) : void()), ...);
    return bytes == 0 ? 0 : panelColumns(k, bytes) / kGroup * (k / kBlock) * bytes;
  }

  template <class T>
  TARGET static void multiply(int format, const Columns& columns) {
    ((formOf(format) == Forms::id ? multiplyColumns<T, Forms>(columns) : void()), ...);
  }
};
using All = Formats<FormQ4_0, FormQ4_1, FormQ5_0, FormQ5_1, FormQ8_0, FormQ2_K, FormQ3_K, FormQ4_K, FormQ5_K, FormQ6_K,
                    FormIQ4_NL, FormIQ4_XS, FormTQ2_0, FormMXFP4, FormIQ2_XXS, FormIQ2_XS, FormIQ3_XXS, FormIQ3_S>;

/// As ManyRowKernels::matmulTile.
template <class T>
TARGET static void matmulTile(int format, float* out, size_t outStride, const uint8_t* a, size_t, size_t rows,
                              const uint8_t* weight, size_t, size_t k, const float* bias, const float* residual,
                              size_t residualStride, size_t first, size_t last, uint8_t* scratch) {
  T::configure(kForm);
  All::multiply<T>(format, {{out, outStride, bias, residual, residualStride}, a, rows, weight, k, first, last, scratch});
  T::release();
}

/// From sixteen rows on: sixteen are computed in any case.
constexpr size_t kFromRows = 16;

}  // namespace
}  // namespace amx_int8

const ManyRowKernels amxInt8Kernels = {
    .name = "amxint8",
    .multiplies = amx_int8::All::multiplies,
    .fromRows = amx_int8::kFromRows,
    .mostColumns = amx_int8::kColumns,
    .preparedBytes = amx_int8::preparedBytes,
    .prepareRows = amx_int8::prepareRows,
    .matmulTile = amx_int8::matmulTile<amx_int8::Tiles>,
    .scratchBytes = amx_int8::All::scratchBytes,
    .exact = true,
};

const ManyRowKernels amxInt8ModelKernels = {
    .name = "amxint8-model",
    .multiplies = amx_int8::All::multiplies,
    .fromRows = amx_int8::kFromRows,
    .mostColumns = amx_int8::kColumns,
    .preparedBytes = amx_int8::preparedBytes,
    .prepareRows = amx_int8::prepareRows,
    .matmulTile = amx_int8::matmulTile<amx_int8::ModelTiles>,
    .scratchBytes = amx_int8::All::scratchBytes,
    .exact = true,
};

}  // namespace clavis

#endif
