#include "grids.h"

#include <array>
#include <cstring>

#include "formats.h"

namespace clavis {
namespace {

/// A table of points, from how src/bytes/layouts/codebooks.ts writes it: entries, read as numbers whose digits are places
/// in the alphabet (first value = lowest digit), ascend; a character is the gap to the entry before, less 1, and "/" adds
/// 63 to the gap that follows. Entries lie in whole words. Source of the tables: ggml, ggml-common.h (iq2xxs_grid and its
/// neighbours), facts of the format.
template <class Entry, size_t entries, size_t letters>
constexpr std::array<Entry, entries> table(const uint8_t (&alphabet)[letters], const char* gaps) {
  std::array<Entry, entries> all = {};
  size_t count = 0;
  int64_t entry = -1;
  for (; *gaps != 0; ++gaps) {
    const char c = *gaps;
    const int gap = c == '/' ? 63 : c == '+' ? 62 : c <= '9' ? c - '0' + 52 : c <= 'Z' ? c - 'A' : c - 'a' + 26;
    entry += gap;
    if (gap == 63) continue;
    int64_t digits = ++entry;
    for (size_t i = 0; i < sizeof(Entry); ++i, digits /= letters) all[count] |= Entry{alphabet[digits % letters]} << 8 * i;
    ++count;
  }
  return all;
}

constexpr uint8_t kIq2Alphabet[3] = {8, 25, 43};
constexpr uint8_t kIq3XxsAlphabet[8] = {4, 12, 20, 28, 36, 44, 52, 62};
constexpr uint8_t kIq3SAlphabet[8] = {1, 3, 5, 7, 9, 11, 13, 15};

constexpr auto kIq2Xxs = table<uint64_t, 256>(
    kIq2Alphabet,
    "ABBBBBBFBDBBBFFDBFBFLHBFDNdLLBRjZBFJBFBDLJBFLFBDLNTBJXBRdRFDBFLDBFBVXX3J/GBFJHRLFDNFLRHJvJxFLDLTpfhN/EBFRbZD/Etr"
    "BFVPHBxHvB/QBFRNnbT/gXLv/+zBFFDBFFHDJBFRRbHDXHXHJdFLjPVJ7/SBFRDxpDJ3fRFDFBjFXZt/G/QBX/KlpJFf77/OFRXdn3djD/WBt//H"
    "///YBFTbbLL/A/IBFDNRjfhVTRl/S/Y/KFLFtVn5xTJ/Y//1r//ThVd/K/g////Lv");

constexpr auto kIq2Xs = table<uint64_t, 512>(
    kIq2Alphabet,
    "ABBBBBBBBBBBBDBBBBBBBDBFBBBDBDBJBBBBBBBBBBFBBBDBFFDBFRBBBDBFJBFDNHTBBBBBBBDBFBBBDBBDJBFRBBBDBFJBFJHbBFNDBbXBBBBB"
    "BFDFBFFLRHBBFRbFTRFrDJBBBBBBBDBFBBBDBFHBBFRBBBDBFJBFRLBNBBDRRjBBBDBFJBDBLFbBFR1LVvBFBPLTVDt/EpBBBBBBBFJBFRRJBFRF"
    "PfThXDBFPB1bJfLP7DFBJVTN5LXLlDBTBBBBBBBDBFBBBBBBFDFBFRBBBDBFJBFRDPHBFBNB1BBBDBDBJBFRLPBFLFrJHVFtBFRDHHhJTFPf/OBB"
    "BDBFFDBFRbBFDNBzdxBBFJHRJRHFvFnfVHLPHhbJB/uXBFRLHLTB/mNdPN/MRDr/Yzx/AhHhBBBDBFHBBFRBVBBBBDRJFlRjBPFDBFBBNRPTdtTl"
    "bFPVJBVH/ghFHJDBFRNPXTb/KTTDZFF/AlBr/anl7fjBDBJHttFhDBDTbRjn//RTTJBDvFF1BtBlP");

constexpr auto kIq2S = table<uint64_t, 1024>(
    kIq2Alphabet,
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

constexpr auto kIq3Xxs = table<uint32_t, 256>(
    kIq3XxsAlphabet,
    "ABBEBDABGIYBDBEBGDCBGKLHBBEGBGBDJFNDFABKiSTEKLBDFSPyWTDBUNPBEBGBEBBKAXBGGBuBEBGGhFBNIMPKDinDRSL/NNfBGBEBDCIeBBCB"
    "GGaDAHBGFABMAMTGDrDgNXTJa/FBKWbGBGBUMEFBNIKBaBEMUPOR8OSFFLaeRUnUTKNBLD/NTOAPFQdekKgNU/NCBNxWWHFPWeNfHocKDiHW/PrN"
    "xPBNcfdkjF/GgkwnNxBBARPrJpaEVMNUgPeBR/E");

constexpr auto kIq3S = table<uint32_t, 512>(
    kIq3SAlphabet,
    "AAACBAAABBBADFEBCBBBEBGCCAAABDADCCDBDGMDEFADBACCCDCDFCBBBMCHFDCBGBCFDBMBDCKDBCFFCFOJBLBDEFDBOEKCBNQOGBBLBDEMDTAA"
    "BDABBBABGCBNBCIFABCBDEGCFGBNFBJCBADFFCJCJGCCACFFADEQFKBEBMBGDBDUGCFGBOmDCMBaBEBGLDQFHABBBABBBCBDABGBBCBMACBCBFCD"
    "CCDCFGXCCJBEGBJDJCDBCDIBEBGFNKFICGCDYCGEIMAKMHBEJbDTDMBKEZGBBBCGBBEBCBJFHBBGEBMPJDBJFJBLYGDEBDAIBDFNHFEDGQFDMGBK"
    "EJJMSSfBMBKiDFFDCCGGPJEBBGFEFFDTBEEDJEOCFLEBEBGDiBRKAYLBJgYQTXEKKFYFDFNDCCLFEBBEGIfFIJEFMWEAOMELFFCLJLjLSB2fBN2B"
    "BLBUPPGcVRFKEFHLEO0NONCYTUaoB0DCIBLBLFPGKOBbCDFCGQYXCNVDFEXpPfWm");

/// Eight sign bits that a 7-bit number stands for: the eighth makes their count even.
inline uint8_t signsOf(uint32_t seven) { return uint8_t((seven & 127) | uint32_t(__builtin_parity(seven & 127)) << 7); }

/// Eight codes, byte j negated where bit j of `signs` is set. No code is 0, so that no byte carries into the next.
inline uint64_t withSigns(uint64_t codes, uint8_t signs) {
  constexpr uint64_t ones = 0x0101010101010101;
  const uint64_t bits = signs * ones & 0x8040201008040201;
  const uint64_t negative = ((bits + 0x7f * ones) >> 7 & ones) * 0xff;
  return (codes ^ negative) + (negative & ones);
}

/// Eight codes of two entries of four.
inline uint64_t twoEntries(uint32_t low, uint32_t high) { return low | uint64_t{high} << 32; }

/// The odd number that a 4-bit scale stands for; `index` counts half-bytes.
inline uint8_t oddScale(const uint8_t* bytes, int index) { return uint8_t(2 * (bytes[index >> 1] >> 4 * (index & 1) & 15) + 1); }

}  // namespace

const uint32_t* gridOfFours(int format) { return format == kIQ3_XXS ? kIq3Xxs.data() : kIq3S.data(); }

const uint64_t* gridOfEights(int format) {
  return format == kIQ2_XXS ? kIq2Xxs.data() : format == kIQ2_XS ? kIq2Xs.data() : kIq2S.data();
}

void readGridBlock(int format, const uint8_t* block, GridBlock& out) {
  const float d = halfToFloat(loadAs<uint16_t>(block));
  const uint8_t* q = block + 2;
  for (int part = 0; part < 32; ++part) {  // eight values each
    const int group = part >> 2, quarter = part & 3;
    uint64_t codes = 0;
    uint8_t signs = 0;
    switch (format) {
      case kIQ2_XXS: {  // per group: four entries; four 7-bit sign numbers and, on top, a 4-bit scale
        codes = kIq2Xxs[q[8 * group + quarter]];
        signs = signsOf(loadAs<uint32_t>(q + 8 * group + 4) >> 7 * quarter);
        break;
      }
      case kIQ2_XS: {  // per part: nine bits of an entry, a 7-bit sign number
        const uint16_t packed = loadAs<uint16_t>(q + 2 * part);
        codes = kIq2Xs[packed & 511];
        signs = signsOf(packed >> 9);
        break;
      }
      case kIQ2_S: {  // 32 entries' low bytes, 32 bytes of signs, two more bits for each entry
        codes = kIq2S[q[part] | (q[64 + group] >> 2 * quarter & 3) << 8];
        signs = q[32 + part];
        break;
      }
      case kIQ3_XXS: {  // 64 entries; per group four 7-bit sign numbers and, on top, a 4-bit scale
        codes = twoEntries(kIq3Xxs[q[2 * part]], kIq3Xxs[q[2 * part + 1]]);
        signs = signsOf(loadAs<uint32_t>(q + 64 + 4 * group) >> 7 * quarter);
        break;
      }
      case kIQ3_S: {  // 64 entries' low bytes, a ninth bit for each, 32 bytes of signs
        const uint32_t ninths = q[64 + group] >> 2 * quarter;
        codes = twoEntries(kIq3S[q[2 * part] | (ninths & 1) << 8], kIq3S[q[2 * part + 1] | (ninths & 2) << 7]);
        signs = q[72 + part];
        break;
      }
    }
    codes = withSigns(codes, signs);
    std::memcpy(out.codes + 8 * part, &codes, 8);
  }
  switch (format) {
    case kIQ2_XXS:
      out.d = d * 0.125f;
      for (int i = 0; i < 8; ++i) out.scales[i] = uint8_t(2 * (q[8 * i + 7] >> 4) + 1);
      break;
    case kIQ2_XS:
    case kIQ2_S:
      out.d = d * 0.125f;
      for (int i = 0; i < 16; ++i) out.scales[i] = oddScale(q + (format == kIQ2_XS ? 64 : 72), i);
      break;
    case kIQ3_XXS:
      out.d = d * 0.25f;
      for (int i = 0; i < 8; ++i) out.scales[i] = uint8_t(2 * (q[64 + 4 * i + 3] >> 4) + 1);
      break;
    case kIQ3_S:
      out.d = d;
      for (int i = 0; i < 8; ++i) out.scales[i] = oddScale(q + 104, i);
      break;
  }
}

}  // namespace clavis
