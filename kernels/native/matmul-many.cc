#include "matmul-many.h"

#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "formats.h"

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

/// Whether a small product comes out right. Static memory: called once (tilesWork).
bool multipliesRight(const ManyRowKernels& kernels) {
  // Two tiles of rows, columns and k, and a part of a third each.
  constexpr size_t rows = 35, n = 37, k = 70;
  alignas(64) static float a[rows * k], out[rows * n];
  alignas(64) static uint16_t weight[48 * k];  // bf16, three groups of sixteen rows
  alignas(64) static uint8_t prepared[3 * 3 * 1024], scratch[16 * 3 * 1024];
  const auto aAt = [](size_t row, size_t i) { return float(int((row * 31 + i * 17) % 23) - 11) / 8; };
  const auto weightAt = [](size_t column, size_t i) { return float(int((column * 13 + i * 29) % 19) - 9) / 4; };
  for (size_t i = 0; i < rows * k; ++i) a[i] = aAt(i / k, i % k);
  for (size_t i = 0; i < n * k; ++i) weight[i] = uint16_t(floatToBits(weightAt(i / k, i % k)) >> 16);
  if (kernels.preparedBytes(rows, k) > sizeof prepared || kernels.scratchBytes(kBF16, k) > sizeof scratch) return false;
  const auto* activations = reinterpret_cast<const uint8_t*>(a);
  kernels.prepareRows(kBF16, activations, k * 4, k, 0, rows, prepared);
  kernels.matmulTile(kBF16, out, n * 4, prepared, 0, rows, reinterpret_cast<const uint8_t*>(weight), n, k, nullptr,
                     nullptr, 0, 0, n, scratch);
  for (size_t row = 0; row < rows; ++row) {
    for (size_t column = 0; column < n; ++column) {
      // These numbers are bf16, and their products and sums exact.
      float want = 0;
      for (size_t i = 0; i < k; ++i) want += aAt(row, i) * weightAt(column, i);
      if (out[row * n + column] != want) return false;
    }
  }
  return true;
}

}  // namespace

bool tilesWork() {
  static const bool work = [] {
    const CpuFeatures features = detectCpu();
    return features.amxBf16 && features.avx512bf16 && askForTiles() && multipliesRight(amxBf16Kernels);
  }();
  return work;
}

#else

bool tilesWork() { return false; }

#endif

const ManyRowKernels* selectManyRowKernels(const CpuFeatures& features, int format, bool exact) {
  const auto suits = [=](const ManyRowKernels& kernels) {
    return (kernels.exact || !exact) && kernels.multiplies(format);
  };
#if defined(CLAVIS_AMX)
  if (features.amxBf16 && tilesWork() && suits(amxBf16Kernels)) return &amxBf16Kernels;
  if (features.amxModel && suits(amxBf16ModelKernels)) return &amxBf16ModelKernels;
#endif
#if defined(__x86_64__)
  if (features.avx512bf16 && suits(pairsAvx512Kernels)) return &pairsAvx512Kernels;
  if (features.avx512vnni && suits(fusedAvx512Kernels)) return &fusedAvx512Kernels;
  if (features.avx2 && suits(fusedAvx2Kernels)) return &fusedAvx2Kernels;
#endif
  (void)features;
  (void)suits;
  return nullptr;
}

}  // namespace clavis
