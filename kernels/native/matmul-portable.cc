// The kernels in plain C++, for processors without any of the instruction sets below, and what reads single rows back.

#include "formats.h"
#include "matmul.h"
#include "pack.h"

#define TARGET

namespace clavis {
namespace portable {
namespace {

/// What a Vec is: `lanes` 32-bit words, a weight row each. This one has a single lane.
struct Vec {
  static constexpr size_t lanes = 1;
  /// Most activation rows at a time, and how many Vecs of weight rows beside them, for many rows and for few.
  static constexpr int mostRows = 4, manyParts = 1, fewParts = 1;
  /// Weight rows, and activation rows, at a time of formats of floats.
  static constexpr int floatRows = 1;
  /// Whether codes of 8 bits are signed rather than offset by 128.
  static constexpr bool signedBytes = true;
  /// Whether a sum of products is begun at zero and the offset added last, which takes fewer registers.
  static constexpr bool startsLate = false;
  /// Whether sums of products are widened by a multiplication, which may as well be that with their scale.
  static constexpr bool widens = false;
  /// Whether one instruction multiplies two rows with two: then there is a Square (matmul-neon-vec.h).
  static constexpr bool squares = false;

  using Codes = uint32_t;
  using Floats = float;

  static Codes load(const uint8_t* at) { return loadAs<uint32_t>(at); }
  /// A 16-bit number per lane.
  static Codes loadShorts(const uint8_t* at) { return loadAs<uint16_t>(at); }
  static Codes zeroWords() { return 0; }
  static Codes splatWord(uint32_t word) { return word; }
  static Codes shiftLeft(Codes x, int n) { return x << n; }
  static Codes shiftRight(Codes x, int n) { return x >> n; }
  static Codes shiftRightSigned(Codes x, int n) { return uint32_t(int32_t(x) >> n); }
  static Codes either(Codes x, Codes y) { return x | y; }
  static Codes andBytes(Codes x, uint8_t byte) { return x & (byte * 0x01010101u); }
  static Codes andBytes32(Codes x, uint32_t word) { return x & word; }
  static Codes flipBytes(Codes x, uint8_t byte) { return x ^ (byte * 0x01010101u); }
  /// The table's entry for every byte, 0…15.
  static Codes lookup(const int8_t (&table)[16], Codes x) {
    Codes found = 0;
    for (int i = 0; i < 32; i += 8) found |= uint32_t(uint8_t(table[x >> i & 15])) << i;
    return found;
  }
  /// The sum of the products of the two i16 in each lane.
  static Codes dotPairs(Codes x, Codes y) {
    return uint32_t(int16_t(x) * int16_t(y) + int16_t(x >> 16) * int16_t(y >> 16));
  }
  static Codes addWords(Codes x, Codes y) { return x + y; }
  static Codes larger(Codes x, Codes y) { return x > y ? x : y; }
  static uint32_t largestWord(Codes x) { return x; }
  static int32_t sumOfWords(Codes x) { return int32_t(x); }
  /// The low byte of every lane.
  static void storeBytes(int8_t* to, Codes x) { *to = int8_t(x); }

  static Floats splat(float value) { return value; }
  static Floats loadFloats(const uint8_t* at) { return loadAs<float>(at); }
  static void store(float* to, Floats x) { *to = x; }
  static Floats halves(const uint8_t* at) { return halfToFloat(loadAs<uint16_t>(at)); }
  static Floats finiteHalves(const uint8_t* at) { return finiteHalf(loadAs<uint16_t>(at)); }
  static Floats exponents(const uint8_t* at) { return halfOfE8m0(*at); }
  static Floats fromBits(Codes x) { return bitsToFloat(x); }
  static Codes toBits(Floats x) { return floatToBits(x); }
  /// Of a signed whole number.
  static Floats toFloat(Codes x) { return float(int32_t(x)); }
  /// To the nearest whole number, ties to even, for |x| < 2²²: adding 1.5 · 2²³ leaves no bits behind the point.
  static Codes nearest(Floats x) { return uint32_t(int32_t((x + 12582912.0f) - 12582912.0f)); }
  static Floats add(Floats x, Floats y) { return x + y; }
  static Floats mul(Floats x, Floats y) { return x * y; }
  static Floats negate(Floats x) { return -x; }

