// The types whose codes are entries of a table, with signs: IQ2_XXS, IQ2_XS, IQ2_S, IQ3_XXS and IQ3_S.
#pragma once

#include <cstddef>
#include <cstdint>

namespace clavis {

/// A block as numbers: value = d · scale · code.
struct GridBlock {
  float d;             // the block's, times 1/8 (IQ2), 1/4 (IQ3_XXS) or 1 (IQ3_S)
  uint8_t scales[16];  // odd, 1…31: of 32 values each (then there are eight) or of 16 (IQ2_XS, IQ2_S)
  int8_t codes[256];   // −62…62, none 0
};

/// Reads a block of one of these types.
void readGridBlock(int format, const uint8_t* block, GridBlock& out);

/// The tables as words: an entry of IQ3_XXS (256 of them) or IQ3_S (512) is four codes without signs, one of IQ2_XXS
/// (256), IQ2_XS (512) or IQ2_S (1,024) is eight.
const uint32_t* gridOfFours(int format);
const uint64_t* gridOfEights(int format);

}  // namespace clavis
