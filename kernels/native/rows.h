// Every operation of the tape but the products with matrices, at one level of instructions.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cpu.h"
#include "program.h"

namespace clavis {

/// Runs rows [first, last) of a call (with its `repeat`); scratch belongs to this thread alone.
using RowKernel = void (*)(const Call& call, size_t first, size_t last, uint8_t* scratch);

struct RowKernels {
  const char* name;
  RowKernel embed, addPosition, ropeTable, rmsNorm, layerNorm, quantize, rope, kvStore, add, gated, activate,
      gatherRows, route, expertSum;
  /// Values [from, to) of one row; 16 divides `from`.
  void (*softcap)(const Call& call, size_t row, size_t from, size_t to);
  /// Rows [first, last) of query heads [fromHead, toHead), which share a key head.
  void (*attention)(const Call& call, size_t first, size_t last, size_t kvHead, size_t fromHead, size_t toHead,
                    uint8_t* scratch, size_t scratchBytes);
};

/// Rows in one chunk of attention: they share every key and value that is read.
constexpr size_t attentionRows = 16;

/// Bytes of scratch with which attention can do one row that sees `positions` positions, `group` heads at a time.
size_t attentionScratch(size_t headWidth, size_t group, size_t positions);

const RowKernels* selectRowKernels(const CpuFeatures& features);

}  // namespace clavis
