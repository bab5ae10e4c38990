// Attention for fast mode, AVX512-BF16: factors of bf16, sums of two products in sixteen lanes.
#if defined(__x86_64__)

// gcc takes its own undefined registers for mistakes (its bug 105593).
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"

#include <immintrin.h>

#include <cmath>
#include <cstdint>
#include <cstring>

#include "attention-fast.h"
#include "rows.h"

#define CLAVIS_LANES 16

// From here on functions may use these instructions; they are called on processors that have them only.
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,fma"))), \
                             apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,fma")
#endif

namespace clavis {
namespace {

#include "lanes.h"

#include "math.h"

#include "attention-blocks.h"

#include "attention-bf16.h"

/// Sixteen sums hide the latency of an instruction. Six lines would load less, but seldom come out even.
struct Pairs : BfloatFactors {
  static constexpr size_t depth = 2, lines = 4, columns = 4;
  using Factors = __m512i;

  static Factors loadFactors(const Value* at) { return _mm512_loadu_si512(at); }
  static Factors spreadFactor(const Value* at) {
    int32_t both;
    std::memcpy(&both, at, sizeof both);
    return _mm512_set1_epi32(both);
  }
  static F addProducts(F sum, Factors x, Factors y) { return {_mm512_dpbf16_ps(sum.a, (__m512bh)x, (__m512bh)y)}; }

  static void begin() {}
  static void end() {}
  static void multiply(float* out, size_t outStride, const Value* a, size_t aStride, const Value* b, size_t panelStride,
                       size_t panels, size_t depth, bool adds) {
    multiplyVectors<Pairs>(out, outStride, a, aStride, b, panelStride, panels, depth, adds);
  }
};

}  // namespace

const FastAttention pairsAvx512Attention = {
    .name = "avx512bf16",
    .attention = attentionBlocks<Pairs>,
    .scratchBytes = blockScratchBytes<Pairs>,
};

}  // namespace clavis

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif
