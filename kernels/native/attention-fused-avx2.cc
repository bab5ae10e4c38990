// Attention for fast mode, AVX2: fused sums in eight lanes.
#if defined(__x86_64__)

#include <immintrin.h>

#include <cmath>
#include <cstdint>
#include <cstring>

#include "attention-fast.h"
#include "rows.h"

#define CLAVIS_LANES 8

// From here on functions may use these instructions; they are called on processors that have them only.
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,f16c,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,f16c,fma")
#endif

namespace clavis {
namespace {

#include "lanes.h"

#include "math.h"

#include "attention-blocks.h"

#include "attention-f32.h"

}  // namespace

const FastAttention fusedAvx2Attention = {
    .name = "avx2fma",
    .attention = attentionBlocks<Fused>,
    .scratchBytes = blockScratchBytes<Fused>,
};

}  // namespace clavis

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif
