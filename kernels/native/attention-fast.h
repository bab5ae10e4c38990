// Attention that rounds otherwise than docs/numerics.md says: what fast mode takes where a step has many rows of a
// sequence.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cpu.h"
#include "matmul-many.h"
#include "program.h"

namespace clavis {

/// Fast attention of one level of instructions. Results are within the bounds of docs/numerics.md, "Fast mode"; a row's
/// do not depend on which rows and heads are computed together.
struct FastAttention {
  /// The last part of its kernel's name, e.g. "avx512bf16".
  const char* name;

  /// As RowKernels::attention; rows of sequences that have fewer than fastAttentionRows in the step go there.
  void (*attention)(const Call& call, size_t first, size_t last, size_t kvHead, size_t fromHead, size_t toHead,
                    uint8_t* scratch, size_t scratchBytes);

  /// Bytes of scratch for so many lines (a row's query head each) at a time.
  size_t (*scratchBytes)(size_t headWidth, size_t lines);
};

/// Fewest rows of a sequence in a step that it is quicker for.
constexpr size_t fastAttentionRows = 4;

/// Lines in one chunk: they share the keys and values, which are converted once for all of them.
constexpr size_t fastAttentionLines = 256;

/// The quickest for heads of this width; nullptr where there is none.
const FastAttention* selectFastAttention(const CpuFeatures& features, size_t headWidth);

/// Whether a call's scale is an ordinary number; others are left to the usual kernel.
bool fastAttentionTakes(const Call& call);

#if defined(__x86_64__)
extern const FastAttention fusedAvx2Attention;
extern const FastAttention fusedAvx512Attention;
extern const FastAttention pairsAvx512Attention;
#endif

#if defined(CLAVIS_AMX)
extern const FastAttention amxAttention;
extern const FastAttention amxModelAttention;
#endif

}  // namespace clavis
