// The registers of AVX2: eight weight rows each, so two registers to a group. Included by the files of all levels of
// 256 bits inside their namespaces, which define TARGET, and CLAVIS_DPBUSD(sum, q, x) where vpdpbusd may be used; so no
// include guard.

#define METHOD TARGET inline __attribute__((always_inline))
#define LANES static METHOD

/// Described in matmul-portable.cc.
struct Vec {
  static constexpr size_t lanes = 8;
  // Sixteen registers: four sums, four results and the weights.
  static constexpr int mostRows = 4, manyParts = 1, fewParts = 2;
  static constexpr int floatRows = 2;
#if defined(CLAVIS_DPBUSD)
  static constexpr bool signedBytes = false;
  static constexpr bool startsLate = false;
  static constexpr bool widens = false;
#else
  static constexpr bool signedBytes = true;
  static constexpr bool startsLate = true;
  static constexpr bool widens = true;
#endif
  static constexpr bool squares = false;

  using Codes = __m256i;
  using Floats = __m256;
  // The compiler's own vectors, whose shifts take a count that may be a constant or not.
  using Unsigned = uint32_t __attribute__((vector_size(32)));
  using Signed = int32_t __attribute__((vector_size(32)));

  LANES Codes load(const uint8_t* at) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at)); }
  LANES __m128i load128(const void* at) { return _mm_loadu_si128(static_cast<const __m128i*>(at)); }
  LANES Codes loadShorts(const uint8_t* at) { return _mm256_cvtepu16_epi32(load128(at)); }
  LANES Codes zeroWords() { return _mm256_setzero_si256(); }
  LANES Codes splatWord(uint32_t word) { return _mm256_set1_epi32(int32_t(word)); }
  LANES Codes shiftLeft(Codes x, int n) { return Codes(Unsigned(x) << n); }
  LANES Codes shiftRight(Codes x, int n) { return Codes(Unsigned(x) >> n); }
  LANES Codes shiftRightSigned(Codes x, int n) { return Codes(Signed(x) >> n); }
  LANES Codes either(Codes x, Codes y) { return _mm256_or_si256(x, y); }
  LANES Codes andBytes(Codes x, uint8_t byte) { return _mm256_and_si256(x, _mm256_set1_epi8(char(byte))); }
  LANES Codes andBytes32(Codes x, uint32_t word) { return _mm256_and_si256(x, splatWord(word)); }
  LANES Codes flipBytes(Codes x, uint8_t byte) { return _mm256_xor_si256(x, _mm256_set1_epi8(char(byte))); }
  LANES Codes lookup(const int8_t (&table)[16], Codes x) {
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(load128(table)), x);
  }
  LANES Codes dotPairs(Codes x, Codes y) { return _mm256_madd_epi16(x, y); }
  LANES Codes addWords(Codes x, Codes y) { return _mm256_add_epi32(x, y); }
  LANES Codes larger(Codes x, Codes y) { return _mm256_max_epi32(x, y); }
  LANES uint32_t largestWord(Codes x) {
    __m128i four = _mm_max_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
    four = _mm_max_epi32(four, _mm_shuffle_epi32(four, 0x4e));
    four = _mm_max_epi32(four, _mm_shuffle_epi32(four, 0xb1));
    return uint32_t(_mm_cvtsi128_si32(four));
  }
  LANES int32_t sumOfWords(Codes x) {
    __m128i four = _mm_add_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
    four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4e));
    four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0xb1));
    return _mm_cvtsi128_si32(four);
  }
  LANES void storeBytes(int8_t* to, Codes x) {
    const __m128i shorts = _mm_packs_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(to), _mm_packs_epi16(shorts, shorts));
  }

  LANES Floats splat(float value) { return _mm256_set1_ps(value); }
  LANES Floats loadFloats(const uint8_t* at) { return _mm256_loadu_ps(reinterpret_cast<const float*>(at)); }
  LANES void store(float* to, Floats x) { _mm256_storeu_ps(to, x); }
  LANES Floats halves(const uint8_t* at) { return _mm256_cvtph_ps(load128(at)); }
  /// Where the exponent field is 31, of half the value, doubled.
  LANES Floats finiteHalves(const uint8_t* at) {
    const __m128i bits = load128(at);
    const __m128i exponent = _mm_set1_epi16(0x7c00);
    const __m128i special = _mm_cmpeq_epi16(_mm_and_si128(bits, exponent), exponent);
    if (__builtin_expect(_mm_testz_si128(special, special), 1)) return _mm256_cvtph_ps(bits);
    const Floats value = _mm256_cvtph_ps(_mm_sub_epi16(bits, _mm_and_si128(special, _mm_set1_epi16(0x0400))));
    return _mm256_blendv_ps(value, add(value, value), fromBits(_mm256_cvtepi16_epi32(special)));
  }
  LANES Floats exponents(const uint8_t* at) {
    const Codes e = _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(at)));
    const Codes subnormal = _mm256_sllv_epi32(splatWord(0x200000), e);
    const Codes normal = shiftLeft(_mm256_sub_epi32(e, splatWord(1)), 23);
    return fromBits(_mm256_blendv_epi8(subnormal, normal, _mm256_cmpgt_epi32(e, splatWord(1))));
  }
  LANES Floats fromBits(Codes x) { return _mm256_castsi256_ps(x); }
  LANES Codes toBits(Floats x) { return _mm256_castps_si256(x); }
  LANES Floats toFloat(Codes x) { return _mm256_cvtepi32_ps(x); }
  LANES Codes nearest(Floats x) { return _mm256_cvtps_epi32(x); }
  LANES Floats add(Floats x, Floats y) { return _mm256_add_ps(x, y); }
  LANES Floats mul(Floats x, Floats y) { return _mm256_mul_ps(x, y); }
  LANES Floats fusedAdd(Floats x, Floats y, Floats sum) { return _mm256_fmadd_ps(x, y, sum); }
  LANES Floats negate(Floats x) { return fromBits(_mm256_xor_si256(toBits(x), splatWord(0x80000000))); }

#if defined(CLAVIS_DPBUSD)
  template <int bits, int units>
  struct Dot {
    Codes sum;
    METHOD void start(Codes first) { sum = first; }
    METHOD void add(Codes q, Codes x, int) { sum = CLAVIS_DPBUSD(sum, q, x); }
    METHOD Codes finish() { return sum; }
  };
#else
  /// A pair of products is at most 2 · 127 · (2^bits − 1), and i16 holds 32,767: so 8, 4, 2 or 1 units of four codes fit
  /// before the pairs must be widened. Signed codes of 8 bits are split into magnitude and sign, the sign passed to the
  /// activation: 2 · 127 · 128 = 32,512.
  template <int bits, int units>
  struct Dot {
    static constexpr int room = bits >= 7 ? 1 : bits == 6 ? 2 : bits == 5 ? 4 : 8;
    static_assert(room * 2 * 127 * (bits == 8 ? 128 : (1 << bits) - 1) <= 32767);
    static constexpr int fit = room < units ? room : units;
    Codes sum;
    Codes pairs;
    METHOD void start(Codes) { sum = zeroWords(); }
    /// scale: an i16 twice in each lane
    METHOD void add(Codes q, Codes x, int unit, Codes scale = _mm256_set1_epi16(1)) {
      const Codes two = bits == 8 ? _mm256_maddubs_epi16(_mm256_abs_epi8(q), _mm256_sign_epi8(x, q))
                                  : _mm256_maddubs_epi16(q, x);
      pairs = unit % fit == 0 ? two : _mm256_add_epi16(pairs, two);
      // Keeps the compiler from adding up in another order, for which it would hold all products at once.
      __asm__("" : "+x"(pairs));
      if (unit % fit == fit - 1) {
        const Codes wide = _mm256_madd_epi16(pairs, scale);
        sum = unit < fit ? wide : addWords(sum, wide);
        __asm__("" : "+x"(sum));
      }
    }
    METHOD Codes finish() { return sum; }
  };
#endif
};

#undef METHOD
#undef LANES
