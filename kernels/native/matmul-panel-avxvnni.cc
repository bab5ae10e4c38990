// The same with AVX-VNNI: vpdpbusd on 256 bits.
#if defined(__x86_64__)

#include <immintrin.h>

#include "formats.h"
#include "matmul-many.h"
#include "matmul.h"

#define TARGET __attribute__((target("avx2,fma,f16c,avxvnni")))
#define CLAVIS_DPBUSD _mm256_dpbusd_avx_epi32

namespace clavis {
namespace panelAvxvnni {
namespace {

#include "matmul-avx2-vec.h"

#include "matmul-panel.h"

}  // namespace
}  // namespace panelAvxvnni

// Where a format is not named, its kernels gain less than a twentieth (docs/kernels.md).

using namespace panelAvxvnni;

const ManyRowKernels panelAvxvnniKernels =
    panelKernels<Rounding::contract, FormQ5_0, FormQ5_1, FormQ2_K, FormQ3_K, FormQ5_K, FormQ6_K, FormIQ4_NL, FormIQ4_XS,
                 FormMXFP4, FormIQ2_XXS, FormIQ2_XS, FormIQ3_XXS, FormIQ3_S>("avxvnnipanel", 32);

const ManyRowKernels fusedPanelAvxvnniKernels =
    panelKernels<Rounding::fused, FormQ4_1, FormQ5_1, FormQ2_K, FormQ3_K, FormQ4_K, FormQ5_K, FormQ6_K,
                 FormIQ4_XS, FormIQ2_XS>("avxvnnifusedpanel", 16);

}  // namespace clavis

#endif
