// Row kernels for what every processor of the architecture has: SSE2 or NEON.
#include <cmath>
#include <cstdint>
#include <cstring>

#include "float16.h"
#include "rows-levels.h"

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#define CLAVIS_LANES 4
#define CLAVIS_LEVEL "baseline"

namespace clavis {

#include "rows-level.h"

const RowKernels& baselineRowKernels() { return levelKernels; }

}  // namespace clavis
