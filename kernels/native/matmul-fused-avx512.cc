// Products with weights of floats for fast mode, AVX-512: sixteen fused sums in a register.
#if defined(__x86_64__)

// gcc takes its own undefined registers for mistakes (its bug 105593).
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"

#include <immintrin.h>

#include "formats.h"
#include "matmul-many.h"
#include "matmul.h"

#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,fma,f16c")))

namespace clavis {
namespace fused_avx512 {
namespace {

#include "matmul-avx512-vec.h"

/// 24 sums, four weights and an activation of the 32 registers.
constexpr int kFusedColumns = 4, kFusedRows = 6;

TARGET static inline float sumOf(Vec::Floats x) { return _mm512_reduce_add_ps(x); }

#include "matmul-fused.h"

#include "matmul-fused-terms.h"

}  // namespace
}  // namespace fused_avx512

const ManyRowKernels fusedAvx512Kernels = {
    .name = "avx512fma",
    .multiplies = fused_avx512::multiplies<fused_avx512::FusedTerms<kF32>, fused_avx512::FusedTerms<kF16>>,
    .fromRows = 2,
    .mostColumns = 64,
    .preparedBytes = fused_avx512::preparedBytes<fused_avx512::FusedTerms<kF32>>,
    .prepareRows = fused_avx512::prepareRows<fused_avx512::FusedTerms<kF32>>,
    .matmulTile = fused_avx512::matmulTile<fused_avx512::FusedTerms<kF32>, fused_avx512::FusedTerms<kF16>>,
    .scratchBytes = noScratch,
};

}  // namespace clavis

#endif
