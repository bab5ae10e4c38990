// Products with weights of bf16 for fast mode, AVX512-BF16: sixteen sums of two products in a register.
#if defined(__x86_64__)

// gcc takes its own undefined registers for mistakes (its bug 105593).
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"

#include <immintrin.h>

#include "formats.h"
#include "matmul-many.h"
#include "matmul.h"

#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512bf16,fma,f16c")))

namespace clavis {
namespace pairs_avx512 {
namespace {

#include "matmul-avx512-vec.h"

TARGET static inline float sumOf(Vec::Floats x) { return _mm512_reduce_add_ps(x); }

#include "matmul-fused.h"

/// Weights of bf16 as they are; activations are rounded to bf16.
struct PairTerms {
  static constexpr int id = kBF16, mostColumns = 6, mostRows = 4;
  static constexpr size_t step = 32, bytes = 2, valueBytes = 2;
  static constexpr bool holdsWeights = false;
  using Held = __m512bh;
  FUSED __m512bh weights(const uint8_t* row, size_t at) { return __m512bh(Vec::load(row + 2 * at)); }
  FUSED void prepare(const uint8_t* from, uint8_t* to) {
    _mm512_store_si512(to, Vec::Codes(_mm512_cvtne2ps_pbh(Vec::loadFloats(from + 64), Vec::loadFloats(from))));
  }
  FUSED __m512bh activations(const uint8_t* row, size_t at) { return __m512bh(Vec::load(row + 2 * at)); }
  FUSED Vec::Floats add(Vec::Floats sum, __m512bh w, __m512bh a) { return _mm512_dpbf16_ps(sum, w, a); }
};

}  // namespace
}  // namespace pairs_avx512

const ManyRowKernels pairsAvx512Kernels = {
    .name = "avx512bf16",
    .multiplies = pairs_avx512::multiplies<pairs_avx512::PairTerms>,
    .fromRows = 2,
    .mostColumns = 64,
    .preparedBytes = pairs_avx512::preparedBytes<pairs_avx512::PairTerms>,
    .prepareRows = pairs_avx512::prepareRows<pairs_avx512::PairTerms>,
    .matmulTile = pairs_avx512::matmulTile<pairs_avx512::PairTerms>,
    .scratchBytes = noScratch,
};

}  // namespace clavis

#endif
