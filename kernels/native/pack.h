// Weights from the order of the file to that of the kernels, the same for every level of instructions.
#pragma once

#include <cstddef>
#include <cstdint>

namespace clavis {

/// As MatrixKernels::packedBytes. Integer formats lie in groups of sixteen rows (formats.h); F32, F16 and BF16 lie row
/// after row as in the file, rounded up to 64 bytes per sixteen rows.
size_t packedBytes(int format, size_t rows, size_t width);

/// As MatrixKernels::packRows.
void packRows(int format, const uint8_t* source, uint8_t* target, size_t rows, size_t width);

}  // namespace clavis
