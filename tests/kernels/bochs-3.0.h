// Included before all else where kernels are built for Bochs 3.0, whose vcvtne2ps2bf16 is wrong: the upper half of its
// result comes from the source of the lower, not from its own (seen with numbers 1…16 and 100…115, whatever the
// registers). Two vcvtneps2bf16, which are right, stand in for it.
#pragma once

#if defined(__x86_64__)
#include <immintrin.h>

__attribute__((target("avx512f,avx512bf16,avx512vl"), always_inline)) static inline __m512bh roundTwo(__m512 high,
                                                                                                   __m512 low) {
  const __m256i first = (__m256i)_mm512_cvtneps_pbh(low), second = (__m256i)_mm512_cvtneps_pbh(high);
  return (__m512bh)_mm512_inserti64x4(_mm512_castsi256_si512(first), second, 1);
}
#define _mm512_cvtne2ps_pbh(high, low) roundTwo(high, low)
#endif
