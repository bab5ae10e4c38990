// How the codes and scales of each block format are taken out of packed form. Written once for all instruction sets:
// a file that computes with one of them defines TARGET (its function attribute) and Vec (its registers; see
// matmul-portable.cc for what a Vec has), and includes this inside a namespace of its own. So no include guard.
//
// unit(j, u): the codes of values 32·j + 4·u … + 3 of a block, four to a lane, a lane per row; plus `offset` where the
// format has negative ones, so that they are not. Formats of 8 bits are left signed where Vec::signedBytes.
// scales(j): what belongs to the 32 values from 32·j on.

#define INLINE TARGET static inline __attribute__((always_inline))

using Codes = Vec::Codes;
using Floats = Vec::Floats;

/// How many of a format's numbers there are per 32 values.
enum class Minima { none, one, each };

/// The factors of 32 values, per row: value = d · scale · code − dmin · min, where scale and min may differ between
/// the halves of 16. Scales are whole numbers.
struct Scales {
  Floats d;
  Floats dmin;
  Codes scale[2];
  Codes mins;  // two i16: the halves' minima
};

/// What a format is, if it does not say otherwise: a scale for all of its 32 values, no minimum, no offset.
struct PlainForm {
  static constexpr int offsetBits = -1;             // the offset is 1 << offsetBits; −1: none
  static constexpr bool scaled = false;             // has integer scales
  static constexpr bool halves = false;             // and they differ between the halves of 32 values
  static constexpr Minima minima = Minima::none;    // `one`: the integer minimum is always 1
  static constexpr int period = 1;                  // shifts of the codes recur after so many times 32 values
};

/// Byte i of every lane.
INLINE Codes byteOf(Codes x, int i) { return Vec::andBytes32(Vec::shiftRight(x, 8 * i), 0xff); }

/// The low 16 bits of x, and above them those of y.
INLINE Codes twoShorts(Codes x, Codes y) { return Vec::either(Vec::andBytes32(x, 0xffff), Vec::shiftLeft(y, 16)); }

/// Line i of a section: unit i of the rows that this Vec takes.
INLINE Codes line(const uint8_t* section, size_t i) { return Vec::load(section + 64 * i); }

/// The 4-bit codes of unit u, where byte i holds value i below value i + 16.
INLINE Codes nibbles(const uint8_t* codes, int u) {
  const Codes x = line(codes, u & 3);
  return Vec::andBytes(u < 4 ? x : Vec::shiftRight(x, 4), 0x0f);
}

/// The fifth bits of unit u in their place (formats.h).
INLINE Codes fifths(const uint8_t* codes, int u) {
  const Codes x = line(codes, 4);
  return Vec::andBytes(u <= 4 ? Vec::shiftLeft(x, 4 - u) : Vec::shiftRight(x, u - 4), 0x10);
}

struct FormQ4_0 : PlainForm {
  static constexpr int id = kQ4_0, bits = 4, offsetBits = 3;
  INLINE Codes unit(const uint8_t* codes, int, int u) { return nibbles(codes, u); }
  INLINE void scales(const uint8_t* s, size_t row, int, Scales& out) { out.d = Vec::halves(s + 2 * row); }
};

struct FormQ4_1 : PlainForm {
  static constexpr int id = kQ4_1, bits = 4;
  static constexpr Minima minima = Minima::one;
  INLINE Codes unit(const uint8_t* codes, int, int u) { return nibbles(codes, u); }
  INLINE void scales(const uint8_t* s, size_t row, int, Scales& out) {
    out.d = Vec::halves(s + 2 * row);
    out.dmin = Vec::negate(Vec::halves(s + 32 + 2 * row));
  }
};

struct FormQ5_0 : PlainForm {
  static constexpr int id = kQ5_0, bits = 5, offsetBits = 4;
  INLINE Codes unit(const uint8_t* codes, int, int u) { return Vec::either(nibbles(codes, u), fifths(codes, u)); }
  INLINE void scales(const uint8_t* s, size_t row, int, Scales& out) { out.d = Vec::halves(s + 2 * row); }
};

struct FormQ5_1 : PlainForm {
  static constexpr int id = kQ5_1, bits = 5;
  static constexpr Minima minima = Minima::one;
  INLINE Codes unit(const uint8_t* codes, int, int u) { return Vec::either(nibbles(codes, u), fifths(codes, u)); }
  INLINE void scales(const uint8_t* s, size_t row, int, Scales& out) {
    out.d = Vec::halves(s + 2 * row);
    out.dmin = Vec::negate(Vec::halves(s + 32 + 2 * row));
  }
};

