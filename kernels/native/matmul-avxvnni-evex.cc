// A twin of matmul-avxvnni.cc whose one instruction beyond AVX2, vpdpbusd, is encoded as AVX-512 has it, so that
// processors with AVX-512 and without AVX-VNNI can test that level: CLAVIS_CPU=avxvnni takes it there, and nothing else.
#if defined(__x86_64__)

#include <immintrin.h>

#include "formats.h"
#include "matmul.h"
#include "pack.h"

#define TARGET __attribute__((target("avx2,fma,f16c")))
#define CLAVIS_DPBUSD evexDpbusd

namespace clavis {
namespace avxvnniEvex {
namespace {

/// _mm256_dpbusd_epi32. As the intrinsic it would need a target that lets the compiler use AVX-512 everywhere else, too.
TARGET inline __attribute__((always_inline)) __m256i evexDpbusd(__m256i sum, __m256i codes, __m256i activations) {
  __asm__("%{evex%} vpdpbusd %2, %1, %0" : "+x"(sum) : "x"(codes), "x"(activations));
  return sum;
}

#include "matmul-avx2-vec.h"

#include "matmul-body.h"

}  // namespace
}  // namespace avxvnniEvex

const MatrixKernels avxvnniEvexKernels = {
    "avxvnni", kGroup, packedBytes, packRows, avxvnniEvex::quantizeRow, avxvnniEvex::matmulTile, noScratch, gatherRow,
};

}  // namespace clavis

#endif
