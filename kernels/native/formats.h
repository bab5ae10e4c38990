// The tensor types that are computed in packed form: their blocks in the file, and what of them goes where when packed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace clavis {

/// GGUF's numbers of tensor types.
enum Format : int {
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,
  kQ4_1 = 3,
  kQ5_0 = 6,
  kQ5_1 = 7,
  kQ8_0 = 8,
  kQ2_K = 10,
  kQ3_K = 11,
  kQ4_K = 12,
  kQ5_K = 13,
  kQ6_K = 14,
  kIQ2_XXS = 16,
  kIQ2_XS = 17,
  kIQ3_XXS = 18,
  kIQ4_NL = 20,
  kIQ3_S = 21,
  kIQ2_S = 22,
  kIQ4_XS = 23,
  kBF16 = 30,
  kTQ2_0 = 35,
  kMXFP4 = 39,
};

/// Rows that lie interleaved: as many as a 512-bit register has 32-bit lanes.
constexpr size_t kGroup = 16;

/// Part of a block: `count` units of `unit` bytes from byte `at` on. Packed, unit i of the group's sixteen rows lie
/// side by side, so that one load brings the same four codes of every row.
struct Plane {
  uint8_t at;
  uint8_t unit;
  uint8_t count;
  /// The 32 fifth bits of Q5_0 and Q5_1 are turned over: bit 8·b + u is that of value 4·u + b, so that a shift and a
  /// mask bring the bits of unit u under its four bytes.
  bool fifths = false;
};

/// A block format, and its planes: those of the codes, then those of the scales. Types with tables (grids.h) have another
/// block than in the file.
///
/// A packed group of sixteen rows: the codes of all blocks of the width, then the scales of all blocks, then zeros up
/// to a multiple of 64. So codes always begin on a cache line, and the group takes as many bytes as sixteen rows in the
/// file, but for that rounding and for types with tables.
struct BlockFormat {
  int id;
  uint16_t values;
  uint16_t bytes;
  uint8_t codePlanes;
  uint8_t scalePlanes;
  Plane planes[5];

  constexpr size_t sectionBytes(int from, int to) const {
    size_t sum = 0;
    for (int i = from; i < to; ++i) sum += size_t{planes[i].unit} * planes[i].count;
    return sum * kGroup;
  }
  /// Bytes of one block of sixteen rows in either section.
  constexpr size_t codeBytes() const { return sectionBytes(0, codePlanes); }
  constexpr size_t scaleBytes() const { return sectionBytes(codePlanes, codePlanes + scalePlanes); }
};

// Source of the layouts: ggml, ggml-common.h (block_q4_0 and its neighbours), facts of the format.
constexpr BlockFormat kBlockFormats[] = {
    {kQ4_0, 32, 18, 1, 1, {{2, 4, 4}, {0, 2, 1}}},
    {kQ4_1, 32, 20, 1, 2, {{4, 4, 4}, {0, 2, 1}, {2, 2, 1}}},
    {kQ5_0, 32, 22, 2, 1, {{6, 4, 4}, {2, 4, 1, true}, {0, 2, 1}}},
    {kQ5_1, 32, 24, 2, 2, {{8, 4, 4}, {4, 4, 1, true}, {0, 2, 1}, {2, 2, 1}}},
    {kQ8_0, 32, 34, 1, 1, {{2, 4, 8}, {0, 2, 1}}},
    {kQ2_K, 256, 84, 1, 3, {{16, 4, 16}, {80, 2, 1}, {82, 2, 1}, {0, 4, 4}}},
    {kQ3_K, 256, 110, 2, 2, {{32, 4, 16}, {0, 4, 8}, {108, 2, 1}, {96, 4, 3}}},
    {kQ4_K, 256, 144, 1, 3, {{16, 4, 32}, {0, 2, 1}, {2, 2, 1}, {4, 4, 3}}},
    {kQ5_K, 256, 176, 2, 3, {{48, 4, 32}, {16, 4, 8}, {0, 2, 1}, {2, 2, 1}, {4, 4, 3}}},
    {kQ6_K, 256, 210, 2, 2, {{0, 4, 32}, {128, 4, 16}, {208, 2, 1}, {192, 4, 4}}},
    {kIQ4_NL, 32, 18, 1, 1, {{2, 4, 4}, {0, 2, 1}}},
    {kIQ4_XS, 256, 136, 1, 3, {{8, 4, 32}, {0, 2, 1}, {2, 2, 1}, {4, 4, 1}}},
    {kTQ2_0, 256, 66, 1, 1, {{0, 4, 16}, {64, 2, 1}}},
    {kMXFP4, 32, 17, 1, 1, {{1, 4, 4}, {0, 1, 1}}},
    // As grids.cc writes them: d, 4-bit scales, codes' places and signs.
    {kIQ2_XXS, 256, 102, 1, 2, {{6, 4, 24}, {0, 2, 1}, {2, 4, 1}}},
    {kIQ2_XS, 256, 106, 1, 2, {{10, 4, 24}, {0, 2, 1}, {2, 4, 2}}},
    {kIQ2_S, 256, 106, 1, 2, {{10, 4, 24}, {0, 2, 1}, {2, 4, 2}}},
    {kIQ3_XXS, 256, 134, 1, 2, {{6, 4, 32}, {0, 2, 1}, {2, 4, 1}}},
    {kIQ3_S, 256, 134, 1, 2, {{6, 4, 32}, {0, 2, 1}, {2, 4, 1}}},
};

