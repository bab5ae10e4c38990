// Row kernels for AVX512.
#if defined(__x86_64__)

#include <immintrin.h>

#include <cmath>
#include <cstdint>
#include <cstring>

#include "float16.h"
#include "rows-levels.h"

#define CLAVIS_LANES 16
#define CLAVIS_LEVEL "avx512"

// From here on functions may use these instructions; they are called on processors that have them only.
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512vl,avx512dq"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq")
#endif

namespace clavis {

#include "rows-level.h"

const RowKernels& avx512RowKernels() { return levelKernels; }

}  // namespace clavis

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif
