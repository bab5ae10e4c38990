// vpdpbusd on 256 bits as AVX-512 encodes it, for the twins of the files for AVX-VNNI. Included inside their namespaces
// after TARGET has been defined; so no include guard.

/// _mm256_dpbusd_epi32. As the intrinsic it would need a target that lets the compiler use AVX-512 everywhere else, too.
TARGET inline __attribute__((always_inline)) __m256i evexDpbusd(__m256i sum, __m256i codes, __m256i activations) {
  __asm__("%{evex%} vpdpbusd %2, %1, %0" : "+x"(sum) : "x"(codes), "x"(activations));
  return sum;
}
