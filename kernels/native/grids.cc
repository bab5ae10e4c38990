#include "grids.h"

#include <array>
#include <cstddef>
#include <cstring>

#include "formats.h"

namespace clavis {
namespace {

/// A table of points, from how src/bytes/layouts/codebooks.ts writes it: entries, read as numbers whose digits are places
/// among the magnitudes (first value = lowest digit), ascend; a character is the gap to the entry before, less 1, and "/"
/// adds 63 to the gap that follows. Here an entry's places are the bytes of a word. Source of the tables: ggml,
/// ggml-common.h (iq2xxs_grid and its neighbours), facts of the format.
template <class Entry, size_t entries, int magnitudes>
constexpr std::array<Entry, entries> table(const char* gaps) {
  std::array<Entry, entries> all = {};
  size_t count = 0;
  int64_t entry = -1;
  for (; *gaps != 0; ++gaps) {
    const char c = *gaps;
    const int gap = c == '/' ? 63 : c == '+' ? 62 : c <= '9' ? c - '0' + 52 : c <= 'Z' ? c - 'A' : c - 'a' + 26;
    entry += gap;
    if (gap == 63) continue;
    int64_t digits = ++entry;
    for (size_t i = 0; i < sizeof(Entry); ++i, digits /= magnitudes) all[count] |= Entry(digits % magnitudes) << 8 * i;
    ++count;
  }
  return all;
}

constexpr auto kIq2Xxs = table<uint64_t, 256, 3>(
    "ABBBBBBFBDBBBFFDBFBFLHBFDNdLLBRjZBFJBFBDLJBFLFBDLNTBJXBRdRFDBFLDBFBVXX3J/GBFJHRLFDNFLRHJvJxFLDLTpfhN/EBFRbZD/Etr"
    "BFVPHBxHvB/QBFRNnbT/gXLv/+zBFFDBFFHDJBFRRbHDXHXHJdFLjPVJ7/SBFRDxpDJ3fRFDFBjFXZt/G/QBX/KlpJFf77/OFRXdn3djD/WBt//H"
    "///YBFTbbLL/A/IBFDNRjfhVTRl/S/Y/KFLFtVn5xTJ/Y//1r//ThVd/K/g////Lv");

constexpr auto kIq2Xs = table<uint64_t, 512, 3>(
    "ABBBBBBBBBBBBDBBBBBBBDBFBBBDBDBJBBBBBBBBBBFBBBDBFFDBFRBBBDBFJBFDNHTBBBBBBBDBFBBBDBBDJBFRBBBDBFJBFJHbBFNDBbXBBBBB"
    "BFDFBFFLRHBBFRbFTRFrDJBBBBBBBDBFBBBDBFHBBFRBBBDBFJBFRLBNBBDRRjBBBDBFJBDBLFbBFR1LVvBFBPLTVDt/EpBBBBBBBFJBFRRJBFRF"
    "PfThXDBFPB1bJfLP7DFBJVTN5LXLlDBTBBBBBBBDBFBBBBBBFDFBFRBBBDBFJBFRDPHBFBNB1BBBDBDBJBFRLPBFLFrJHVFtBFRDHHhJTFPf/OBB"
    "BDBFFDBFRbBFDNBzdxBBFJHRJRHFvFnfVHLPHhbJB/uXBFRLHLTB/mNdPN/MRDr/Yzx/AhHhBBBDBFHBBFRBVBBBBDRJFlRjBPFDBFBBNRPTdtTl"
    "bFPVJBVH/ghFHJDBFRNPXTb/KTTDZFF/AlBr/anl7fjBDBJHttFhDBDTbRjn//RTTJBDvFF1BtBlP");

constexpr auto kIq2S = table<uint64_t, 1024, 3>(
    "ABBBBBBBBBBBBDBBBBBBBDBBBBBBBDBFDDBBBBBBBBDBFBBBDBBBBDBDBFBBFBFBBBDBFHBBBBBDNDDDHHBBBBBBBDBBBBBBBBBBBBBBBFBBBBDB"
    "DBFBBBBBBBBBDBDBBBBBBBDBFBBBDBFJBBBBDNDBDBFJBFRBBBDBBBBDDBBBBBBBBDBFDHNBBFBBBDHDBDBFJHRJBHDBJhLBBBBBBBDBBDBBBDBB"
    "BBBBBDBBDDBDBFBBBBBBBBBBBBDBBBBBBBDBFBBBDBPBDBDFBFDFBPBFRBBBDBBBBDBDBBBBBBBDBFBBBDBFJBBBBBBBDBFBBBDBFJBFRDBDBFJB"
    "FRZBBBBBDBDHBBBDBFJBXBBBDBFJBFPVJFRNnBBBDBBBBDDBBFBBHFHDNBBFBBFHBBFBFJBFRHLDBDFXBPDBBBBDBDBFBBBDBFJBFRDBDBFJBFND"
    "bBFRPlDFBPBFZRBBF5VLbLBTBBBBBBBBBBBDBBBBBBBBBBBFBFDBDBFBBBDBBBBBBFBBBBBBBDBFBBBDBFJBFBBBFFDBDBFJBXBBBBBBBBBBBBDB"
    "BBBBBBDBFBBBDBFJBBBBBBBDBFBBBDBFHBBFRBBBDBFJBFRVFBDBBBBDBFBBBDBFLFRBBBDBFJBFRNNBFR1BBBDBBBBBBBDBBBBBBBDBFBBBDBPB"
    "BBBBBBDBFBBBDBFJBFRDBDBFJBFPBbBBBBBBBDBFBBBDBFJBFRBBBDBFJBFRbBFND1BBBDBFJBFHJbBFR1PpTDBBDBBBDBFDBDBFLFRBBBDBFJBF"
    "RPNFRNfHDBDBFJBFRbBFRHPNP/CPBFnTLZ/UrHBBBDBDBDFBFBBBDHDFBPBDBBBBDBFBBBDBPBFPBDDBBPBFtBBBBBBBDHBBBDBFJBFRBBBDBFJB"
    "FRHTBFPB1DFBPBFlHBXVzVBLRHBDBBBBFFBBBDBFJBFRDFBPBFHlBFRxDBBBDBFJBFRNNBFRpDHfPhBFNDzBhD/qRDDDHFBBFlFbVhFLDBdDBPDB"
    "FRhNFP/mzPxtTbBJBDjT");

constexpr auto kIq3Xxs = table<uint32_t, 256, 8>(
    "ABBEBDABGIYBDBEBGDCBGKLHBBEGBGBDJFNDFABKiSTEKLBDFSPyWTDBUNPBEBGBEBBKAXBGGBuBEBGGhFBNIMPKDinDRSL/NNfBGBEBDCIeBBCB"
    "GGaDAHBGFABMAMTGDrDgNXTJa/FBKWbGBGBUMEFBNIKBaBEMUPOR8OSFFLaeRUnUTKNBLD/NTOAPFQdekKgNU/NCBNxWWHFPWeNfHocKDiHW/PrN"
    "xPBNcfdkjF/GgkwnNxBBARPrJpaEVMNUgPeBR/E");

constexpr auto kIq3S = table<uint32_t, 512, 8>(
    "AAACBAAABBBADFEBCBBBEBGCCAAABDADCCDBDGMDEFADBACCCDCDFCBBBMCHFDCBGBCFDBMBDCKDBCFFCFOJBLBDEFDBOEKCBNQOGBBLBDEMDTAA"
    "BDABBBABGCBNBCIFABCBDEGCFGBNFBJCBADFFCJCJGCCACFFADEQFKBEBMBGDBDUGCFGBOmDCMBaBEBGLDQFHABBBABBBCBDABGBBCBMACBCBFCD"
    "CCDCFGXCCJBEGBJDJCDBCDIBEBGFNKFICGCDYCGEIMAKMHBEJbDTDMBKEZGBBBCGBBEBCBJFHBBGEBMPJDBJFJBLYGDEBDAIBDFNHFEDGQFDMGBK"
    "EJJMSSfBMBKiDFFDCCGGPJEBBGFEFFDTBEEDJEOCFLEBEBGDiBRKAYLBJgYQTXEKKFYFDFNDCCLFEBBEGIfFIJEFMWEAOMELFFCLJLjLSB2fBN2B"
    "BLBUPPGcVRFKEFHLEO0NONCYTUaoB0DCIBLBLFPGKOBbCDFCGQYXCNVDFEXpPfWm");

/// Eight sign bits that a 7-bit number stands for: the eighth makes their count even.
inline uint8_t signsOf(uint32_t seven) { return uint8_t((seven & 127) | uint32_t(__builtin_parity(seven & 127)) << 7); }

constexpr uint64_t kOnes = 0x0101010101010101;

/// 1 in byte j where bit j is set.
inline uint64_t spread(uint8_t bits) { return (((bits * kOnes & 0x8040201008040201) + 0x7f * kOnes) >> 7) & kOnes; }

/// Eight places of two entries of four.
inline uint64_t twoEntries(uint32_t low, uint32_t high) { return low | uint64_t{high} << 32; }

/// 4-bit scales from the top of eight 32-bit words, eight bytes apart or four.
void gatherScales(const uint8_t* lastBytes, size_t apart, uint8_t* scales) {
  for (int i = 0; i < 4; ++i) {
    scales[i] = uint8_t(lastBytes[2 * i * apart] >> 4 | (lastBytes[(2 * i + 1) * apart] & 0xf0));
  }
}

/// Eight values' places in the bytes of a word, and one bit of sign for each.
struct Part {
  uint64_t places;
  uint8_t signs;
};

/// Part `index` of 32 of a block whose scale d has been passed by.
inline Part partOf(int format, const uint8_t* q, int index) {
  const int group = index >> 2, quarter = index & 3;
  switch (format) {
    case kIQ2_XXS:  // per group: four entries; four 7-bit sign numbers and, on top, a 4-bit scale
      return {kIq2Xxs[q[8 * group + quarter]], signsOf(loadAs<uint32_t>(q + 8 * group + 4) >> 7 * quarter)};
    case kIQ2_XS: {  // per part: nine bits of an entry, a 7-bit sign number
      const uint16_t packed = loadAs<uint16_t>(q + 2 * index);
      return {kIq2Xs[packed & 511], signsOf(packed >> 9)};
    }
    case kIQ2_S:  // 32 entries' low bytes, 32 bytes of signs, two more bits for each entry
      return {kIq2S[q[index] | (q[64 + group] >> 2 * quarter & 3) << 8], q[32 + index]};
    case kIQ3_XXS:  // 64 entries; per group four 7-bit sign numbers and, on top, a 4-bit scale
      return {twoEntries(kIq3Xxs[q[2 * index]], kIq3Xxs[q[2 * index + 1]]),
              signsOf(loadAs<uint32_t>(q + 64 + 4 * group) >> 7 * quarter)};
    default: {  // IQ3_S: 64 entries' low bytes, a ninth bit for each, 32 bytes of signs
      const int ninths = q[64 + group] >> 2 * quarter;
      return {twoEntries(kIq3S[q[2 * index] | (ninths & 1) << 8], kIq3S[q[2 * index + 1] | (ninths & 2) << 7]),
              q[72 + index]};
    }
  }
}

}  // namespace

void writeGridForm(int format, const uint8_t* block, uint8_t* form) {
  const uint8_t* q = block + 2;
  std::memcpy(form, block, 2);
  uint8_t* to = form + 2;
  switch (format) {
    case kIQ2_XXS: gatherScales(q + 7, 8, to); break;
    case kIQ2_XS: std::memcpy(to, q + 64, 8); break;
    case kIQ2_S: std::memcpy(to, q + 72, 8); break;
    case kIQ3_XXS: gatherScales(q + 64 + 3, 4, to); break;
    case kIQ3_S: std::memcpy(to, q + 104, 4); break;
  }
  to += format == kIQ2_XS || format == kIQ2_S ? 8 : 4;
  if (format == kIQ3_XXS || format == kIQ3_S) {
    for (int group = 0; group < 8; ++group) {
      uint64_t codes[4];
      for (int i = 0; i < 4; ++i) {
        const Part part = partOf(format, q, 4 * group + i);
        codes[i] = part.places | spread(part.signs) << 3;
      }
      // Byte i holds value i below value i + 16.
      const uint64_t pairs[2] = {codes[0] | codes[2] << 4, codes[1] | codes[3] << 4};
      std::memcpy(to + 16 * group, pairs, 16);
    }
    return;
  }
  uint64_t runs[3][4] = {};
  for (int index = 0; index < 32; ++index) {
    const Part part = partOf(format, q, index);
    const uint64_t signs = spread(part.signs);
    const int j = index >> 2, word = index & 3;
    if (j < 6) {
      runs[j >> 1][word] |= (part.places | signs << 2) << 3 * (j & 1);
    } else {
      runs[j == 6 ? 0 : 2][word] |= part.places << 6;
      runs[1][word] |= signs << j;
    }
  }
  std::memcpy(to, runs, sizeof runs);
}

}  // namespace clavis