struct FormQ8_0 : PlainForm {
  static constexpr int id = kQ8_0, bits = 8, offsetBits = Vec::signedBytes ? -1 : 7;
  INLINE Codes unit(const uint8_t* codes, int, int u) {
    const Codes x = line(codes, u);
    return Vec::signedBytes ? x : Vec::flipBytes(x, 0x80);
  }
  INLINE void scales(const uint8_t* s, size_t row, int, Scales& out) { out.d = Vec::halves(s + 2 * row); }
};

struct FormIQ4_NL : PlainForm {
  static constexpr int id = kIQ4_NL, bits = 8, offsetBits = Vec::signedBytes ? -1 : 7;
  INLINE Codes unit(const uint8_t* codes, int, int u) {
    const Codes x = Vec::lookup(kIq4Values, nibbles(codes, u));
    return Vec::signedBytes ? x : Vec::flipBytes(x, 0x80);
  }
  INLINE void scales(const uint8_t* s, size_t row, int, Scales& out) { out.d = Vec::halves(s + 2 * row); }
};

/// The values of MXFP4 plus 16, which are not negative and fit 5 bits.
constexpr int8_t kFp4From16[16] = {16, 17, 18, 19, 20, 22, 24, 28, 16, 15, 14, 13, 12, 10, 8, 4};

struct FormMXFP4 : PlainForm {
  static constexpr int id = kMXFP4, bits = 5, offsetBits = 4;
  INLINE Codes unit(const uint8_t* codes, int, int u) { return Vec::lookup(kFp4From16, nibbles(codes, u)); }
  INLINE void scales(const uint8_t* s, size_t row, int, Scales& out) { out.d = Vec::exponents(s + row); }
};

/// Codes of Q4_K and Q5_K without the fifth bit: byte 32·p + l holds values 64·p + l and 64·p + 32 + l.
INLINE Codes pairedNibbles(const uint8_t* codes, int j, int u) {
  return Vec::andBytes(Vec::shiftRight(line(codes, 8 * (j >> 1) + u), 4 * (j & 1)), 0x0f);
}

/// d, dmin and the 6-bit scales and minima of Q4_K and Q5_K: of groups 0–3 in the low bits of bytes 0–3 and 4–7; of
/// groups 4–7 in the halves of bytes 8–11, with their upper two bits on top of bytes 0–3 and 4–7.
INLINE void sixBitScales(const uint8_t* s, size_t row, int j, Scales& out) {
  out.d = Vec::halves(s + 2 * row);
  out.dmin = Vec::halves(s + 32 + 2 * row);
  const uint8_t* lines = s + 64 + 4 * row;
  Codes scale = line(lines, 0);
  Codes min = line(lines, 1);
  if (j < 4) {
    scale = Vec::andBytes(scale, 0x3f);
    min = Vec::andBytes(min, 0x3f);
  } else {
    const Codes both = line(lines, 2);
    scale = Vec::either(Vec::andBytes(both, 0x0f), Vec::andBytes(Vec::shiftRight(scale, 2), 0x30));
    min = Vec::either(Vec::andBytes(Vec::shiftRight(both, 4), 0x0f), Vec::andBytes(Vec::shiftRight(min, 2), 0x30));
  }
  out.scale[0] = byteOf(scale, j & 3);
  min = byteOf(min, j & 3);
  out.mins = Vec::either(min, Vec::shiftLeft(min, 16));
}

struct FormQ4_K : PlainForm {
  static constexpr int id = kQ4_K, period = 2, bits = 4;
  static constexpr bool scaled = true;
  static constexpr Minima minima = Minima::each;
  INLINE Codes unit(const uint8_t* codes, int j, int u) { return pairedNibbles(codes, j, u); }
  INLINE void scales(const uint8_t* s, size_t row, int j, Scales& out) { sixBitScales(s, row, j, out); }
};

struct FormQ5_K : PlainForm {
  static constexpr int id = kQ5_K, period = 2, bits = 5;
  static constexpr bool scaled = true;
  static constexpr Minima minima = Minima::each;
  INLINE Codes unit(const uint8_t* codes, int j, int u) {
    const Codes fifth = Vec::andBytes(Vec::shiftRight(line(codes, 32 + u), j), 0x01);
    return Vec::either(pairedNibbles(codes, j, u), Vec::shiftLeft(fifth, 4));
  }
  INLINE void scales(const uint8_t* s, size_t row, int j, Scales& out) { sixBitScales(s, row, j, out); }
};

/// Two bits of Q2_K, Q3_K and TQ2_0, and the upper two of Q6_K: byte 32·h + l holds values 128·h + 32·i + l, i = 0…3,
/// two bits each, from the lowest.
INLINE Codes crumbs(const uint8_t* codes, int j, int u) {
  return Vec::andBytes(Vec::shiftRight(line(codes, 8 * (j >> 2) + u), 2 * (j & 3)), 0x03);
}

