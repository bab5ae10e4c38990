// Products for fast mode with AMX: a panel of weights, whatever their format, becomes bf16 once, in the order that the tiles
// multiply it in; activations are rewritten as bf16 once for all panels; then two by two tiles at a time.
#include "matmul-many.h"

#if defined(CLAVIS_AMX)

// gcc takes its own undefined registers for mistakes (its bug 105593).
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"

#include <immintrin.h>

#include "formats.h"
#include "matmul.h"
#include "pack.h"

#define TARGET                                                                                          \
  __attribute__((target("amx-tile,amx-bf16,avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512bf16," \
                        "fma,f16c")))

namespace clavis {
namespace amx_bf16 {
namespace {

#include "matmul-avx512-vec.h"

#include "formats-unpack.h"

#include "tiles.h"

#include "matmul-amx.h"

/// A tile holds 16 rows of activations (or pairs of k) of 32 values (or 16 columns' pairs), 1 KB, and lies in memory
/// as it is: rows a power of two apart would share a few lines of the first-level cache.
constexpr size_t kTileRows = 16, kTileValues = 32, kTileBytes = 1024;

/// Values of k in one panel: a multiple of every block.
constexpr size_t kDepth = 2048;

/// Columns of one panel, which then takes 1 MB: it stays in the second-level cache of a core with 2 MB, beside the
/// 128 KB of 32 rows of activations, so that weights are unpacked once, and activations are read from further away
/// only once per 256 columns.
constexpr size_t kColumns = 256;

// ---- panels: [16 columns][tile along k][pair of k][column], bf16

/// Orders of words, as vpermi2d and vpermw take them.
struct alignas(64) Orders {
  /// Of two vectors of sixteen bf16 in one: the first of either, the second of either, …
  uint16_t pairs[32];
  /// With size = 8 >> i: what rows j and j + size, where size is no part of j, give to one another in transpose().
  uint32_t first[4][16], second[4][16];
};

constexpr Orders orders() {
  Orders o = {};
  for (int i = 0; i < 32; ++i) o.pairs[i] = uint16_t(i / 2 + i % 2 * 16);
  for (int i = 0; i < 4; ++i) {
    const int size = 8 >> i;
    for (int lane = 0; lane < 16; ++lane) {
      // Lanes of the second row are numbered from 16 on.
      const int from = (lane & ~size) + (lane & size ? 16 : 0);
      o.first[i][lane] = uint32_t(from);
      o.second[i][lane] = uint32_t(from + size);
    }
  }
  return o;
}

constexpr Orders kOrders = orders();

INLINE Codes loadOrder(const void* order) { return Vec::load(static_cast<const uint8_t*>(order)); }

/// Rounds two vectors to bf16 and lays them side by side: low[i] below high[i].
INLINE Codes pairs(Floats low, Floats high) {
  return _mm512_permutexvar_epi16(loadOrder(kOrders.pairs), Codes(_mm512_cvtne2ps_pbh(high, low)));
}

/// The value of byte i of every lane, which is not negative.
INLINE Floats byteValue(Codes q, int i) {
  const Codes moved = i == 0 ? q : Vec::shiftRight(q, 8 * i);
  return Vec::toFloat(i == 3 ? moved : Vec::andBytes32(moved, 0xff));
}

/// 32 values of sixteen rows of a block format, as d · scale · code − dmin · min, to a tile.
template <class Form>
INLINE void unpackTile(const uint8_t* codes, const uint8_t* scales, int j, uint8_t* tile) {
  Scales factors;
  Form::scales(scales, 0, j, factors);
#pragma GCC unroll 2
  for (int half = 0; half < 2; ++half) {
    Floats scale = factors.d;
    if constexpr (Form::scaled) scale = Vec::mul(scale, Vec::toFloat(factors.scale[Form::halves ? half : 0]));
    Floats base = Vec::splat(0.0f);
    if constexpr (Form::offsetBits >= 0) base = Vec::mul(scale, Vec::splat(-float(1 << Form::offsetBits)));
    if constexpr (Form::minima == Minima::one) base = _mm512_sub_ps(base, factors.dmin);
    if constexpr (Form::minima == Minima::each) {
      const Codes min = half == 0 ? Vec::andBytes32(factors.mins, 0xffff) : Vec::shiftRight(factors.mins, 16);
      base = _mm512_fnmadd_ps(factors.dmin, Vec::toFloat(min), base);
    }
#pragma GCC unroll 4
    for (int u = 4 * half; u < 4 * half + 4; ++u) {
      const Codes q = Form::unit(codes, j, u);
#pragma GCC unroll 2
      for (int pair = 0; pair < 2; ++pair) {
        const Floats low = _mm512_fmadd_ps(byteValue(q, 2 * pair), scale, base);
        const Floats high = _mm512_fmadd_ps(byteValue(q, 2 * pair + 1), scale, base);
        _mm512_store_si512(tile + 64 * (2 * u + pair), pairs(low, high));
      }
    }
  }
}

/// Values [from, to) of a packed group of k values a row; 2048 divides `from`.
template <class Form>
TARGET static void unpackGroup(const uint8_t* group, size_t k, size_t from, size_t to, uint8_t* tiles) {
  constexpr BlockFormat format = *blockFormat(Form::id);
  static_assert(kDepth % format.values == 0);
  const uint8_t* codes = group + from / format.values * format.codeBytes();
  const uint8_t* scales = group + k / format.values * format.codeBytes() + from / format.values * format.scaleBytes();
  for (size_t block = from; block < to; block += format.values) {
    for (int turn = 0; turn < format.values / 32; turn += Form::period) {
#pragma GCC unroll 8
      for (int step = 0; step < Form::period; ++step, tiles += kTileBytes) {
        unpackTile<Form>(codes, scales, turn + step, tiles);
      }
    }
    codes += format.codeBytes();
    scales += format.scaleBytes();
  }
}

/// Turns sixteen rows of sixteen words over: word j of row i becomes word i of row j. Blocks of 8, 4, 2 and 1 words
/// change places in turn.
INLINE void transpose(Codes (&row)[16]) {
#pragma GCC unroll 4
  for (int turn = 0; turn < 4; ++turn) {
    const Codes inFirst = loadOrder(kOrders.first[turn]), inSecond = loadOrder(kOrders.second[turn]);
    const int size = 8 >> turn;
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i) {
      if (i & size) continue;
      const Codes first = row[i], second = row[i + size];
      row[i] = _mm512_permutex2var_epi32(first, inFirst, second);
      row[i + size] = _mm512_permutex2var_epi32(first, inSecond, second);
    }
  }
}

struct FormF16 {
  static constexpr int id = kF16;
  /// 32 values as bf16.
  INLINE Codes load(const uint8_t* at) {
    return Codes(_mm512_cvtne2ps_pbh(Vec::finiteHalves(at + 32), Vec::finiteHalves(at)));
  }
};

struct FormBF16 {
  static constexpr int id = kBF16;
  INLINE Codes load(const uint8_t* at) { return Vec::load(at); }
};

/// As unpackGroup, of a format of floats, whose rows lie one after another; zeros beyond k.
template <class Form>
TARGET static void turnGroup(const uint8_t* group, size_t k, size_t from, size_t to, uint8_t* tiles) {
  constexpr size_t bytes = floatBytes(Form::id);
  for (size_t at = from; at < to; at += kTileValues, tiles += kTileBytes) {
    Codes row[16];
    for (int i = 0; i < 16; ++i) {
      const uint8_t* source = group + (i * k + at) * bytes;
      alignas(64) uint8_t padded[2 * kTileValues] = {};
      if (at + kTileValues > k) {
        std::memcpy(padded, source, (k - at) * bytes);
        source = padded;
      }
      row[i] = Form::load(source);
    }
    transpose(row);
    for (int i = 0; i < 16; ++i) _mm512_store_si512(tiles + 64 * i, row[i]);
  }
}

/// Sixteen rows' values [from, to) as tiles; whole tiles are written.
TARGET static void makePanel(int format, const uint8_t* group, size_t k, size_t from, size_t to, uint8_t* tiles) {
  switch (format) {
    case kF16: return turnGroup<FormF16>(group, k, from, to, tiles);
    case kBF16: return turnGroup<FormBF16>(group, k, from, to, tiles);
    case kQ4_0: return unpackGroup<FormQ4_0>(group, k, from, to, tiles);
    case kQ4_1: return unpackGroup<FormQ4_1>(group, k, from, to, tiles);
    case kQ5_0: return unpackGroup<FormQ5_0>(group, k, from, to, tiles);
    case kQ5_1: return unpackGroup<FormQ5_1>(group, k, from, to, tiles);
    case kQ8_0: return unpackGroup<FormQ8_0>(group, k, from, to, tiles);
    case kQ2_K: return unpackGroup<FormQ2_K>(group, k, from, to, tiles);
    case kQ3_K: return unpackGroup<FormQ3_K>(group, k, from, to, tiles);
    case kQ4_K: return unpackGroup<FormQ4_K>(group, k, from, to, tiles);
    case kQ5_K: return unpackGroup<FormQ5_K>(group, k, from, to, tiles);
    case kQ6_K: return unpackGroup<FormQ6_K>(group, k, from, to, tiles);
    case kIQ2_XXS: return unpackGroup<FormIQ2_XXS>(group, k, from, to, tiles);
    case kIQ2_XS: return unpackGroup<FormIQ2_XS>(group, k, from, to, tiles);
    case kIQ2_S: return unpackGroup<FormIQ2_XS>(group, k, from, to, tiles);
    case kIQ3_XXS: return unpackGroup<FormIQ3_XXS>(group, k, from, to, tiles);
    case kIQ3_S: return unpackGroup<FormIQ3_S>(group, k, from, to, tiles);
    case kIQ4_NL: return unpackGroup<FormIQ4_NL>(group, k, from, to, tiles);
    case kIQ4_XS: return unpackGroup<FormIQ4_XS>(group, k, from, to, tiles);
    case kTQ2_0: return unpackGroup<FormTQ2_0>(group, k, from, to, tiles);
    case kMXFP4: return unpackGroup<FormMXFP4>(group, k, from, to, tiles);
  }
}

/// All packed formats but F32, which as bf16 would be less than its users ask for.
bool multiplies(int format) { return blockFormat(format) != nullptr || format == kF16 || format == kBF16; }

// ---- activations: [16 rows][tile along k][row][value], bf16

size_t preparedBytes(size_t rows, size_t k) {
  return divideUp(rows, kTileRows) * divideUp(k, kTileValues) * kTileBytes;
}

/// Values [at, at + 16) of a q8 row of k.
INLINE Floats quantizedValues(const uint8_t* row, size_t k, size_t at) {
  const __m128i codes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(row + at));
  const Floats scale = Vec::splat(loadAs<float>(row + q8ScalesAt(k) + at / 32 * 4));
  return Vec::mul(Vec::toFloat(_mm512_cvtepi8_epi32(codes)), scale);
}

/// Values [at, at + 16) of a row of k f32; zeros beyond.
INLINE Floats floatValues(const uint8_t* row, size_t k, size_t at) {
  const size_t left = at < k ? k - at : 0;
  return _mm512_maskz_loadu_ps(__mmask16(left < 16 ? (1u << left) - 1 : 0xffff), row + 4 * at);
}

/// As ManyRowKernels::prepareRows. Rows missing in the last sixteen become zeros.
TARGET static void prepareRows(int format, const uint8_t* a, size_t aStride, size_t k, size_t first, size_t last,
                               uint8_t* prepared) {
  const size_t tiles = divideUp(k, kTileValues);
  const bool quantized = blockFormat(format) != nullptr;
  for (size_t row = first; row < divideUp(last, kTileRows) * kTileRows; ++row) {
    uint8_t* to = prepared + row / kTileRows * tiles * kTileBytes + row % kTileRows * 64;
    const uint8_t* from = a + row * aStride;
    for (size_t at = 0; at < k; at += kTileValues, to += kTileBytes) {
      Codes values = Vec::zeroWords();
      if (row < last) {
        const Floats low = quantized ? quantizedValues(from, k, at) : floatValues(from, k, at);
        const Floats high = quantized ? quantizedValues(from, k, at + 16) : floatValues(from, k, at + 16);
        values = Codes(_mm512_cvtne2ps_pbh(high, low));
      }
      _mm512_store_si512(to, values);
    }
  }
}

// ---- products

/// R × 16 rows × C × 16 columns over `tiles` tiles of k.
///
/// a0, a1  the tiles of either sixteen rows; b0, b1 of either sixteen columns
/// sums    [32 rows][32 columns] f32
template <class T, int R, int C>
TARGET static void multiply(const uint8_t* a0, const uint8_t* a1, const uint8_t* b0, const uint8_t* b1, size_t tiles,
                            uint8_t* sums) {
  T::template zero<0>();
  if (C > 1) T::template zero<1>();
  if (R > 1) T::template zero<2>();
  if (R > 1 && C > 1) T::template zero<3>();
  for (size_t at = 0; at < tiles * kTileBytes; at += kTileBytes) {
    T::template load<6>(b0 + at, 64);
    T::template load<4>(a0 + at, 64);
    T::template dot<0, 4, 6>();
    if (C > 1) T::template load<7>(b1 + at, 64);
    if (C > 1) T::template dot<1, 4, 7>();
    if (R > 1) T::template load<5>(a1 + at, 64);
    if (R > 1) T::template dot<2, 5, 6>();
    if (R > 1 && C > 1) T::template dot<3, 5, 7>();
  }
  T::template store<0>(sums, 128);
  if (C > 1) T::template store<1>(sums + 64, 128);
  if (R > 1) T::template store<2>(sums + 16 * 128, 128);
  if (R > 1 && C > 1) T::template store<3>(sums + 16 * 128 + 64, 128);
}

/// As ManyRowKernels::matmulTile.
template <class T>
TARGET static void matmulTile(int format, float* out, size_t outStride, const uint8_t* a, size_t, size_t rows,
                              const uint8_t* weight, size_t, size_t k, const float* bias, const float* residual,
                              size_t residualStride, size_t first, size_t last, uint8_t* scratch) {
  const ManyRowOutput to{out, outStride, bias, residual, residualStride};
  const size_t step = packedBytes(format, kGroup, k), aTiles = divideUp(k, kTileValues);
  const TileForm form;
  alignas(64) float sums[32 * 32];
  T::configure(form);
  for (size_t from = first; from < last; from += kColumns) {
    const size_t end = from + kColumns < last ? from + kColumns : last;
    for (size_t deep = 0; deep < k; deep += kDepth) {
      const size_t until = deep + kDepth < k ? deep + kDepth : k, tiles = divideUp(until - deep, kTileValues);
      for (size_t column = from; column < end; column += kGroup) {
        makePanel(format, weight + column / kGroup * step, k, deep, until,
                  scratch + (column - from) / kGroup * tiles * kTileBytes);
      }
      for (size_t row = 0; row < rows; row += 2 * kTileRows) {
        const uint8_t* a0 = a + (row / kTileRows * aTiles + deep / kTileValues) * kTileBytes;
        const uint8_t* a1 = a0 + aTiles * kTileBytes;
        const size_t height = rows - row < 2 * kTileRows ? rows - row : 2 * kTileRows;
        for (size_t column = from; column < end; column += 2 * kGroup) {
          const uint8_t* b0 = scratch + (column - from) / kGroup * tiles * kTileBytes;
          const uint8_t* b1 = b0 + tiles * kTileBytes;
          const bool tall = height > kTileRows, wide = end - column > kGroup;
          auto* to0 = reinterpret_cast<uint8_t*>(sums);
          if (tall && wide) multiply<T, 2, 2>(a0, a1, b0, b1, tiles, to0);
          else if (tall) multiply<T, 2, 1>(a0, a1, b0, b0, tiles, to0);
          else if (wide) multiply<T, 1, 2>(a0, a0, b0, b1, tiles, to0);
          else multiply<T, 1, 1>(a0, a0, b0, b0, tiles, to0);
          for (size_t part = 0; part < 2 && column + part * kGroup < end; ++part) {
            const size_t at = column + part * kGroup, left = end - at;
            finish(to, deep == 0, row, height, at, left < kGroup ? left : kGroup, sums + part * kGroup, 2 * kGroup);
          }
        }
      }
    }
  }
  T::release();
}

size_t scratchBytes(int, size_t k) {
  const size_t depth = k < kDepth ? k : kDepth;
  return kColumns / kGroup * divideUp(depth, kTileValues) * kTileBytes;
}

/// From sixteen rows on: a tile's work is the same for fewer.
constexpr size_t kFromRows = 16;

}  // namespace
}  // namespace amx_bf16

const ManyRowKernels amxBf16Kernels = {
    .name = "amxbf16",
    .multiplies = amx_bf16::multiplies,
    .fromRows = amx_bf16::kFromRows,
    .mostColumns = amx_bf16::kColumns,
    .preparedBytes = amx_bf16::preparedBytes,
    .prepareRows = amx_bf16::prepareRows,
    .matmulTile = amx_bf16::matmulTile<amx_bf16::Tiles>,
    .scratchBytes = amx_bf16::scratchBytes,
};

const ManyRowKernels amxBf16ModelKernels = {
    .name = "amxbf16-model",
    .multiplies = amx_bf16::multiplies,
    .fromRows = amx_bf16::kFromRows,
    .mostColumns = amx_bf16::kColumns,
    .preparedBytes = amx_bf16::preparedBytes,
    .prepareRows = amx_bf16::prepareRows,
    .matmulTile = amx_bf16::matmulTile<amx_bf16::ModelTiles>,
    .scratchBytes = amx_bf16::scratchBytes,
};

}  // namespace clavis

#endif
