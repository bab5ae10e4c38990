// The levels that rows.cc chooses from.
#pragma once

#include "rows.h"

namespace clavis {

const RowKernels& baselineRowKernels();
#if defined(__x86_64__)
const RowKernels& avx2RowKernels();
const RowKernels& avx512RowKernels();
#endif

}  // namespace clavis
