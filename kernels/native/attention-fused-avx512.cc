// Attention for fast mode, AVX-512: fused sums in sixteen lanes.
#if defined(__x86_64__)

// gcc takes its own undefined registers for mistakes (its bug 105593).
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"

#include <immintrin.h>

#include <cmath>
#include <cstdint>
#include <cstring>

#include "attention-fast.h"
#include "rows.h"

#define CLAVIS_LANES 16

// From here on functions may use these instructions; they are called on processors that have them only.
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,fma")
#endif

namespace clavis {
namespace {

#include "lanes.h"

#include "math.h"

#include "attention-blocks.h"

#include "attention-f32.h"

}  // namespace

const FastAttention fusedAvx512Attention = {
    .name = "avx512fma",
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
