// The kernels for AArch64, where NEON always is.
#if defined(__aarch64__)

#include <arm_neon.h>

#include "formats.h"
#include "matmul.h"
#include "pack.h"

#define TARGET

namespace clavis {
namespace neon {
namespace {

#include "matmul-neon-vec.h"

#include "matmul-body.h"

}  // namespace
}  // namespace neon

const MatrixKernels neonKernels = {
    "neon", kGroup, packedBytes, packRows, neon::quantizeRow, neon::matmulTile, noScratch, gatherRow,
};

}  // namespace clavis

#endif
