#include "rows.h"

#include "rows-levels.h"

namespace clavis {

size_t attentionScratch(size_t headWidth, size_t group, size_t positions) {
  const size_t stride = (headWidth + 15) / 16 * 16;
  const size_t span = (positions / pagePositions + 2) * pagePositions + 16;
  return (pagePositions * stride + group * (2 * stride + span)) * sizeof(float);
}

const RowKernels* selectRowKernels(const CpuFeatures& features) {
#if defined(__x86_64__)
  if (features.avx512) return &avx512RowKernels();
  if (features.avx2) return &avx2RowKernels();
#endif
  (void)features;
  return &baselineRowKernels();
}

}  // namespace clavis
