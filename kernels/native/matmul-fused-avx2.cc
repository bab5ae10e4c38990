// Products with weights of floats for fast mode, AVX2: eight fused sums in a register.
#if defined(__x86_64__)

#include <immintrin.h>

#include "formats.h"
#include "matmul-many.h"
#include "matmul.h"

#define TARGET __attribute__((target("avx2,fma,f16c")))

namespace clavis {
namespace fused_avx2 {
namespace {

#include "matmul-avx2-vec.h"

/// Twelve sums, three weights and an activation of the sixteen registers.
constexpr int kFusedColumns = 3, kFusedRows = 4;

TARGET static inline float sumOf(Vec::Floats x) {
  __m128 four = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
  four = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(four, _mm_movehdup_ps(four)));
}

#include "matmul-fused.h"

#include "matmul-fused-terms.h"

}  // namespace
}  // namespace fused_avx2

const ManyRowKernels fusedAvx2Kernels = {
    .name = "avx2fma",
    .multiplies = fused_avx2::multiplies<fused_avx2::FusedTerms<kF32>, fused_avx2::FusedTerms<kF16>,
                                         fused_avx2::FusedTerms<kBF16>>,
    .fromRows = 2,
    .mostColumns = 64,
    .preparedBytes = fused_avx2::preparedBytes<fused_avx2::FusedTerms<kF32>>,
    .prepareRows = fused_avx2::prepareRows<fused_avx2::FusedTerms<kF32>>,
    .matmulTile = fused_avx2::matmulTile<fused_avx2::FusedTerms<kF32>, fused_avx2::FusedTerms<kF16>,
                                         fused_avx2::FusedTerms<kBF16>>,
    .scratchBytes = noScratch,
};

}  // namespace clavis

#endif
