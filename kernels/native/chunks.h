// How large the chunks are that threads claim. Neither results nor bits follow it.
#pragma once

#include <algorithm>
#include <cstddef>

#include "program.h"

namespace clavis {

inline size_t divideUp(size_t a, size_t b) { return (a + b - 1) / b; }
inline size_t to64(size_t bytes) { return (bytes + 63) & ~size_t{63}; }

/// Weight bytes in one chunk of a product with few rows: about 12 µs of reading. Half as many, 1B Q4_0 generated 3 % fewer
/// tokens: each chunk begins to prefetch anew.
constexpr size_t chunkBytes = 196608;

/// Packed bytes of the columns of a call's matrix that lie interleaved.
inline size_t groupBytes(const Call& call) {
  const MatrixKernels& matrix = *call.program.matrix;
  return std::max<size_t>(1, matrix.packedBytes(call.weight(8).format, matrix.group, call.size(10)));
}

/// Groups of columns in one chunk of a product over `rows` rows, at most.
inline size_t groupsPerChunk(const Call& call, size_t rows) {
  // More rows are more work for the same bytes; beyond eight a chunk is long enough as it is.
  return std::max<size_t>(1, chunkBytes / (groupBytes(call) * std::min<size_t>(rows, 8)));
}

}  // namespace clavis
