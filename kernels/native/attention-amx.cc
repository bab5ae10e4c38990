// Attention for fast mode, AMX: factors of bf16, two by two tiles of sixteen lines and sixteen columns at a time.
#include "attention-fast.h"

#if defined(CLAVIS_AMX)

// gcc takes its own undefined registers for mistakes (its bug 105593).
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"

#include <immintrin.h>

#include <cmath>
#include <cstdint>
#include <cstring>

#include "formats.h"
#include "rows.h"

#define CLAVIS_LANES 16
// Of tiles.h: all functions here have the target below.
#define TARGET

// From here on functions may use these instructions; they are called on processors that have them only.
#if defined(__clang__)
#pragma clang attribute push(                                                                           \
    __attribute__((target("amx-tile,amx-bf16,avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,fma"))), \
    apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("amx-tile,amx-bf16,avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,fma")
#endif

namespace clavis {
namespace {

#include "lanes.h"

#include "math.h"

#include "attention-blocks.h"

#include "attention-bf16.h"

#include "tiles.h"

/// 32 lines, two tiles of sixteen; a tile of second factors is sixteen pairs of a panel, 1 KB in one piece.
template <class T>
struct TileFactors : BfloatFactors {
  static constexpr size_t depth = 32, lines = 32;

  static void begin() {
    const TileForm form;
    T::configure(form);
  }
  static void end() { T::release(); }

  template <int columns>
  static void multiplyTiles(float* out, size_t outStride, const Value* a, size_t aStride, const Value* b,
                            size_t panelStride, size_t depth, bool adds) {
    constexpr bool two = columns == 2;
    const size_t outBytes = outStride * sizeof(float), aBytes = aStride * sizeof(Value);
    float* lower = out + 16 * outStride;
    const Value* lowerA = a + 16 * aStride;
    if (adds) {
      T::template load<0>(out, outBytes);
      if (two) T::template load<1>(out + 16, outBytes);
      T::template load<2>(lower, outBytes);
      if (two) T::template load<3>(lower + 16, outBytes);
    } else {
      T::template zero<0>();
      if (two) T::template zero<1>();
      T::template zero<2>();
      if (two) T::template zero<3>();
    }
    for (size_t at = 0; at < depth; at += 32) {
      T::template load<6>(b + 16 * at, 64);
      T::template load<4>(a + at, aBytes);
      T::template dot<0, 4, 6>();
      if (two) T::template load<7>(b + panelStride + 16 * at, 64);
      if (two) T::template dot<1, 4, 7>();
      T::template load<5>(lowerA + at, aBytes);
      T::template dot<2, 5, 6>();
      if (two) T::template dot<3, 5, 7>();
    }
    T::template store<0>(out, outBytes);
    if (two) T::template store<1>(out + 16, outBytes);
    T::template store<2>(lower, outBytes);
    if (two) T::template store<3>(lower + 16, outBytes);
  }

  static void multiply(float* out, size_t outStride, const Value* a, size_t aStride, const Value* b, size_t panelStride,
                       size_t panels, size_t depth, bool adds) {
    size_t c = 0;
    for (; c + 2 <= panels; c += 2) {
      multiplyTiles<2>(out + 16 * c, outStride, a, aStride, b + c * panelStride, panelStride, depth, adds);
    }
    if (c < panels) multiplyTiles<1>(out + 16 * c, outStride, a, aStride, b + c * panelStride, panelStride, depth, adds);
  }
};

}  // namespace

const FastAttention amxAttention = {
    .name = "amxbf16",
    .attention = attentionBlocks<TileFactors<Tiles>>,
    .scratchBytes = blockScratchBytes<TileFactors<Tiles>>,
};

const FastAttention amxModelAttention = {
    .name = "amxbf16-model",
    .attention = attentionBlocks<TileFactors<ModelTiles>>,
    .scratchBytes = blockScratchBytes<TileFactors<ModelTiles>>,
};

}  // namespace clavis

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif
