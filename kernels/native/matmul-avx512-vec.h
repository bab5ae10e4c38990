// The registers of AVX-512 with VNNI: sixteen weight rows each, so one register to a group. Included by files that define
// TARGET, inside a namespace of theirs; so no include guard.

#define METHOD TARGET inline __attribute__((always_inline))
#define LANES static METHOD

/// Described in matmul-portable.cc.
struct Vec {
  static constexpr size_t lanes = 16;
  // Eight sums, eight results and the weights of eight rows of activations fit the 32 registers.
  static constexpr int mostRows = 8, manyParts = 1, fewParts = 1;
  static constexpr int floatRows = 4;
  static constexpr bool signedBytes = false;
  static constexpr bool startsLate = false;
  static constexpr bool widens = false;
  static constexpr bool squares = false;

  using Codes = __m512i;
  using Floats = __m512;
  // The compiler's own vectors, whose shifts take a count that may be a constant or not.
  using Unsigned = uint32_t __attribute__((vector_size(64)));
  using Signed = int32_t __attribute__((vector_size(64)));

  LANES Codes load(const uint8_t* at) { return _mm512_loadu_si512(at); }
  LANES Codes loadShorts(const uint8_t* at) {
    return _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(at)));
  }
  LANES Codes zeroWords() { return _mm512_setzero_si512(); }
  LANES Codes splatWord(uint32_t word) { return _mm512_set1_epi32(int32_t(word)); }
  LANES Codes shiftLeft(Codes x, int n) { return Codes(Unsigned(x) << n); }
  LANES Codes shiftRight(Codes x, int n) { return Codes(Unsigned(x) >> n); }
  LANES Codes shiftRightSigned(Codes x, int n) { return Codes(Signed(x) >> n); }
  LANES Codes either(Codes x, Codes y) { return _mm512_or_si512(x, y); }
  LANES Codes andBytes(Codes x, uint8_t byte) { return _mm512_and_si512(x, _mm512_set1_epi8(char(byte))); }
  LANES Codes andBytes32(Codes x, uint32_t word) { return _mm512_and_si512(x, splatWord(word)); }
  LANES Codes flipBytes(Codes x, uint8_t byte) { return _mm512_xor_si512(x, _mm512_set1_epi8(char(byte))); }
  LANES Codes lookup(const int8_t (&table)[16], Codes x) {
    const __m128i entries = _mm_loadu_si128(reinterpret_cast<const __m128i*>(table));
    return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(entries), x);
  }
  LANES Codes dotPairs(Codes x, Codes y) { return _mm512_madd_epi16(x, y); }
  LANES Codes addWords(Codes x, Codes y) { return _mm512_add_epi32(x, y); }
  LANES Codes larger(Codes x, Codes y) { return _mm512_max_epi32(x, y); }
  LANES uint32_t largestWord(Codes x) { return uint32_t(_mm512_reduce_max_epi32(x)); }
  LANES int32_t sumOfWords(Codes x) { return _mm512_reduce_add_epi32(x); }
  LANES void storeBytes(int8_t* to, Codes x) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm512_cvtepi32_epi8(x));
  }

  LANES Floats splat(float value) { return _mm512_set1_ps(value); }
  LANES Floats loadFloats(const uint8_t* at) { return _mm512_loadu_ps(at); }
  LANES void store(float* to, Floats x) { _mm512_storeu_ps(to, x); }
  LANES Floats halves(const uint8_t* at) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(at)));
  }
  /// Where the exponent field is 31, of half the value, doubled.
  LANES Floats finiteHalves(const uint8_t* at) {
    const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at));
    const __m256i exponent = _mm256_set1_epi16(0x7c00);
    const __mmask16 special = _mm256_cmpeq_epi16_mask(_mm256_and_si256(bits, exponent), exponent);
    const Floats value = _mm512_cvtph_ps(_mm256_mask_sub_epi16(bits, special, bits, _mm256_set1_epi16(0x0400)));
    return _mm512_mask_add_ps(value, special, value, value);
  }
  LANES Floats exponents(const uint8_t* at) {
    const Codes e = _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at)));
    const Codes subnormal = _mm512_sllv_epi32(splatWord(0x200000), e);
    const Codes normal = shiftLeft(_mm512_sub_epi32(e, splatWord(1)), 23);
    return fromBits(_mm512_mask_blend_epi32(_mm512_cmpgt_epi32_mask(e, splatWord(1)), subnormal, normal));
  }
  LANES Floats fromBits(Codes x) { return _mm512_castsi512_ps(x); }
  LANES Codes toBits(Floats x) { return _mm512_castps_si512(x); }
  LANES Floats toFloat(Codes x) { return _mm512_cvtepi32_ps(x); }
  LANES Codes nearest(Floats x) { return _mm512_cvtps_epi32(x); }
  LANES Floats add(Floats x, Floats y) { return _mm512_add_ps(x, y); }
  LANES Floats mul(Floats x, Floats y) { return _mm512_mul_ps(x, y); }
  LANES Floats fusedAdd(Floats x, Floats y, Floats sum) { return _mm512_fmadd_ps(x, y, sum); }
  LANES Floats negate(Floats x) { return fromBits(_mm512_xor_si512(toBits(x), splatWord(0x80000000))); }

  template <int bits, int units>
  struct Dot {
    Codes sum;
    METHOD void start(Codes first) { sum = first; }
    METHOD void add(Codes q, Codes x, int) { sum = _mm512_dpbusd_epi32(sum, q, x); }
    METHOD Codes finish() { return sum; }
  };
};
