// Products for steps of many rows: those that fast mode takes round otherwise than docs/numerics.md says, others have
// its bits and run in both modes.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cpu.h"

// Compilers before gcc 11 and clang 12 do not know the tiles.
#if defined(__x86_64__) && (defined(__clang__) ? __clang_major__ >= 12 : __GNUC__ >= 11)
#define CLAVIS_AMX 1
#endif

namespace clavis {

/// The products of many rows of one level of instructions. Weights are packed as for MatrixKernels, activations are the
/// same rows; results do not depend on how columns are cut.
struct ManyRowKernels {
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

  /// Whether results have the bits of docs/numerics.md; else they are within its bounds, "Fast mode".
  bool exact = false;
};

/// Where outputs go, and what is added to them: as MatrixKernels::matmulTile has it.
struct ManyRowOutput {
  float* out;
  size_t outStride;
  const float* bias;
  const float* residual;
  size_t residualStride;
};

/// The quickest kernels for many rows of a format, where these features have such that are quicker than
/// selectMatrixKernels(features); else nullptr. Those that use tiles are chosen only where these work.
///
/// exact  only those with the bits of docs/numerics.md
const ManyRowKernels* selectManyRowKernels(const CpuFeatures& features, int format, bool exact);

/// Whether the processor has tiles for bf16, or for whole numbers, the system lets this process use them, and a small
/// product comes out right. Asked once; call them before threads are started, which must find the leave already given.
bool bf16TilesWork();
bool int8TilesWork();

#if defined(__x86_64__)
/// Weights of floats, products fused with their sums; and of BF16, sums of two products (AVX512-BF16).
extern const ManyRowKernels fusedAvx2Kernels;
extern const ManyRowKernels fusedAvx512Kernels;
extern const ManyRowKernels pairsAvx512Kernels;
/// Weights of integer formats, unpacked once for all rows; the fused ones round otherwise.
extern const ManyRowKernels panelAvx2Kernels, fusedPanelAvx2Kernels;
extern const ManyRowKernels panelAvxvnniKernels, fusedPanelAvxvnniKernels;
extern const ManyRowKernels panelAvxvnniEvexKernels, fusedPanelAvxvnniEvexKernels;
extern const ManyRowKernels panelAvx512Kernels, fusedPanelAvx512Kernels;
#endif

#if defined(CLAVIS_AMX)
extern const ManyRowKernels amxBf16Kernels;
extern const ManyRowKernels amxInt8Kernels;
/// The same with the tiles' instructions modelled in C++ (tiles.h), for tests on processors without them.
extern const ManyRowKernels amxBf16ModelKernels;
extern const ManyRowKernels amxInt8ModelKernels;
#endif

}  // namespace clavis
