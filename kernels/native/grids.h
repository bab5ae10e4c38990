// The types whose codes are entries of a table, four or eight at once, with signs: IQ2_XXS, IQ2_XS, IQ2_S, IQ3_XXS and
// IQ3_S. Kernels do not look entries up: when packed, each code becomes its place among the few magnitudes that its type
// has, and its sign.
#pragma once

#include <cstdint>

namespace clavis {

/// Writes a block of one of these types as the block that formats.h says: d and the 4-bit scales, in the order of the
/// values, as they are; then
///
/// IQ3  half-bytes as in IQ4_XS: three bits of place, and 8 where the code is negative
/// IQ2  three bits, two of place and one of sign, in three runs of 32 bytes: byte l of run r holds values 64·r + l and
///      64·r + 32 + l whole; bits 6 and 7 of runs 0 and 2 hold the places of values 192 + l and 224 + l, those of run 1
///      their signs
void writeGridForm(int format, const uint8_t* block, uint8_t* form);

}  // namespace clavis
