// Products of many rows with weights of integer formats, AVX-512 with VNNI: eight rows × sixteen columns at a time.
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
namespace panelAvx512 {
namespace {

#include "matmul-avx512-vec.h"

#include "matmul-panel.h"

}  // namespace
}  // namespace panelAvx512

// Where a format is not named, its kernels gain less than a twentieth (docs/kernels.md).

using namespace panelAvx512;

const ManyRowKernels panelAvx512Kernels =
    panelKernels<Rounding::contract, FormQ4_0, FormQ5_0, FormQ5_1, FormQ8_0, FormQ2_K, FormQ3_K, FormQ5_K, FormQ6_K,
                 FormIQ4_NL, FormIQ4_XS, FormTQ2_0, FormMXFP4, FormIQ2_XXS, FormIQ2_XS, FormIQ3_XXS,
                 FormIQ3_S>("avx512panel", 32);

const ManyRowKernels fusedPanelAvx512Kernels =
    panelKernels<Rounding::fused, FormQ4_1, FormQ5_1, FormQ2_K, FormQ3_K, FormQ4_K, FormQ5_K, FormQ6_K,
                 FormIQ4_XS, FormIQ2_XS>("avx512fusedpanel", 16);

}  // namespace clavis

#endif
