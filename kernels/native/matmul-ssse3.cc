// The kernels for processors of before 2013, with SSSE3 and no AVX2: four weight rows in a register, so four registers
// to a group. As with AVX2, pmaddubsw adds pairs of products into i16, where several pairs fit before they are widened.
#if defined(__x86_64__)

#include <immintrin.h>

#include "formats.h"
#include "matmul.h"
#include "pack.h"

#define TARGET __attribute__((target("ssse3")))
#define METHOD TARGET inline __attribute__((always_inline))
#define LANES static METHOD

namespace clavis {
namespace ssse3 {
namespace {

/// Described in matmul-portable.cc.
struct Vec {
  static constexpr size_t lanes = 4;
  // Sixteen registers: four sums, four of pairs, four results and the weights.
  static constexpr int mostRows = 4, manyParts = 1, fewParts = 2;
  static constexpr int floatRows = 1;
  static constexpr bool signedBytes = true;
  static constexpr bool startsLate = true;
  static constexpr bool widens = true;
  static constexpr bool squares = false;

  using Codes = __m128i;
  using Floats = __m128;
  // The compiler's own vectors, whose shifts take a count that may be a constant or not.
  using Unsigned = uint32_t __attribute__((vector_size(16)));
  using Signed = int32_t __attribute__((vector_size(16)));

  LANES Codes load(const uint8_t* at) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(at)); }
  LANES Codes loadShorts(const uint8_t* at) {
    return _mm_unpacklo_epi16(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(at)), zeroWords());
  }
  LANES Codes zeroWords() { return _mm_setzero_si128(); }
  LANES Codes splatWord(uint32_t word) { return _mm_set1_epi32(int32_t(word)); }
  LANES Codes shiftLeft(Codes x, int n) { return Codes(Unsigned(x) << n); }
  LANES Codes shiftRight(Codes x, int n) { return Codes(Unsigned(x) >> n); }
  LANES Codes shiftRightSigned(Codes x, int n) { return Codes(Signed(x) >> n); }
  LANES Codes either(Codes x, Codes y) { return _mm_or_si128(x, y); }
  LANES Codes andBytes(Codes x, uint8_t byte) { return _mm_and_si128(x, _mm_set1_epi8(char(byte))); }
  LANES Codes andBytes32(Codes x, uint32_t word) { return _mm_and_si128(x, splatWord(word)); }
  LANES Codes flipBytes(Codes x, uint8_t byte) { return _mm_xor_si128(x, _mm_set1_epi8(char(byte))); }
  LANES Codes lookup(const int8_t (&table)[16], Codes x) {
    return _mm_shuffle_epi8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table)), x);
  }
  LANES Codes dotPairs(Codes x, Codes y) { return _mm_madd_epi16(x, y); }
  LANES Codes addWords(Codes x, Codes y) { return _mm_add_epi32(x, y); }
  /// One of two, by a mask.
  LANES Codes choose(Codes mask, Codes then, Codes otherwise) {
    return _mm_or_si128(_mm_and_si128(mask, then), _mm_andnot_si128(mask, otherwise));
  }
  LANES Codes larger(Codes x, Codes y) { return choose(_mm_cmpgt_epi32(x, y), x, y); }
  LANES uint32_t largestWord(Codes x) {
    x = larger(x, _mm_shuffle_epi32(x, 0x4e));
    return uint32_t(_mm_cvtsi128_si32(larger(x, _mm_shuffle_epi32(x, 0xb1))));
  }
  LANES int32_t sumOfWords(Codes x) {
    x = addWords(x, _mm_shuffle_epi32(x, 0x4e));
    return _mm_cvtsi128_si32(addWords(x, _mm_shuffle_epi32(x, 0xb1)));
  }
  LANES void storeBytes(int8_t* to, Codes x) {
    const __m128i shorts = _mm_packs_epi32(x, x);
    const int32_t four = _mm_cvtsi128_si32(_mm_packs_epi16(shorts, shorts));
    std::memcpy(to, &four, 4);
  }

  LANES Floats splat(float value) { return _mm_set1_ps(value); }
  LANES Floats loadFloats(const uint8_t* at) { return _mm_loadu_ps(reinterpret_cast<const float*>(at)); }
  LANES void store(float* to, Floats x) { _mm_storeu_ps(to, x); }
  LANES Floats finiteHalves(const uint8_t* at) {
    const Codes bits = loadShorts(at);
    const Floats magnitude = mul(fromBits(shiftLeft(andBytes32(bits, 0x7fff), 13)), splat(0x1p112f));
    return fromBits(either(toBits(magnitude), shiftLeft(andBytes32(bits, 0x8000), 16)));
  }
  LANES Floats halves(const uint8_t* at) {
    const Codes bits = loadShorts(at);
    const Codes special = _mm_cmpeq_epi32(andBytes32(bits, 0x7c00), splatWord(0x7c00));
    // Of infinity and NaN, all bits of the exponent are set in f32, too.
    return fromBits(either(toBits(finiteHalves(at)), andBytes32(special, 0x7f800000)));
  }
  LANES Floats exponents(const uint8_t* at) {
    return _mm_set_ps(halfOfE8m0(at[3]), halfOfE8m0(at[2]), halfOfE8m0(at[1]), halfOfE8m0(at[0]));
  }
  LANES Floats fromBits(Codes x) { return _mm_castsi128_ps(x); }
  LANES Codes toBits(Floats x) { return _mm_castps_si128(x); }
  LANES Floats toFloat(Codes x) { return _mm_cvtepi32_ps(x); }
  LANES Codes nearest(Floats x) { return _mm_cvtps_epi32(x); }
  LANES Floats add(Floats x, Floats y) { return _mm_add_ps(x, y); }
  LANES Floats mul(Floats x, Floats y) { return _mm_mul_ps(x, y); }
  LANES Floats negate(Floats x) { return fromBits(_mm_xor_si128(toBits(x), splatWord(0x80000000))); }

  /// As in matmul-avx2.cc.
  template <int bits, int units>
  struct Dot {
    static constexpr int room = bits >= 7 ? 1 : bits == 6 ? 2 : bits == 5 ? 4 : 8;
    static_assert(room * 2 * 127 * (bits == 8 ? 128 : (1 << bits) - 1) <= 32767);
    static constexpr int fit = room < units ? room : units;
    Codes sum;
    Codes pairs;
    METHOD void start(Codes) { sum = zeroWords(); }
    /// scale: an i16 twice in each lane
    METHOD void add(Codes q, Codes x, int unit, Codes scale = _mm_set1_epi16(1)) {
      const Codes two = bits == 8 ? _mm_maddubs_epi16(_mm_abs_epi8(q), _mm_sign_epi8(x, q)) : _mm_maddubs_epi16(q, x);
      pairs = unit % fit == 0 ? two : _mm_add_epi16(pairs, two);
      __asm__("" : "+x"(pairs));
      if (unit % fit == fit - 1) {
        const Codes wide = _mm_madd_epi16(pairs, scale);
        sum = unit < fit ? wide : addWords(sum, wide);
        __asm__("" : "+x"(sum));
      }
    }
    METHOD Codes finish() { return sum; }
  };
};

#include "matmul-body.h"

}  // namespace
}  // namespace ssse3

const MatrixKernels ssse3Kernels = {
    "ssse3", kGroup, packedBytes, packRows, ssse3::quantizeRow, ssse3::matmulTile, noScratch, gatherRow,
};

}  // namespace clavis

#endif
