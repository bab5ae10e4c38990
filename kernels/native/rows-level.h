// The operations of rows.h at one level of instructions, within its target attribute.
// Each rows-*.cc includes this once, with CLAVIS_LANES and CLAVIS_LEVEL (a string) defined, after the headers below.
// Everything is local to that file, so that the linker cannot take one level's code for another's.

namespace {

#include "lanes.h"

#include "math.h"

#include "norms.h"

#include "rope.h"

#include "elementwise.h"

#include "experts.h"

#include "cache.h"

#include "attention.h"

constexpr RowKernels levelKernels = {
    .name = CLAVIS_LEVEL,
    .embed = embed,
    .addPosition = addPosition,
    .ropeTable = ropeTable,
    .rmsNorm = rmsNorm,
    .layerNorm = layerNorm,
    .quantize = quantize,
    .rope = rope,
    .kvStore = kvStore,
    .add = add,
    .gated = gated,
    .activate = activate,
    .gatherRows = gatherRows,
    .route = route,
    .expertSum = expertSum,
    .softcap = softcapRow,
    .attention = attention,
};

}  // namespace
