// The kernels for AVX2: eight weight rows in a register, so two registers to a group. vpmaddubsw adds pairs of products
// of unsigned codes and signed activations into i16, where several pairs fit before they are widened.
#if defined(__x86_64__)

#include <immintrin.h>

#include "formats.h"
#include "matmul.h"
#include "pack.h"

#define TARGET __attribute__((target("avx2,fma,f16c")))

namespace clavis {
namespace avx2 {
namespace {

#include "matmul-avx2-vec.h"

#include "matmul-body.h"

}  // namespace
}  // namespace avx2

const MatrixKernels avx2Kernels = {
    "avx2", kGroup, packedBytes, packRows, avx2::quantizeRow, avx2::matmulTile, noScratch, gatherRow,
};

}  // namespace clavis

#endif
