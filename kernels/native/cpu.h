// What this processor can do. One build serves every x86-64 and one every AArch64: kernels are chosen by these.
#pragma once

#include <cstddef>

namespace clavis {

/// Instruction sets beyond what every x86-64 (SSE2) or AArch64 (NEON) has; true only where the system saves
/// their registers, too.
struct CpuFeatures {
  // x86-64
  bool ssse3 = false;
  bool avx2 = false;        // with F16C and FMA, which every processor with AVX2 has
  bool avxvnni = false;     // vpdpbusd on 256 bits without AVX-512
  bool avxvnniTwin = false; // never detected: the same on a processor that has it only with AVX-512 (limitCpu)
  bool avx512 = false;      // F, BW, VL and DQ
  bool avx512vnni = false;
  bool avx512bf16 = false;
  bool amxInt8 = false;     // tiles; whether the system gives leave to use them is another question (matmul-many.h)
  bool amxBf16 = false;
  bool amxModel = false;    // never detected: a model of the tiles on a processor without them (limitCpu)
  // AArch64
  bool neon = false;
  bool dotprod = false;
  bool i8mm = false;
};

/// Asks the processor (cpuid and xgetbv, or getauxval).
CpuFeatures detectCpu();

/// The features that are left under a level: baseline, ssse3, avx2, avxvnni, avx512, avx512vnni, neon, dotprod or i8mm; nothing
/// above it. nullptr, "" or an unknown name takes nothing away. Tests set it by CLAVIS_CPU or per program. Where avxvnni
/// is asked for and only avx512vnni is there, a twin of its kernels stands in for it; amx-model takes a model of AMX.
CpuFeatures limitCpu(CpuFeatures features, const char* level);

/// What is there of the above, by the names of its instruction sets, least first.
///
/// @param names  room for `mostFeatureNames`
/// @returns how many there are
size_t featureNames(const CpuFeatures& features, const char** names);
constexpr size_t mostFeatureNames = 16;

/// The highest level whose features are all there, by its name. Tiles are beside that: only products of many rows use them.
const char* levelName(const CpuFeatures& features);

/// The levels that limitCpu can bring these features to, lowest first.
///
/// @param names  room for `mostFeatureNames`
/// @returns how many there are
size_t levelNames(const CpuFeatures& features, const char** names);

}  // namespace clavis
