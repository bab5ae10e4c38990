// The matrix kernels of every level, and what they share.
#pragma once

#include <cstddef>
#include <cstdint>

#include "matrix.h"

namespace clavis {

extern const MatrixKernels portableKernels;
#if defined(__x86_64__)
extern const MatrixKernels ssse3Kernels;
extern const MatrixKernels avx2Kernels;
extern const MatrixKernels avxvnniKernels;
extern const MatrixKernels avxvnniEvexKernels;
extern const MatrixKernels avx512vnniKernels;
#elif defined(__aarch64__)
extern const MatrixKernels neonKernels;
extern const MatrixKernels dotprodKernels;
extern const MatrixKernels i8mmKernels;
#endif

/// As MatrixKernels::gatherRow, of all levels: a row of a table is read rarely, and in pieces.
void gatherRow(int format, const uint8_t* weight, size_t n, size_t width, size_t row, float* out);

/// As MatrixKernels::scratchBytes: these kernels unpack in registers.
inline size_t noScratch(int, size_t) { return 0; }

}  // namespace clavis
