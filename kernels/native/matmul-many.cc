#include "matmul-many.h"

#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "formats.h"
#include "pack.h"

namespace clavis {

#if defined(CLAVIS_AMX)

namespace {

/// Asks Linux for leave to use the tiles' data, for all threads of this process. Without it their first use is a fault.
bool askForTiles() {
#if defined(__linux__) && defined(SYS_arch_prctl)
  // Source: Linux, Documentation/arch/x86/xstate.rst.
  constexpr long requestPermission = 0x1023, tileData = 18;
  return syscall(SYS_arch_prctl, requestPermission, tileData) == 0;
#else
  return false;
#endif
}

// Small products whose numbers, products and sums are exact, in static memory: called once (below). Two tiles of rows,
// columns and k, and a part of a third each.
constexpr size_t kTestRows = 35, kTestColumns = 37;

/// Whole numbers below 12.
int testActivation(size_t row, size_t i) { return int((row * 31 + i * 17) % 23) - 11; }
int testWeight(size_t column, size_t i) { return int((column * 13 + i * 29) % 19) - 9; }

/// Whether the kernels multiply them right.
///
/// a       rows as the kernels take them, aStride bytes apart: testActivation() / 8 for k values
/// weight  packed: testWeight() / 4
bool multipliesRight(const ManyRowKernels& kernels, int format, size_t k, const uint8_t* a, size_t aStride,
                     const uint8_t* weight) {
  alignas(64) static float out[kTestRows * kTestColumns];
  alignas(64) static uint8_t prepared[16384], scratch[65536];
  if (kernels.preparedBytes(kTestRows, k) > sizeof prepared) return false;
  if (kernels.scratchBytes(format, k) > sizeof scratch) return false;
  kernels.prepareRows(format, a, aStride, k, 0, kTestRows, prepared);
  kernels.matmulTile(format, out, kTestColumns * 4, prepared, 0, kTestRows, weight, kTestColumns, k, nullptr, nullptr, 0,
                     0, kTestColumns, scratch);
  for (size_t row = 0; row < kTestRows; ++row) {
    for (size_t column = 0; column < kTestColumns; ++column) {
      int sum = 0;
      for (size_t i = 0; i < k; ++i) sum += testActivation(row, i) * testWeight(column, i);
      if (out[row * kTestColumns + column] != float(sum) / 32) return false;
    }
  }
  return true;
}

bool multipliesBf16Right() {
  constexpr size_t k = 70;
  alignas(64) static float a[kTestRows * k];
  alignas(64) static uint16_t weight[3 * kGroup * k];
  for (size_t i = 0; i < kTestRows * k; ++i) a[i] = float(testActivation(i / k, i % k)) / 8;
  for (size_t i = 0; i < kTestColumns * k; ++i) {
    weight[i] = uint16_t(floatToBits(float(testWeight(i / k, i % k)) / 4) >> 16);
  }
  return multipliesRight(amxBf16Kernels, kBF16, k, reinterpret_cast<const uint8_t*>(a), k * 4,
                         reinterpret_cast<const uint8_t*>(weight));
}

bool multipliesInt8Right() {
  constexpr size_t k = 5 * 32, stride = q8HalvesAt(k) + k / 32 * 4;
  constexpr BlockFormat format = *blockFormat(kQ8_0);
  alignas(64) static uint8_t a[kTestRows * stride], source[kTestColumns * k / 32 * format.bytes];
  alignas(64) static uint8_t weight[3 * groupBytes(format, k)];
  // Q8_0 has no minima, so sums of activations are of no use.
  const float scale = 0.125f;
  for (size_t i = 0; i < kTestRows * k; ++i) {
    uint8_t* row = a + i / k * stride;
    row[i % k] = uint8_t(testActivation(i / k, i % k));
    std::memcpy(row + q8ScalesAt(k) + i % k / 32 * 4, &scale, 4);
  }
  const uint16_t quarter = 0x3400;  // f16
  for (size_t i = 0; i < kTestColumns * k; ++i) {
    uint8_t* block = source + i / 32 * format.bytes;
    std::memcpy(block, &quarter, 2);
    block[2 + i % 32] = uint8_t(testWeight(i / k, i % k));
  }
  packRows(kQ8_0, source, weight, kTestColumns, k);
  return multipliesRight(amxInt8Kernels, kQ8_0, k, a, stride, weight);
}

}  // namespace

bool bf16TilesWork() {
  static const bool work = [] {
    const CpuFeatures features = detectCpu();
    return features.amxBf16 && features.avx512bf16 && askForTiles() && multipliesBf16Right();
  }();
  return work;
}

bool int8TilesWork() {
  static const bool work = [] { return detectCpu().amxInt8 && askForTiles() && multipliesInt8Right(); }();
  return work;
}

#else

bool bf16TilesWork() { return false; }
bool int8TilesWork() { return false; }

#endif

#if defined(__x86_64__)
namespace {

/// Those of a format's kernels for panels that are quicker than the usual ones, of the level that
/// selectMatrixKernels(features) has; else nullptr.
const ManyRowKernels* panelsOf(const CpuFeatures& features, int format, bool exact) {
  const auto choose = [=](const ManyRowKernels& fused, const ManyRowKernels& same) {
    if (!exact && fused.multiplies(format)) return &fused;
    return same.multiplies(format) ? &same : nullptr;
  };
  if (features.avx512 && features.avx512vnni) return choose(fusedPanelAvx512Kernels, panelAvx512Kernels);
  if (features.avxvnni) return choose(fusedPanelAvxvnniKernels, panelAvxvnniKernels);
  if (features.avxvnniTwin) return choose(fusedPanelAvxvnniEvexKernels, panelAvxvnniEvexKernels);
  if (features.avx2) return choose(fusedPanelAvx2Kernels, panelAvx2Kernels);
  return nullptr;
}

}  // namespace
#endif

const ManyRowKernels* selectManyRowKernels(const CpuFeatures& features, int format, bool exact) {
  const auto suits = [=](const ManyRowKernels& kernels) {
    return (kernels.exact || !exact) && kernels.multiplies(format);
  };
#if defined(CLAVIS_AMX)
  // Where both will do, bf16 is quicker: it has no sums per block to take to floats (docs/kernels.md).
  if (features.amxBf16 && bf16TilesWork() && suits(amxBf16Kernels)) return &amxBf16Kernels;
  if (features.amxInt8 && int8TilesWork() && suits(amxInt8Kernels)) return &amxInt8Kernels;
  if (features.amxModel && suits(amxBf16ModelKernels)) return &amxBf16ModelKernels;
  if (features.amxModel && suits(amxInt8ModelKernels)) return &amxInt8ModelKernels;
#endif
#if defined(__x86_64__)
  if (const ManyRowKernels* panels = panelsOf(features, format, exact)) return panels;
  if (features.avx512bf16 && suits(pairsAvx512Kernels)) return &pairsAvx512Kernels;
  if (features.avx512vnni && suits(fusedAvx512Kernels)) return &fusedAvx512Kernels;
  if (features.avx2 && suits(fusedAvx2Kernels)) return &fusedAvx2Kernels;
#endif
  (void)features;
  (void)suits;
  return nullptr;
}

}  // namespace clavis
