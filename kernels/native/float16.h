// binary16 one value at a time.
#pragma once

#include <cstdint>
#include <cstring>

namespace clavis {

/// The binary16 bits nearest to x, ties to even; finite values too large become ±65,504, infinities and NaN stay.
/// Normal: 13 bits are dropped, a carry raises the exponent. Subnormal: adding 0.5 puts the multiple of 2^−24 into
/// the last bits of an f32 whose spacing is 2^−24.
inline uint16_t toHalf(float x) {
  uint32_t u;
  std::memcpy(&u, &x, sizeof u);
  const uint32_t sign = (u >> 16) & 0x8000, magnitude = u & 0x7fffffff;
  uint32_t half;
  if (magnitude > 0x7f800000) {
    half = 0x7e00;
  } else if (magnitude == 0x7f800000) {
    half = 0x7c00;
  } else if (magnitude >= 0x38800000) {
    half = (magnitude - 0x38000000 + 0xfff + ((magnitude >> 13) & 1)) >> 13;
    if (half > 0x7bff) half = 0x7bff;
  } else {
    float shifted;
    std::memcpy(&shifted, &magnitude, sizeof shifted);
    shifted += 0.5f;
    std::memcpy(&half, &shifted, sizeof half);
    half -= 0x3f000000;
  }
  return static_cast<uint16_t>(sign | half);
}

}  // namespace clavis
