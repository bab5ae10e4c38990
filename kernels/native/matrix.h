// What the interpreter of the tape (tape.cc) asks of the matrix kernels (matmul*, pack*, quantize*, gather*).
#pragma once

#include <cstddef>
#include <cstdint>

#include "cpu.h"

namespace clavis {

/// The matrix kernels of one level of instructions. `format` is a GGUF type number. No function allocates, starts
/// threads or keeps state; TypeScript has checked formats and shapes.
struct MatrixKernels {
  /// For people, e.g. "avx512vnni".
  const char* name;

  /// Rows that lie interleaved in packed form, e.g. 16. A power of two.
  uint32_t group;

  /// Bytes of rows × width packed; 0 for a format that is not packed. Row r, where `group` divides r, begins at
  /// packedBytes(format, r, width). A multiple of 64 where rows is a multiple of `group`.
  size_t (*packedBytes)(int format, size_t rows, size_t width);

  /// Packs `rows` rows of GGUF blocks from source to target (64-byte aligned). Other than at the end of a matrix,
  /// rows is a multiple of `group`; there the rows missing in the last group are filled with zeros.
  void (*packRows)(int format, const uint8_t* source, uint8_t* target, size_t rows, size_t width);

  /// Quantises n f32 values as docs/numerics.md says into q8RowBytes(n) bytes (src/plan/tape.ts), 64-byte aligned,
  /// laid out as matmulTile likes it.
  void (*quantizeRow)(const float* x, uint8_t* out, size_t n);

  /// Columns [first, last) of out[rows, n] = a[rows, k] × weight[n, k] (+ bias) (+ residual). Strides in bytes.
  ///
  /// a        q8 rows for integer formats, f32 rows for F32, F16 and BF16
  /// weight   a whole matrix packed by packRows
  /// bias     n f32 or nullptr
  /// residual rows of n f32 or nullptr; may be out
  /// first    a multiple of `group`; last: a multiple of `group`, or n
  /// scratch  scratchBytes(format, k), 64-byte aligned, of this thread alone
  void (*matmulTile)(int format, float* out, size_t outStride, const uint8_t* a, size_t aStride, size_t rows,
                     const uint8_t* weight, size_t n, size_t k, const float* bias, const float* residual,
                     size_t residualStride, size_t first, size_t last, uint8_t* scratch);

  /// Bytes of scratch that matmulTile needs for rows of k values.
  size_t (*scratchBytes)(int format, size_t k);

  /// Reads row `row` of a packed matrix [n, width] back: d · f32(scale · code) − dmin · f32(min), width f32.
  void (*gatherRow)(int format, const uint8_t* weight, size_t n, size_t width, size_t row, float* out);
};

/// The best kernels that these features allow; never nullptr.
const MatrixKernels* selectMatrixKernels(const CpuFeatures& features);

}  // namespace clavis
