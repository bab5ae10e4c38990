// How fast the matrix kernels of each level are, beside what this machine could do: a plain read of memory, and
// vpdpbusd (or vpmaddubsw and vpaddw) out of registers. Thread CPU time, best of several runs.
//
//   node bench/kernels-native.mjs [--level=avx2] [--format=Q4_0] [--rows=1,64]

#include <sys/mman.h>
#include <time.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <string>
#include <vector>

#include "../kernels/native/cpu.h"
#include "../kernels/native/formats.h"
#include "../kernels/native/matmul-many.h"
#include "../kernels/native/matrix.h"

using namespace clavis;

namespace {

double seconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return double(now.tv_sec) + double(now.tv_nsec) * 1e-9;
}

/// The shortest of several runs.
template <class Work>
double best(int runs, Work work) {
  double least = 1e9;
  for (int i = 0; i < runs; ++i) {
    const double start = seconds();
    work();
    least = std::min(least, seconds() - start);
  }
  return least;
}

/// Zeroed memory in huge pages where the system has them.
uint8_t* hugePages(size_t bytes) {
  constexpr size_t page = 2 << 20;
  void* base = mmap(nullptr, bytes + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (base == MAP_FAILED) std::abort();
  auto* data = reinterpret_cast<uint8_t*>((reinterpret_cast<uintptr_t>(base) + page - 1) & ~(page - 1));
  madvise(data, bytes, MADV_HUGEPAGE);
  return data;
}

volatile int sink;

#if defined(__x86_64__)
__attribute__((target("avx2"))) void readAll(const uint8_t* from, size_t bytes) {
  __m256i sum[4] = {};
  for (size_t i = 0; i < bytes; i += 128) {
    __builtin_prefetch(from + i + 512, 0, 3);
    __builtin_prefetch(from + i + 576, 0, 3);
    __builtin_prefetch(from + i + 4096, 0, 2);
    __builtin_prefetch(from + i + 4160, 0, 2);
    for (int j = 0; j < 4; ++j) {
      sum[j] = _mm256_add_epi32(sum[j], _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + i + 32 * j)));
    }
  }
  sink = _mm256_extract_epi32(_mm256_xor_si256(_mm256_xor_si256(sum[0], sum[1]), _mm256_xor_si256(sum[2], sum[3])), 0);
}

constexpr int kTurns = 300'000;

