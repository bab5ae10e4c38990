#include "pack.h"

#include <cstring>

#include "formats.h"
#include "grids.h"

namespace clavis {
namespace {

/// Gathers every fourth bit of either half of x into a byte: each step joins neighbours, pairs, fours.
inline uint64_t everyFourth(uint64_t x) {
  x &= 0x1111111111111111;
  x = (x | x >> 3) & 0x0303030303030303;
  x = (x | x >> 6) & 0x000f000f000f000f;
  return (x | x >> 12) & 0x000000ff000000ff;
}

/// Turns the fifth bits of 32 values over: bit 4·u + b goes to bit 8·b + u.
inline uint32_t turnFifths(uint32_t bits) {
  const uint64_t zeroAndOne = everyFourth(bits | uint64_t{bits >> 1} << 32);
  const uint64_t twoAndThree = everyFourth(bits >> 2 | uint64_t{bits >> 3} << 32);
  const uint64_t turned = zeroAndOne | twoAndThree << 16;
  return uint32_t(turned | turned >> 24);
}

/// Lays unit after unit of sixteen rows side by side.
template <class Unit, bool fifths>
void interleave(const uint8_t* source, size_t stride, size_t rows, size_t count, uint8_t* target) {
  for (size_t i = 0; i < count; ++i, source += sizeof(Unit)) {
    for (size_t row = 0; row < kGroup; ++row, target += sizeof(Unit)) {
      Unit value = row < rows ? loadAs<Unit>(source + row * stride) : Unit{0};
      if constexpr (fifths) value = turnFifths(value);
      std::memcpy(target, &value, sizeof value);
    }
  }
}

/// Packs `rows` ≤ 16 rows of a format that has blocks.
void packGroup(int format, const uint8_t* source, uint8_t* target, size_t rows, size_t width) {
  const BlockFormat& form = *blockFormat(format);
  const bool isGrid = gridBlockBytes(format) != 0;
  const size_t blocks = width / form.values;
  const size_t fileBytes = fileBlockBytes(format);
  uint8_t written[kGroup * kMostGridBytes];
  uint8_t* codes = target;
  uint8_t* scales = target + blocks * form.codeBytes();
  for (size_t block = 0; block < blocks; ++block, source += fileBytes) {
    const uint8_t* first = source;
    size_t stride = blocks * fileBytes;
    if (isGrid) {
      for (size_t row = 0; row < rows; ++row) writeGridForm(format, source + row * stride, written + row * form.bytes);
      first = written;
      stride = form.bytes;
    }
    for (int i = 0; i < form.codePlanes + form.scalePlanes; ++i) {
      const Plane& plane = form.planes[i];
      uint8_t*& to = i < form.codePlanes ? codes : scales;
      const uint8_t* from = first + plane.at;
      if (plane.fifths) {
        interleave<uint32_t, true>(from, stride, rows, plane.count, to);
      } else if (plane.unit == 4) {
        interleave<uint32_t, false>(from, stride, rows, plane.count, to);
      } else if (plane.unit == 2) {
        interleave<uint16_t, false>(from, stride, rows, plane.count, to);
      } else {
        interleave<uint8_t, false>(from, stride, rows, plane.count, to);
      }
      to += size_t{plane.unit} * plane.count * kGroup;
    }
  }
  std::memset(scales, 0, target + groupBytes(form, width) - scales);
}

}  // namespace

size_t packedBytes(int format, size_t rows, size_t width) {
  const size_t groups = (rows + kGroup - 1) / kGroup;
  if (const BlockFormat* blocks = blockFormat(format)) return groups * groupBytes(*blocks, width);
  // Sixteen rows of two or four bytes a value are a multiple of 32 bytes.
  return groups * ((kGroup * width * floatBytes(format) + 63) / 64 * 64);
}

void packRows(int format, const uint8_t* source, uint8_t* target, size_t rows, size_t width) {
  const size_t step = packedBytes(format, kGroup, width);
  const BlockFormat* blocks = blockFormat(format);
  const size_t rowBytes = blocks ? width / blocks->values * fileBlockBytes(format) : width * floatBytes(format);
  for (size_t row = 0; row < rows; row += kGroup, source += kGroup * rowBytes, target += step) {
    const size_t present = rows - row < kGroup ? rows - row : kGroup;
    if (blocks) {
      packGroup(format, source, target, present, width);
    } else {
      std::memcpy(target, source, present * rowBytes);
      std::memset(target + present * rowBytes, 0, step - present * rowBytes);
    }
  }
}

}  // namespace clavis
