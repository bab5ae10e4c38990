// The kernels for AVX-512 with VNNI: sixteen weight rows in a register, four codes each; vpdpbusd multiplies unsigned
// codes with signed activations, which it reads and spreads from memory at no cost.
#if defined(__x86_64__)

// gcc takes its own undefined registers for mistakes (its bug 105593).
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"

#include <immintrin.h>

#include "formats.h"
#include "matmul.h"
#include "pack.h"

#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,fma,f16c")))

namespace clavis {
namespace avx512vnni {
namespace {

#include "matmul-avx512-vec.h"

#include "matmul-body.h"

}  // namespace
}  // namespace avx512vnni

const MatrixKernels avx512vnniKernels = {
    "avx512vnni", kGroup,    packedBytes, packRows, avx512vnni::quantizeRow, avx512vnni::matmulTile,
    noScratch,    gatherRow,
};

}  // namespace clavis

#endif