/// Operations a second of vpdpbusd from registers: twelve sums hide its latency.
__attribute__((target("avx512f,avx512vnni"))) double peak512() {
  const double time = best(20, [] {
    for (int i = 0; i < kTurns; ++i) {
      asm volatile(
          "vpdpbusd %%zmm15, %%zmm15, %%zmm0\n\tvpdpbusd %%zmm15, %%zmm15, %%zmm1\n\t"
          "vpdpbusd %%zmm15, %%zmm15, %%zmm2\n\tvpdpbusd %%zmm15, %%zmm15, %%zmm3\n\t"
          "vpdpbusd %%zmm15, %%zmm15, %%zmm4\n\tvpdpbusd %%zmm15, %%zmm15, %%zmm5\n\t"
          "vpdpbusd %%zmm15, %%zmm15, %%zmm6\n\tvpdpbusd %%zmm15, %%zmm15, %%zmm7\n\t"
          "vpdpbusd %%zmm15, %%zmm15, %%zmm8\n\tvpdpbusd %%zmm15, %%zmm15, %%zmm9\n\t"
          "vpdpbusd %%zmm15, %%zmm15, %%zmm10\n\tvpdpbusd %%zmm15, %%zmm15, %%zmm11" ::
              : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11");
    }
  });
  return 12.0 * kTurns * 128 / time;
}

/// The same of vpmaddubsw and vpaddw on 256 bits: the products of four 4-bit codes.
__attribute__((target("avx2"))) double peak256() {
  const double time = best(20, [] {
    for (int i = 0; i < kTurns; ++i) {
      asm volatile(
          "vpmaddubsw %%ymm15, %%ymm15, %%ymm8\n\tvpaddw %%ymm8, %%ymm0, %%ymm0\n\t"
          "vpmaddubsw %%ymm15, %%ymm15, %%ymm9\n\tvpaddw %%ymm9, %%ymm1, %%ymm1\n\t"
          "vpmaddubsw %%ymm15, %%ymm15, %%ymm10\n\tvpaddw %%ymm10, %%ymm2, %%ymm2\n\t"
          "vpmaddubsw %%ymm15, %%ymm15, %%ymm11\n\tvpaddw %%ymm11, %%ymm3, %%ymm3\n\t"
          "vpmaddubsw %%ymm15, %%ymm15, %%ymm12\n\tvpaddw %%ymm12, %%ymm4, %%ymm4\n\t"
          "vpmaddubsw %%ymm15, %%ymm15, %%ymm13\n\tvpaddw %%ymm13, %%ymm5, %%ymm5" ::
              : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13");
    }
  });
  return 6.0 * kTurns * 64 / time;
}
#else
void readAll(const uint8_t* from, size_t bytes) {
  uint64_t sum = 0;
  for (size_t i = 0; i < bytes; i += 8) sum += loadAs<uint64_t>(from + i);
  sink = int(sum);
}
#endif

struct Named {
  const char* name;
  int id;
};

constexpr Named kFormats[] = {
    {"Q4_0", kQ4_0}, {"Q8_0", kQ8_0}, {"Q4_K", kQ4_K},     {"Q6_K", kQ6_K},     {"Q5_K", kQ5_K},   {"Q4_1", kQ4_1},
    {"Q5_0", kQ5_0}, {"Q5_1", kQ5_1}, {"Q2_K", kQ2_K},     {"Q3_K", kQ3_K},     {"IQ4_NL", kIQ4_NL}, {"IQ4_XS", kIQ4_XS},
    {"TQ2_0", kTQ2_0}, {"MXFP4", kMXFP4}, {"IQ2_XXS", kIQ2_XXS}, {"IQ2_XS", kIQ2_XS}, {"IQ2_S", kIQ2_S},
    {"IQ3_XXS", kIQ3_XXS}, {"IQ3_S", kIQ3_S}, {"F16", kF16}, {"BF16", kBF16}, {"F32", kF32},
};

size_t rowBytesOf(int format, size_t k) {
  const BlockFormat* blocks = blockFormat(format);
  return blocks ? k / blocks->values * fileBlockBytes(format) : k * floatBytes(format);
}

std::vector<std::string> list(const char* text) {
  std::vector<std::string> parts;
  std::stringstream stream(text);
  for (std::string part; std::getline(stream, part, ',');) parts.push_back(part);
  return parts;
}

}  // namespace

int main(int count, char** arguments) {
  std::vector<std::string> levels = {"amx", "avx512vnni", "avxvnni", "avx2", "ssse3", "i8mm", "dotprod", "neon", "portable"};
  std::vector<std::string> formats, rowCounts = {"1", "2", "4", "8", "64", "512"};
  for (int i = 1; i < count; ++i) {
    const char* a = arguments[i];
    if (!std::strncmp(a, "--level=", 8)) levels = list(a + 8);
    if (!std::strncmp(a, "--format=", 9)) formats = list(a + 9);
    if (!std::strncmp(a, "--rows=", 7)) rowCounts = list(a + 7);
  }

  // Larger than the last-level cache, so that a row alone reads from memory.
  constexpr size_t k = 2048, megabytes = 96, mostRows = 512;
  uint8_t* packed = hugePages((megabytes + 2) << 20);
  uint8_t* source = hugePages((megabytes + 2) << 20);
  for (size_t i = 0; i < megabytes << 20; ++i) source[i] = uint8_t((i * 2654435761u) >> 13);
  std::memcpy(packed, source, megabytes << 20);
  std::printf("plain read          %6.1f GB/s\n",
              double(megabytes << 20) / best(8, [&] { readAll(packed, megabytes << 20); }) * 1e-9);
#if defined(__x86_64__)
  if (detectCpu().avx2) std::printf("vpmaddubsw + vpaddw %6.0f GOPS from registers\n", peak256() * 1e-9);
  if (detectCpu().avx512vnni) std::printf("vpdpbusd            %6.0f GOPS from registers\n", peak512() * 1e-9);
#endif

  std::vector<float> x(mostRows * k);
  for (size_t i = 0; i < x.size(); ++i) x[i] = float(int(i * 2654435761u >> 8) % 1000) / 500;
  std::printf("\n%-11s %-7s %9s %11s", "level", "format", "pack GB/s", "1 row GB/s");
  for (const std::string& rows : rowCounts) std::printf(" %5s-GOPS", rows.c_str());
  std::printf("\n");
  for (const std::string& level : levels) {
    CpuFeatures features = limitCpu(detectCpu(), level.c_str());
    if (level == "portable") features = {};
    if (level == "ssse3") features = {.ssse3 = features.ssse3};
    const MatrixKernels& kernels = *selectMatrixKernels(features);
    // AMX has fast products beside the usual ones of another level.
    const bool tiles = level == "amx" && features.amxBf16 && bf16TilesWork();
    if (level != kernels.name && !tiles) continue;
    std::vector<uint8_t> quantized(mostRows * k * 2);
    const size_t q8Stride = k + k / 32 * 4 + k / 16 * 4;
    const double quantizing = best(5, [&] {
      for (size_t r = 0; r < mostRows; ++r) kernels.quantizeRow(&x[r * k], &quantized[r * q8Stride], k);
    });
    for (const Named& format : kFormats) {
      if (!formats.empty() && std::find(formats.begin(), formats.end(), format.name) == formats.end()) continue;
      const size_t group = kernels.packedBytes(format.id, kernels.group, k);
      const size_t n = (megabytes << 20) / group * kernels.group;
      const double bytes = double(n) * double(rowBytesOf(format.id, k));
      const double packing = best(3, [&] { kernels.packRows(format.id, source, packed, n, k); });
      std::vector<uint8_t> scratch(kernels.scratchBytes(format.id, k) + 64);
      std::vector<float> out(std::max(mostRows * 1024, n));
      const bool integers = blockFormat(format.id) != nullptr;
      // Chunks as the interpreter hands them out: some weights, all rows.
      constexpr size_t chunk = 64;
      const auto multiply = [&](size_t rows, size_t columns) {
        for (size_t first = 0; first < columns; first += chunk) {
          kernels.matmulTile(format.id, out.data(), columns * 4,
                             integers ? quantized.data() : reinterpret_cast<uint8_t*>(x.data()),
                             integers ? q8Stride : k * 4, rows, packed, columns, k, nullptr, nullptr, 0, first,
                             std::min(first + chunk, columns), scratch.data());
        }
      };
      const bool slow = level == "portable";
      std::printf("%-11s %-7s %9.1f %11.1f", level.c_str(), format.name, bytes / packing * 1e-9,
                  bytes / best(slow ? 1 : 5, [&] { multiply(1, n); }) * 1e-9);
      for (const std::string& text : rowCounts) {
        const size_t rows = std::min<size_t>(std::strtoul(text.c_str(), nullptr, 10), mostRows);
        const size_t columns = std::min<size_t>(n, slow ? 64 : rows < 64 ? 1024 : 512);
        const double time = best(slow ? 2 : 5, [&] { multiply(rows, columns); });
        std::printf(" %10.0f", 2.0 * double(rows) * double(columns) * double(k) / time * 1e-9);
        std::fflush(stdout);
      }
      std::printf("\n");
      const ManyRowKernels* before = nullptr;
      for (const bool exact : {false, true}) {
        const ManyRowKernels* many = selectManyRowKernels(features, format.id, exact);
        if (many == nullptr || many == before) continue;
        before = many;
        std::vector<uint8_t> manyScratch(many->scratchBytes(format.id, k) + 64);
        std::vector<uint8_t> prepared(many->preparedBytes != nullptr ? many->preparedBytes(mostRows, k) + 64 : 0);
        const auto aligned = [](std::vector<uint8_t>& bytes) {
          return reinterpret_cast<uint8_t*>((reinterpret_cast<uintptr_t>(bytes.data()) + 63) & ~uintptr_t{63});
        };
        const uint8_t* a = integers ? quantized.data() : reinterpret_cast<uint8_t*>(x.data());
        const size_t aStride = integers ? q8Stride : k * 4;
        std::printf("%-11s %-7s %9s %11s", many->name, format.name, "", "");
        for (const std::string& text : rowCounts) {
          const size_t rows = std::min<size_t>(std::strtoul(text.c_str(), nullptr, 10), mostRows);
          if (rows < many->fromRows) {
            std::printf(" %10s", "");
            continue;
          }
          const size_t columns = std::min<size_t>(n, rows < 64 ? 1024 : 512);
          const double time = best(5, [&] {
            if (!prepared.empty()) many->prepareRows(format.id, a, aStride, k, 0, rows, aligned(prepared));
            for (size_t first = 0; first < columns; first += many->mostColumns) {
              many->matmulTile(format.id, out.data(), columns * 4, prepared.empty() ? a : aligned(prepared), aStride, rows,
                               packed, columns, k, nullptr, nullptr, 0, first,
                               std::min(first + many->mostColumns, columns), aligned(manyScratch));
            }
          });
          std::printf(" %10.0f", 2.0 * double(rows) * double(columns) * double(k) / time * 1e-9);
          std::fflush(stdout);
        }
        std::printf("\n");
      }
    }
    std::printf("%-11s quantize %.1f GB/s\n", level.c_str(), double(mostRows * k * 4) / quantizing * 1e-9);
  }
}
