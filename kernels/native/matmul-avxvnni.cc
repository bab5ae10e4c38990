// The kernels for processors that have vpdpbusd without AVX-512 (Alder Lake and later; Zen 5 has both): eight weight
// rows in a register, four products of unsigned codes and signed activations per lane at once.
#if defined(__x86_64__)

#include <immintrin.h>

#include "formats.h"
#include "matmul.h"
#include "pack.h"

#define TARGET __attribute__((target("avx2,fma,f16c,avxvnni")))
#define CLAVIS_DPBUSD _mm256_dpbusd_avx_epi32

namespace clavis {
namespace avxvnni {
namespace {

#include "matmul-avx2-vec.h"

#include "matmul-body.h"

}  // namespace
}  // namespace avxvnni

const MatrixKernels avxvnniKernels = {
    "avxvnni", kGroup, packedBytes, packRows, avxvnni::quantizeRow, avxvnni::matmulTile, noScratch, gatherRow,
};

}  // namespace clavis

#endif
