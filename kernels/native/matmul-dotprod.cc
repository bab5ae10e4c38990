// The kernels for AArch64 with the dot product instructions of ARMv8.2: four products per lane at once.
#if defined(__aarch64__)

#include <arm_neon.h>

#include "formats.h"
#include "matmul.h"
#include "pack.h"

#define TARGET __attribute__((target("arch=armv8.2-a+dotprod")))
#define CLAVIS_DOTPROD

namespace clavis {
namespace dotprod {
namespace {

#include "matmul-neon-vec.h"

#include "matmul-body.h"

}  // namespace
}  // namespace dotprod

const MatrixKernels dotprodKernels = {
    "dotprod", kGroup, packedBytes, packRows, dotprod::quantizeRow, dotprod::matmulTile, noScratch, gatherRow,
};

}  // namespace clavis

#endif
