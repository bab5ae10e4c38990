// Products of many rows with weights of integer formats, AVX2: four rows × eight columns at a time.
#if defined(__x86_64__)

#include <immintrin.h>

#include "formats.h"
#include "matmul-many.h"
#include "matmul.h"

#define TARGET __attribute__((target("avx2,fma,f16c")))

namespace clavis {
namespace panelAvx2 {
namespace {

#include "matmul-avx2-vec.h"

#include "matmul-panel.h"

}  // namespace
}  // namespace panelAvx2

// Where a format is not named, its kernels gain less than a twentieth (docs/kernels.md).

using namespace panelAvx2;

const ManyRowKernels panelAvx2Kernels =
    panelKernels<Rounding::contract, FormQ5_0, FormQ5_1, FormQ2_K, FormQ3_K, FormQ5_K, FormQ6_K, FormIQ4_NL, FormIQ4_XS,
                 FormMXFP4, FormIQ2_XXS, FormIQ2_XS, FormIQ3_XXS, FormIQ3_S>("avx2panel", 32);

const ManyRowKernels fusedPanelAvx2Kernels =
    panelKernels<Rounding::fused, FormQ4_1, FormQ5_1, FormQ2_K, FormQ3_K, FormQ4_K, FormQ5_K, FormQ6_K,
                 FormIQ4_XS, FormIQ2_XS>("avx2fusedpanel", 16);

}  // namespace clavis

#endif
