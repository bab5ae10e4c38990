// The kernels for AArch64 with the integer matrix instructions of ARMv8.6: eight products of two rows with two at once.
// A row alone takes the dot product.
#if defined(__aarch64__)

#include <arm_neon.h>

#include "formats.h"
#include "matmul.h"
#include "pack.h"

#define TARGET __attribute__((target("arch=armv8.2-a+dotprod+i8mm")))
#define CLAVIS_DOTPROD
#define CLAVIS_SMMLA

namespace clavis {
namespace i8mm {
namespace {

#include "matmul-neon-vec.h"

#include "matmul-body.h"

}  // namespace
}  // namespace i8mm

const MatrixKernels i8mmKernels = {
    "i8mm", kGroup, packedBytes, packRows, i8mm::quantizeRow, i8mm::matmulTile, noScratch, gatherRow,
};

}  // namespace clavis

#endif
