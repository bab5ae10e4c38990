// How fast attention is for a step of a long prompt, beside what this machine could do: fused multiplications, and
// vdpbf16ps, out of registers. Thread CPU time, best of several runs.
//
//   node bench/attention-native.mjs [--level=avx2] [--positions=512,4096,16384] [--rows=512]

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

#include "../kernels/native/attention-fast.h"
#include "../kernels/native/cpu.h"
#include "../kernels/native/memory.h"
#include "../kernels/native/rows.h"

using namespace clavis;

namespace {

double seconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return double(now.tv_sec) + double(now.tv_nsec) * 1e-9;
}

/// The shortest of several runs, at least two and for about half a second.
template <class Work>
double best(Work work) {
  double least = 1e9, all = 0;
  for (int i = 0; i < 2 || (i < 20 && all < 0.5); ++i) {
    const double start = seconds();
    work();
    const double took = seconds() - start;
    least = std::min(least, took);
    all += took;
  }
  return least;
}

#if defined(__x86_64__)
/// Twelve sums hide the latency.
#define TWELVE(i, r)                                                                                            \
  i " %%" r "15, %%" r "14, %%" r "0\n\t" i " %%" r "15, %%" r "14, %%" r "1\n\t" i " %%" r "15, %%" r        \
    "14, %%" r "2\n\t" i " %%" r "15, %%" r "14, %%" r "3\n\t" i " %%" r "15, %%" r "14, %%" r "4\n\t" i     \
    " %%" r "15, %%" r "14, %%" r "5\n\t" i " %%" r "15, %%" r "14, %%" r "6\n\t" i " %%" r "15, %%" r        \
    "14, %%" r "7\n\t" i " %%" r "15, %%" r "14, %%" r "8\n\t" i " %%" r "15, %%" r "14, %%" r "9\n\t" i     \
    " %%" r "15, %%" r "14, %%" r "10\n\t" i " %%" r "15, %%" r "14, %%" r "11"
#define SUMS "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11"
constexpr int kTurns = 3'000'000;

__attribute__((target("avx512f"))) double fused512() {
  return 12.0 * kTurns * 32 / best([] {
           for (int i = 0; i < kTurns; ++i) asm volatile(TWELVE("vfmadd231ps", "zmm")::: SUMS);
         });
}
__attribute__((target("avx2,fma"))) double fused256() {
  return 12.0 * kTurns * 16 / best([] {
           for (int i = 0; i < kTurns; ++i) asm volatile(TWELVE("vfmadd231ps", "ymm")::: SUMS);
         });
}
__attribute__((target("avx512f,avx512bf16"))) double pairs512() {
  return 12.0 * kTurns * 64 / best([] {
           for (int i = 0; i < kTurns; ++i) asm volatile(TWELVE("vdpbf16ps", "zmm")::: SUMS);
         });
}
#endif

std::vector<std::string> list(const char* text) {
  std::vector<std::string> parts;
  std::stringstream stream(text);
  for (std::string part; std::getline(stream, part, ',');) parts.push_back(part);
  return parts;
}

/// A layer: heads, those of keys, and a head's width.
struct Shape {
  const char* name;
  size_t heads, kvHeads, n;
};

constexpr Shape kShapes[] = {{"32 / 8 x 64", 32, 8, 64}, {"14 / 2 x 64", 14, 2, 64}, {"32 / 32 x 128", 32, 32, 128}};

struct Memory {
  Region cache, arena, scratch;
  std::vector<int32_t> pages, positions, slots;
};

int32_t bits(float x) {
  int32_t word;
  std::memcpy(&word, &x, sizeof word);
  return word;
}

