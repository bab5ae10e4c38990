// A model as the addon holds it: tape, weights, arena and cache; and the step that it is at.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "matmul-many.h"
#include "matrix.h"

namespace clavis {

struct RowKernels;
struct FastAttention;

/// A weight of the tape: a packed matrix, f32 values (norms, biases) or f64 frequencies.
struct Weight {
  uint8_t* data = nullptr;
  int format = 0;  // GGUF type number of a matrix
  size_t rows = 0;
  size_t width = 0;
  size_t experts = 1;
  size_t expertBytes = 0;
  const ManyRowKernels* manyRows = nullptr;  // for steps of many rows, where the mode and the machine have such
};

/// Positions in one page of the cache, as in src/plan/plan.ts.
constexpr size_t pagePositions = 32;

/// The key-value cache: [layer][page][keys, then values][head], a block each of 32 positions of n values.
///
/// keys    f16: [n][32 positions] halves. q8: [n][32] codes (i8), then [n/32][32] scales (f32). Positions are
///         neighbours, so that a vector holds as many dot products at once and none needs a sum across its lanes.
/// values  f16: [32][n] halves. q8: per position n codes, then n/32 scales.
struct Cache {
  uint8_t* data = nullptr;
  bool quantized = false;
  size_t heads = 0;
  size_t headWidth = 0;
  size_t pages = 0;
  size_t blockBytes = 0;  // of one head's keys (or values) in one page of one layer; a multiple of 4

  uint8_t* keys(size_t layer, size_t page, size_t head) const {
    return data + ((layer * pages + page) * 2 * heads + head) * blockBytes;
  }
  uint8_t* values(size_t layer, size_t page, size_t head) const {
    return keys(layer, page, head) + heads * blockBytes;
  }
};

/// One step's tokens: Batch of src/devices/device.ts, page tables one after another.
struct Step {
  const int32_t* tokens = nullptr;
  const int32_t* positions = nullptr;
  const int32_t* slots = nullptr;
  const int32_t* pageTables = nullptr;
  const int32_t* wanted = nullptr;
  size_t tokenCount = 0;
  size_t wantedCount = 0;
  size_t pagesPerSequence = 0;

  size_t page(size_t token, size_t position) const {
    const size_t slot = static_cast<size_t>(slots[token]);
    return static_cast<size_t>(pageTables[slot * pagesPerSequence + position / pagePositions]);
  }

  /// The first position that a token sees through a window of so many; 0 is no window.
  size_t visibleFrom(size_t token, size_t window) const {
    const size_t seen = static_cast<size_t>(positions[token]) + 1;
    return window > 0 && seen > window ? seen - window : 0;
  }
};

/// Plain pointers only, owned by addon.cc: kernels are compiled for instructions that not every processor has, and
/// no function that the linker may share between files (a template's, say) must be compiled with them.
struct Program {
  const MatrixKernels* matrix = nullptr;
  const RowKernels* rows = nullptr;
  const FastAttention* fastAttention = nullptr;  // for steps of many rows, in fast mode and where there is such
  unsigned threads = 1;
  const int32_t* tape = nullptr;
  size_t calls = 0;
  const Weight* weights = nullptr;
  Cache cache;
  Step step;
  uint8_t* arena = nullptr;
  uint8_t* prepared = nullptr;  // what one product prepares for all threads: tapePrepared() bytes
  uint8_t* scratch = nullptr;
  size_t scratchBytes = 0;  // of one thread; a multiple of 64

  uint8_t* scratchOf(unsigned thread) const { return scratch + thread * scratchBytes; }
};

constexpr size_t tapeWords = 16;

/// One call of the tape; the words are named in src/plan/tape.ts.
struct Call {
  const Program& program;
  const int32_t* words;

  int32_t word(size_t index) const { return words[index]; }
  size_t size(size_t index) const { return static_cast<size_t>(words[index]); }
  float real(size_t index) const {
    float value;
    std::memcpy(&value, words + index, sizeof value);
    return value;
  }
  int32_t op() const { return words[0]; }
  /// Rows that the call runs over, before any `repeat`.
  size_t rows() const { return words[1] == 0 ? program.step.tokenCount : program.step.wantedCount; }

  uint8_t* out(size_t row) const { return at(2, row); }
  uint8_t* a(size_t row) const { return at(4, row); }
  uint8_t* b(size_t row) const { return at(6, row); }
  float* outF32(size_t row) const { return reinterpret_cast<float*>(out(row)); }
  const float* aF32(size_t row) const { return reinterpret_cast<const float*>(a(row)); }
  const float* bF32(size_t row) const { return reinterpret_cast<const float*>(b(row)); }
  bool hasB() const { return words[6] >= 0; }
  size_t outStride() const { return size(3); }
  size_t aStride() const { return size(5); }
  size_t bStride() const { return size(7); }

  const Weight& weight(size_t index) const { return program.weights[size(index)]; }
  /// The f32 values of the weight that a word names; nullptr where it names none.
  const float* vector(size_t index) const {
    return words[index] < 0 ? nullptr : reinterpret_cast<const float*>(weight(index).data);
  }

 private:
  uint8_t* at(size_t index, size_t row) const {
    return program.arena + static_cast<uint32_t>(words[index]) + row * static_cast<size_t>(words[index + 1]);
  }
};

}  // namespace clavis
