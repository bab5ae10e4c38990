#include "cpu.h"

#include <cstdint>
#include <cstring>
#include <utility>

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#elif defined(__aarch64__) && defined(__APPLE__)
#include <sys/sysctl.h>
#endif

namespace clavis {

#if defined(__x86_64__)

namespace {

/// Which register sets the system saves. Source: Intel SDM volume 1, 13.3 (XCR0).
uint64_t savedState() {
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (uint64_t{high} << 32) | low;
}

constexpr uint64_t ymmState = 0x6;      // SSE and AVX
constexpr uint64_t zmmState = 0xe6;     // and opmask, upper halves, upper registers
constexpr uint64_t tileState = 0x60000; // AMX configuration and data

bool bit(uint32_t word, int index) { return (word >> index) & 1; }

}  // namespace

CpuFeatures detectCpu() {
  CpuFeatures f;
  uint32_t a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d)) return f;
  f.ssse3 = bit(c, 9);
  const bool fma = bit(c, 12), osxsave = bit(c, 27), f16c = bit(c, 29);
  if (!osxsave) return f;
  const uint64_t saved = savedState();
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return f;
  const uint32_t subleaves = a;
  f.avx2 = (saved & ymmState) == ymmState && bit(b, 5) && fma && f16c;
  f.avx512 = f.avx2 && (saved & zmmState) == zmmState && bit(b, 16) && bit(b, 17) && bit(b, 30) && bit(b, 31);
  f.avx512vnni = f.avx512 && bit(c, 11);
  const bool tiles = f.avx512vnni && (saved & tileState) == tileState && bit(d, 24);
  f.amxBf16 = tiles && bit(d, 22);
  f.amxInt8 = tiles && bit(d, 25);
  if (subleaves >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d)) {
    f.avxvnni = f.avx2 && bit(a, 4);
    f.avx512bf16 = f.avx512 && bit(a, 5);
  }
  return f;
}

#elif defined(__aarch64__)

CpuFeatures detectCpu() {
  CpuFeatures f;
  f.neon = true;
#if defined(__linux__)
  // Source: Linux, Documentation/arch/arm64/elf_hwcaps.rst: ASIMDDP is bit 20 of HWCAP, I8MM bit 13 of HWCAP2.
  f.dotprod = (getauxval(AT_HWCAP) >> 20) & 1;
  f.i8mm = f.dotprod && ((getauxval(AT_HWCAP2) >> 13) & 1);
#elif defined(__APPLE__)
  f.dotprod = true;  // every Apple processor that runs macOS has it
  // Source: Apple, "Determining instruction set characteristics". From M2 on.
  int i8mm = 0;
  size_t size = sizeof i8mm;
  f.i8mm = sysctlbyname("hw.optional.arm.FEAT_I8MM", &i8mm, &size, nullptr, 0) == 0 && i8mm == 1;
#endif
  return f;
}

#else

CpuFeatures detectCpu() { return {}; }

#endif

CpuFeatures limitCpu(CpuFeatures f, const char* level) {
  const auto is = [level](const char* name) { return level != nullptr && std::strcmp(level, name) == 0; };
  if (is("baseline")) return {.neon = f.neon};
  if (is("ssse3")) return {.ssse3 = f.ssse3};
  if (is("neon")) f.dotprod = f.i8mm = false;
  if (is("dotprod")) f.i8mm = false;
  const bool toAvx2 = is("avx2"), toAvxVnni = is("avxvnni");
  if (toAvx2) f.avxvnni = false;
  if (toAvxVnni && !f.avxvnni) f.avxvnniTwin = f.avx512vnni;
  if (toAvx2 || toAvxVnni) f.avx512 = f.avx512vnni = f.avx512bf16 = false;
  if (is("avx512")) f.avx512vnni = f.avx512bf16 = false;
  f.amxModel = is("amx-model") && f.avx512vnni && f.avx512bf16;
  if (toAvx2 || toAvxVnni || is("avx512") || is("avx512vnni") || f.amxModel) f.amxInt8 = f.amxBf16 = false;
  return f;
}

size_t featureNames(const CpuFeatures& f, const char** names) {
  const std::pair<bool, const char*> all[] = {
      {f.ssse3, "SSSE3"},
      {f.avx2, "AVX2"},
      {f.avxvnni, "AVX-VNNI"},
      {f.avx512, "AVX-512"},
      {f.avx512vnni, "AVX512-VNNI"},
      {f.avx512bf16, "AVX512-BF16"},
      {f.amxInt8, "AMX-INT8"},
      {f.amxBf16, "AMX-BF16"},
      {f.neon, "NEON"},
      {f.dotprod, "DotProd"},
      {f.i8mm, "I8MM"},
  };
  static_assert(sizeof all / sizeof *all <= mostFeatureNames);
  size_t count = 0;
  for (const auto& [has, name] : all) {
    if (has) names[count++] = name;
  }
  return count;
}

size_t levelNames(const CpuFeatures& f, const char** names) {
  // A processor has levels of one family, so one list does for both.
  size_t count = 0;
  for (const char* name : {"baseline", "ssse3", "avx2", "avxvnni", "avx512", "avx512vnni", "neon", "dotprod",
                           "i8mm"}) {
    if (std::strcmp(levelName(limitCpu(f, name)), name) == 0) names[count++] = name;
  }
  return count;
}

const char* levelName(const CpuFeatures& f) {
  if (f.avx512vnni) return "avx512vnni";
  if (f.avx512) return "avx512";
  if (f.avxvnni || f.avxvnniTwin) return "avxvnni";
  if (f.avx2) return "avx2";
  if (f.i8mm) return "i8mm";
  if (f.dotprod) return "dotprod";
  if (f.neon) return "neon";
  if (f.ssse3) return "ssse3";
  return "baseline";
}

}  // namespace clavis