/// GFLOP/s of a step's rows that see `positions` positions in the end; two per multiplication and addition, of what a
/// causal mask leaves.
double measure(const CpuFeatures& features, const Shape& shape, bool quantized, size_t rows, size_t positions, bool fast) {
  const size_t pages = positions / pagePositions, width = shape.heads * shape.n * sizeof(float);
  rows = std::min(rows, positions);
  const RowKernels& kernels = *selectRowKernels(features);
  Program program;
  program.rows = &kernels;
  Memory memory;
  for (size_t i = 0; i < pages; ++i) memory.pages.push_back(int32_t(i * 7919 % pages));
  for (size_t i = 0; i < rows; ++i) memory.positions.push_back(int32_t(positions - rows + i));
  memory.slots.assign(rows, 0);
  Cache& cache = program.cache;
  cache.quantized = quantized;
  cache.heads = shape.kvHeads;
  cache.headWidth = shape.n;
  cache.pages = pages;
  cache.blockBytes = pagePositions * (quantized ? shape.n + shape.n / 32 * 4 : shape.n * 2);
  memory.cache = Region::allocate(pages * 2 * shape.kvHeads * cache.blockBytes);
  memory.arena = Region::allocate(2 * rows * width + 64);
  cache.data = memory.cache.data();
  program.arena = memory.arena.data();
  Step& step = program.step;
  step.positions = memory.positions.data();
  step.slots = memory.slots.data();
  step.pageTables = memory.pages.data();
  step.tokenCount = rows;
  step.pagesPerSequence = pages;
  auto* queries = reinterpret_cast<float*>(program.arena);
  uint32_t state = 1;
  const auto next = [&] { return float(int32_t(state = state * 1664525 + 1013904223)) / 2147483648.0f; };
  // Scores of a few units, as trained models have.
  for (size_t i = 0; i < rows * shape.heads * shape.n; ++i) queries[i] = 3 * next();
  if (quantized) {
    // Scales are words, and lie among the codes: small ones everywhere.
    auto* words = reinterpret_cast<uint32_t*>(cache.data);
    for (size_t i = 0; i < memory.cache.bytes() / 4; ++i) words[i] = 0x3c000000 | (state = state * 1664525 + 1013904223) >> 9;
  } else {
    auto* halves = reinterpret_cast<uint16_t*>(cache.data);
    for (size_t i = 0; i < memory.cache.bytes() / 2; ++i) {
      state = state * 1664525 + 1013904223;
      halves[i] = uint16_t((state >> 31) << 15 | 0x3800 | (state >> 16 & 0x7ff));
    }
  }
  const int32_t words[16] = {10, 0, int32_t(rows * width), int32_t(width), 0, int32_t(width), -1, 0,
                             0, int32_t(shape.n), int32_t(shape.heads), int32_t(shape.kvHeads), 0,
                             bits(1.0f / 8), 0, 0};
  const Call call{program, words};
  const FastAttention* chosen = fast ? selectFastAttention(features, shape.n) : nullptr;
  const size_t group = shape.heads / shape.kvHeads;
  const size_t chunk = fast ? std::max(attentionRows, fastAttentionLines / group) : attentionRows;
  const size_t bytes = std::max(size_t{1} << 20, fast ? chosen->scratchBytes(shape.n, chunk * group) : 0) +
                       attentionScratch(shape.n, group, positions);
  memory.scratch = Region::allocate(bytes);
  const auto attention = fast ? chosen->attention : kernels.attention;
  const double time = best([&] {
    for (size_t first = 0; first < rows; first += chunk) {
      // Heads share nothing, so few of them say how long all take.
      for (size_t head = 0; head < std::min<size_t>(shape.kvHeads, 2); ++head) {
        attention(call, first, std::min(first + chunk, rows), head, head * group, (head + 1) * group,
                  memory.scratch.data(), bytes);
      }
    }
  });
  double seen = 0;
  for (size_t i = 0; i < rows; ++i) seen += double(positions - rows + i + 1);
  return seen * double(group * std::min<size_t>(shape.kvHeads, 2)) * 4.0 * double(shape.n) / time * 1e-9;
}

}  // namespace

int main(int count, char** arguments) {
  std::vector<std::string> levels = {"avx512vnni", "avx512", "avx2", "baseline"}, all = {"512", "4096", "16384"};
  size_t rows = 512;
  for (int i = 1; i < count; ++i) {
    const char* a = arguments[i];
    if (!std::strncmp(a, "--level=", 8)) levels = list(a + 8);
    if (!std::strncmp(a, "--positions=", 12)) all = list(a + 12);
    if (!std::strncmp(a, "--rows=", 7)) rows = std::strtoul(a + 7, nullptr, 10);
  }
#if defined(__x86_64__)
  const CpuFeatures here = detectCpu();
  if (here.avx2) std::printf("vfmadd231ps, 256 bits %6.0f GFLOP/s from registers\n", fused256() * 1e-9);
  if (here.avx512) std::printf("vfmadd231ps, 512 bits %6.0f GFLOP/s from registers\n", fused512() * 1e-9);
  if (here.avx512bf16) std::printf("vdpbf16ps, 512 bits   %6.0f GFLOP/s from registers\n", pairs512() * 1e-9);
#endif
  std::printf("\n%-11s %-14s %-5s", "kernel", "heads", "cache");
  for (const std::string& positions : all) std::printf(" %8s", positions.c_str());
  std::printf("\n");
  for (const std::string& level : levels) {
    CpuFeatures features = limitCpu(detectCpu(), level.c_str());
    if (level == "avx512") features.avx512vnni = features.avx512bf16 = features.amxBf16 = false;
    bf16TilesWork();
    for (const Shape& shape : kShapes) {
      for (const bool quantized : {false, true}) {
        for (const bool fast : {false, true}) {
          const FastAttention* chosen = selectFastAttention(features, shape.n);
          if (fast && chosen == nullptr) continue;
          std::printf("%-11s %-14s %-5s", fast ? chosen->name : selectRowKernels(features)->name, shape.name,
                      quantized ? "q8" : "f16");
          for (const std::string& positions : all) {
            std::printf(" %8.1f", measure(features, shape, quantized, rows, std::strtoul(positions.c_str(), nullptr, 10), fast));
            std::fflush(stdout);
          }
          std::printf("\n");
        }
      }
    }
  }
}
