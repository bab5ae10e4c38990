// The products of a mixture of experts: out[t · used + j] = a × weight[expert j of token t]. Tokens are put in the order
// of their experts first, so that the weights of an expert are read once for all its tokens, and those of experts that
// no token chose not at all.
#pragma once

#include <cstddef>
#include <cstdint>

#include "program.h"

namespace clavis {

/// Bytes of Program::prepared that the order of a call's choices takes.
size_t expertOrderBytes(const Call& call, size_t tokens);

/// Orders the call's choices by expert, into Program::prepared. One thread does it, before the first chunk.
void orderByExpert(const Call& call);

/// Into how many chunks the call is cut, once orderByExpert has run.
size_t expertChunks(const Call& call);

/// Columns of one expert's product for all tokens that chose it. @param scratch  expertScratch(call) bytes
void expertChunk(const Call& call, size_t chunk, uint8_t* scratch);

size_t expertScratch(const Call& call);

}  // namespace clavis
