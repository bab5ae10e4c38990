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

#include "evex-dpbusd.h"

#include "matmul-avx2-vec.h"

#include "matmul-body.h"

}  // namespace
}  // namespace avxvnniEvex

const MatrixKernels avxvnniEvexKernels = {
    "avxvnni", kGroup, packedBytes, packRows, avxvnniEvex::quantizeRow, avxvnniEvex::matmulTile, noScratch, gatherRow,
};

}  // namespace clavis

#endif