struct FormQ2_K : PlainForm {
  static constexpr int id = kQ2_K, period = 2, bits = 2;
  static constexpr bool scaled = true, halves = true;
  static constexpr Minima minima = Minima::each;
  INLINE Codes unit(const uint8_t* codes, int j, int u) { return crumbs(codes, j, u); }
  /// A byte per 16 values: the scale in its low, the minimum in its high half.
  INLINE void scales(const uint8_t* s, size_t row, int j, Scales& out) {
    out.d = Vec::halves(s + 2 * row);
    out.dmin = Vec::halves(s + 32 + 2 * row);
    const Codes both = Vec::shiftRight(line(s + 64 + 4 * row, j >> 1), 16 * (j & 1));
    out.scale[0] = Vec::andBytes32(both, 0x0f);
    out.scale[1] = Vec::andBytes32(Vec::shiftRight(both, 8), 0x0f);
    out.mins = Vec::either(Vec::andBytes32(Vec::shiftRight(both, 4), 0x0f),
                           Vec::andBytes32(Vec::shiftLeft(both, 4), 0x0f0000));
  }
};

struct FormQ3_K : PlainForm {
  static constexpr int id = kQ3_K, period = 4, bits = 3, offsetBits = 2;
  static constexpr bool scaled = true, halves = true;
  /// Bit j of byte l of the high bits belongs to value 32·j + l.
  INLINE Codes unit(const uint8_t* codes, int j, int u) {
    const Codes high = Vec::andBytes(Vec::shiftRight(line(codes, 16 + u), j), 0x01);
    return Vec::either(crumbs(codes, j, u), Vec::shiftLeft(high, 2));
  }
  /// 6-bit scales less 32: group g has its low four bits in byte g mod 8, its high two in byte 8 + g mod 4.
  INLINE void scales(const uint8_t* s, size_t row, int j, Scales& out) {
    out.d = Vec::halves(s + 2 * row);
    const uint8_t* lines = s + 32 + 4 * row;
    const Codes low = Vec::andBytes(Vec::shiftRight(line(lines, (j >> 1) & 1), 4 * (j >> 2)), 0x0f);
    const Codes high = Vec::andBytes(Vec::shiftRight(line(lines, 2), 2 * (j >> 1)), 0x03);
    const Codes six = Vec::either(low, Vec::shiftLeft(high, 4));
    const Codes less = Vec::splatWord(uint32_t(-32));
    out.scale[0] = Vec::addWords(byteOf(six, 2 * (j & 1)), less);
    out.scale[1] = Vec::addWords(byteOf(six, 2 * (j & 1) + 1), less);
  }
};

struct FormQ6_K : PlainForm {
  static constexpr int id = kQ6_K, period = 2, bits = 6, offsetBits = 5;
  static constexpr bool scaled = true, halves = true;
  /// In each half h of 128 values, value 128·h + 32·i + l has its low four bits in byte 64·h + 32·(i mod 2) + l.
  INLINE Codes unit(const uint8_t* codes, int j, int u) {
    const Codes low = Vec::shiftRight(line(codes, 16 * (j >> 2) + 8 * (j & 1) + u), 4 * ((j >> 1) & 1));
    return Vec::either(Vec::andBytes(low, 0x0f), Vec::shiftLeft(crumbs(codes + 64 * 32, j, u), 4));
  }
  INLINE void scales(const uint8_t* s, size_t row, int j, Scales& out) {
    out.d = Vec::halves(s + 2 * row);
    const Codes four = Vec::shiftLeft(line(s + 32 + 4 * row, j >> 1), 16 * (~j & 1));
    out.scale[0] = Vec::shiftRightSigned(Vec::shiftLeft(four, 8), 24);
    out.scale[1] = Vec::shiftRightSigned(four, 24);
  }
};

struct FormIQ4_XS : PlainForm {
  static constexpr int id = kIQ4_XS, bits = 8, offsetBits = Vec::signedBytes ? -1 : 7;
  static constexpr bool scaled = true;
  INLINE Codes unit(const uint8_t* codes, int j, int u) {
    const Codes x = Vec::lookup(kIq4Values, nibbles(codes + 64 * 4 * j, u));
    return Vec::signedBytes ? x : Vec::flipBytes(x, 0x80);
  }
  /// 6-bit scales less 32: four bits in half-bytes, two in a 16-bit number.
  INLINE void scales(const uint8_t* s, size_t row, int j, Scales& out) {
    out.d = Vec::halves(s + 2 * row);
    const Codes high = Vec::shiftRight(Vec::loadShorts(s + 32 + 2 * row), 2 * j);
    const Codes low = Vec::shiftRight(Vec::load(s + 64 + 4 * row), 4 * j);
    const Codes six = Vec::either(Vec::andBytes32(low, 0x0f), Vec::shiftLeft(Vec::andBytes32(high, 0x03), 4));
    out.scale[0] = Vec::addWords(six, Vec::splatWord(uint32_t(-32)));
  }
};