  /// A running sum of products of `units` times four codes of so many bits with activations.
  template <int bits, int units>
  struct Dot {
    int32_t sum;
    void start(Codes first) { sum = int32_t(first); }
    /// Adds four products per lane; `unit` counts these calls from 0.
    void add(Codes q, Codes x, int) {
      for (int i = 0; i < 32; i += 8) {
        const int32_t code = bits == 8 ? int32_t(int8_t(q >> i)) : int32_t(q >> i & 0xff);
        sum += code * int8_t(x >> i);
      }
    }
    Codes finish() { return uint32_t(sum); }
  };
};

#include "matmul-body.h"

/// Values of one row of a block format.
template <class Form>
void gather(const uint8_t* group, size_t row, size_t width, float* out) {
  constexpr BlockFormat format = *blockFormat(Form::id);
  constexpr int32_t offset = Form::offsetBits < 0 ? 0 : 1 << Form::offsetBits;
  const uint8_t* codes = group + 4 * row;
  const uint8_t* scales = group + width / format.values * format.codeBytes();
  for (size_t block = 0; block < width; block += format.values) {
    for (int j = 0; j < format.values / 32; ++j) {
      Scales factors;
      Form::scales(scales, row, j, factors);
      for (int u = 0; u < 8; ++u, out += 4) {
        const Codes unit = Form::unit(codes, j, u);
        const int part = u >> 2;
        for (int i = 0; i < 4; ++i) {
          float code = Form::bits == 8 ? float(int8_t(unit >> 8 * i)) : float(int32_t(unit >> 8 * i & 0xff) - offset);
          if constexpr (Form::scaled) code = code * Vec::toFloat(factors.scale[Form::halves ? part : 0]);
          // Whole numbers have one zero.
          out[i] = factors.d * (code + 0.0f);
          if constexpr (Form::minima == Minima::one) out[i] = out[i] - factors.dmin;
          if constexpr (Form::minima == Minima::each) {
            out[i] = out[i] - factors.dmin * float(int16_t(factors.mins >> (16 * part)));
          }
        }
      }
    }
    codes += format.codeBytes();
    scales += format.scaleBytes();
  }
}

}  // namespace
}  // namespace portable

void gatherRow(int format, const uint8_t* weight, size_t, size_t width, size_t row, float* out) {
  using namespace portable;
  const uint8_t* group = weight + packedBytes(format, row / kGroup * kGroup, width);
  const uint8_t* values = group + row % kGroup * width * floatBytes(format);
  row %= kGroup;
  switch (format) {
    case kF32: std::memcpy(out, values, width * 4); return;
    case kF16: for (size_t i = 0; i < width; ++i) out[i] = FormF16::load(values + 2 * i); return;
    case kBF16: for (size_t i = 0; i < width; ++i) out[i] = FormBF16::load(values + 2 * i); return;
    case kQ4_0: return gather<FormQ4_0>(group, row, width, out);
    case kQ4_1: return gather<FormQ4_1>(group, row, width, out);
    case kQ5_0: return gather<FormQ5_0>(group, row, width, out);
    case kQ5_1: return gather<FormQ5_1>(group, row, width, out);
    case kQ8_0: return gather<FormQ8_0>(group, row, width, out);
    case kQ2_K: return gather<FormQ2_K>(group, row, width, out);
    case kQ3_K: return gather<FormQ3_K>(group, row, width, out);
    case kQ4_K: return gather<FormQ4_K>(group, row, width, out);
    case kQ5_K: return gather<FormQ5_K>(group, row, width, out);
    case kQ6_K: return gather<FormQ6_K>(group, row, width, out);
    case kIQ2_XXS: return gather<FormIQ2_XXS>(group, row, width, out);
    case kIQ2_XS: return gather<FormIQ2_XS>(group, row, width, out);
    case kIQ2_S: return gather<FormIQ2_XS>(group, row, width, out);
    case kIQ3_XXS: return gather<FormIQ3_XXS>(group, row, width, out);
    case kIQ3_S: return gather<FormIQ3_S>(group, row, width, out);
    case kIQ4_NL: return gather<FormIQ4_NL>(group, row, width, out);
    case kIQ4_XS: return gather<FormIQ4_XS>(group, row, width, out);
    case kTQ2_0: return gather<FormTQ2_0>(group, row, width, out);
    case kMXFP4: return gather<FormMXFP4>(group, row, width, out);
  }
}

const MatrixKernels portableKernels = {
    "portable", kGroup, packedBytes, packRows, portable::quantizeRow, portable::matmulTile, noScratch, gatherRow,
};

}  // namespace clavis