/// Bytes of a block of the types with tables (grids.h) in the file; 0 for all others.
constexpr size_t gridBlockBytes(int id) {
  switch (id) {
    case kIQ2_XXS: return 66;
    case kIQ2_XS: return 74;
    case kIQ2_S: return 82;
    case kIQ3_XXS: return 98;
    case kIQ3_S: return 110;
    default: return 0;
  }
}

/// The block format with this number; nullptr for all others.
constexpr const BlockFormat* blockFormat(int id) {
  for (const BlockFormat& format : kBlockFormats) {
    if (format.id == id) return &format;
  }
  return nullptr;
}

/// Bytes of a block in the file, of a format that has a block format.
constexpr size_t fileBlockBytes(int id) { return gridBlockBytes(id) ? gridBlockBytes(id) : blockFormat(id)->bytes; }

constexpr bool everyByteOnce() {
  for (const BlockFormat& format : kBlockFormats) {
    if (format.codeBytes() + format.scaleBytes() != size_t{format.bytes} * kGroup) return false;
    if (format.codeBytes() % 64 != 0) return false;
  }
  return true;
}
static_assert(everyByteOnce(), "planes take every byte of a block, and codes whole cache lines");

/// Bytes of the largest packed block of a type with a table.
constexpr size_t kMostGridBytes = 134;
static_assert([] {
  for (const BlockFormat& format : kBlockFormats) {
    if (gridBlockBytes(format.id) && format.bytes > kMostGridBytes) return false;
  }
  return true;
}());

/// Bytes of one value of F32, F16 or BF16; 0 for all others.
constexpr size_t floatBytes(int id) { return id == kF32 ? 4 : id == kF16 || id == kBF16 ? 2 : 0; }

/// Bytes of a packed group of sixteen rows of a block format.
constexpr size_t groupBytes(const BlockFormat& format, size_t width) {
  const size_t bytes = width / format.values * format.bytes * kGroup;
  return (bytes + 63) / 64 * 64;
}

/// The 4-bit codes of IQ4_NL and IQ4_XS, and of MXFP4 (E2M1, doubled to be whole).
/// Source: ggml-common.h (kvalues_iq4nl, kvalues_mxfp4); OCP Microscaling Formats (MX) v1.0.
constexpr int8_t kIq4Values[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
constexpr int8_t kFp4Values[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

// ---- A row of quantised activations, q8: n codes (i8), n/32 scales (f32), n/32 negated sums of 32 codes (i32), n/16
// negated sums of 16 codes (i16). A weight code is stored with something added so as not to be negative; a sum of
// products starts at the negated sum of the activations, shifted, which takes that away again.

constexpr size_t q8ScalesAt(size_t n) { return n; }
constexpr size_t q8SumsAt(size_t n) { return n + n / 32 * 4; }
constexpr size_t q8HalvesAt(size_t n) { return n + n / 32 * 8; }

template <class T>
inline T loadAs(const void* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

/// The f32 with these bits, and the reverse.
inline float bitsToFloat(uint32_t bits) { return loadAs<float>(&bits); }
inline uint32_t floatToBits(float value) { return loadAs<uint32_t>(&value); }

/// An f16 whose exponent field is never special: 31 reads as an ordinary exponent (docs/numerics.md). The exponents'
/// biases differ by 112, and a product with a power of two is exact, for subnormal numbers, too.
inline float finiteHalf(uint16_t half) {
  const float magnitude = bitsToFloat(uint32_t(half & 0x7fff) << 13) * 0x1p112f;
  return half & 0x8000 ? -magnitude : magnitude;
}

/// An f16 as IEEE 754 has it.
inline float halfToFloat(uint16_t half) {
  if ((half & 0x7c00) != 0x7c00) return finiteHalf(half);
  return bitsToFloat(uint32_t(half & 0x8000) << 16 | 0x7f800000 | uint32_t(half & 0x03ff) << 13);
}

/// Half of an E8M0 scale, 2^(exponent − 128): an f32's exponent field is one less, or a subnormal number.
inline float halfOfE8m0(uint8_t exponent) {
  return bitsToFloat(exponent > 1 ? uint32_t(exponent - 1) << 23 : 0x200000u << exponent);
}

}  // namespace clavis
