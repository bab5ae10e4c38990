// Products that round otherwise than docs/numerics.md says: what fast mode takes for steps of many rows.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cpu.h"

// Compilers before gcc 11 and clang 12 do not know the tiles.
#if defined(__x86_64__) && (defined(__clang__) ? __clang_major__ >= 12 : __GNUC__ >= 11)
#define CLAVIS_AMX 1
#endif

namespace clavis {

/// The fast products of one level of instructions. Weights are packed as for MatrixKernels, activations are the same
/// rows; results are within the bounds of docs/numerics.md, "Fast mode", and do not depend on how columns are cut.
struct FastKernels {
  /// The last part of the names of their kernels, e.g. "amx".
  const char* name;

  /// Whether they multiply with weights of this GGUF type number.
  bool (*multiplies)(int format);

  /// Fewest rows of activations that they are quicker for.
  size_t fromRows;

  /// Columns in one chunk, at most; a multiple of 32. More are quicker where there is enough to share.
  size_t mostColumns;

  /// Where activations are rewritten before they are multiplied: the bytes that `rows` rows of k values then take.
  /// nullptr where matmulTile takes the rows as they are.
  size_t (*preparedBytes)(size_t rows, size_t k);

  /// Rewrites rows [first, last) of activations into `prepared`, 64-byte aligned, of preparedBytes(all rows, k). 16
  /// divides first; last is a multiple of 16, or the number of all rows.
  void (*prepareRows)(int format, const uint8_t* a, size_t aStride, size_t k, size_t first, size_t last,
                      uint8_t* prepared);

  /// As MatrixKernels::matmulTile; `a` is the prepared rows (aStride is then of no meaning), where there are such.
  void (*matmulTile)(int format, float* out, size_t outStride, const uint8_t* a, size_t aStride, size_t rows,
                     const uint8_t* weight, size_t n, size_t k, const float* bias, const float* residual,
                     size_t residualStride, size_t first, size_t last, uint8_t* scratch);

  /// As MatrixKernels::scratchBytes.
  size_t (*scratchBytes)(int format, size_t k);
};

/// Where outputs go, and what is added to them: as MatrixKernels::matmulTile has it.
struct FastOutput {
  float* out;
  size_t outStride;
  const float* bias;
  const float* residual;
  size_t residualStride;
};

/// The quickest fast kernels for a format, where these features have such that are quicker than
/// selectMatrixKernels(features); else nullptr. Those that use tiles are chosen only where tilesWork().
const FastKernels* selectFastKernels(const CpuFeatures& features, int format);

/// Whether the system lets this process use the tiles, and a small product comes out right. Asked once; call it before
/// threads are started, which must find the leave already given.
bool tilesWork();

#if defined(__x86_64__)
/// Weights of floats, products fused with their sums; and of BF16, sums of two products (AVX512-BF16).
extern const FastKernels fusedAvx2Kernels;
extern const FastKernels fusedAvx512Kernels;
extern const FastKernels pairsAvx512Kernels;
#endif

#if defined(CLAVIS_AMX)
extern const FastKernels amxKernels;
/// The same with the tiles' instructions modelled in C++ (tiles.h), for tests on processors without them.
extern const FastKernels amxModelKernels;
#endif

}  // namespace clavis