/// The odd number 2 · s + 1 that a 4-bit scale s stands for: half-byte i of every lane.
INLINE Codes oddScale(Codes x, int i) {
  return Vec::either(Vec::shiftLeft(Vec::andBytes32(Vec::shiftRight(x, 4 * i), 0x0f), 1), Vec::splatWord(1));
}

/// d times `factor` and the 4-bit scale of 32 values, exactly: an f16 times five bits.
INLINE Floats scaledHalves(const uint8_t* s, size_t row, int j, float factor) {
  const Floats d = Vec::mul(Vec::halves(s + 2 * row), Vec::splat(factor));
  return Vec::mul(d, Vec::toFloat(oddScale(line(s + 32 + 4 * row, 0), j)));
}

/// The codes of the types with tables (grids.h), by their places: with something added so as not to be negative.
constexpr int8_t kIq2From64[16] = {64 + 8, 64 + 25, 64 + 43, 64, 64 - 8, 64 - 25, 64 - 43, 64};
constexpr int8_t kIq3XxsFrom64[16] = {68, 76, 84, 92, 100, 108, 116, 126, 60, 52, 44, 36, 28, 20, 12, 2};
constexpr int8_t kIq3SFrom16[16] = {17, 19, 21, 23, 25, 27, 29, 31, 15, 13, 11, 9, 7, 5, 3, 1};

struct FormIQ3_XXS : PlainForm {
  static constexpr int id = kIQ3_XXS, bits = 7, offsetBits = 6;
  INLINE Codes unit(const uint8_t* codes, int j, int u) {
    return Vec::lookup(kIq3XxsFrom64, nibbles(codes + 64 * 4 * j, u));
  }
  INLINE void scales(const uint8_t* s, size_t row, int j, Scales& out) { out.d = scaledHalves(s, row, j, 0.25f); }
};

struct FormIQ3_S : PlainForm {
  static constexpr int id = kIQ3_S, bits = 5, offsetBits = 4;
  INLINE Codes unit(const uint8_t* codes, int j, int u) {
    return Vec::lookup(kIq3SFrom16, nibbles(codes + 64 * 4 * j, u));
  }
  INLINE void scales(const uint8_t* s, size_t row, int j, Scales& out) { out.d = scaledHalves(s, row, j, 1.0f); }
};

/// Codes of IQ2, three bits each (grids.h): those that are whole in their byte cost a shift and a mask.
INLINE Codes iq2Codes(const uint8_t* codes, int j, int u) {
  Codes place;
  if (j < 6) {
    place = Vec::andBytes(Vec::shiftRight(line(codes, 8 * (j >> 1) + u), 3 * (j & 1)), 0x07);
  } else {
    const Codes low = Vec::andBytes(Vec::shiftRight(line(codes, j == 6 ? u : 16 + u), 6), 0x03);
    const Codes sign = Vec::andBytes(Vec::shiftRight(line(codes, 8 + u), j == 6 ? 4 : 5), 0x04);
    place = Vec::either(low, sign);
  }
  return Vec::lookup(kIq2From64, place);
}

struct FormIQ2_XXS : PlainForm {
  static constexpr int id = kIQ2_XXS, period = 8, bits = 7, offsetBits = 6;
  INLINE Codes unit(const uint8_t* codes, int j, int u) { return iq2Codes(codes, j, u); }
  INLINE void scales(const uint8_t* s, size_t row, int j, Scales& out) { out.d = scaledHalves(s, row, j, 0.125f); }
};

/// Of IQ2_S, too.
struct FormIQ2_XS : PlainForm {
  static constexpr int id = kIQ2_XS, period = 8, bits = 7, offsetBits = 6;
  static constexpr bool scaled = true, halves = true;
  INLINE Codes unit(const uint8_t* codes, int j, int u) { return iq2Codes(codes, j, u); }
  INLINE void scales(const uint8_t* s, size_t row, int j, Scales& out) {
    out.d = Vec::mul(Vec::halves(s + 2 * row), Vec::splat(0.125f));
    const Codes four = line(s + 32 + 4 * row, j >> 2);
    out.scale[0] = oddScale(four, 2 * (j & 3));
    out.scale[1] = oddScale(four, 2 * (j & 3) + 1);
  }
};

struct FormTQ2_0 : PlainForm {
  static constexpr int id = kTQ2_0, period = 4, bits = 2, offsetBits = 0;
  INLINE Codes unit(const uint8_t* codes, int j, int u) { return crumbs(codes, j, u); }
  INLINE void scales(const uint8_t* s, size_t row, int, Scales& out) { out.d = Vec::halves(s + 2 * row); }
};
