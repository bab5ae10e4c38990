#include "matmul.h"

namespace clavis {

const MatrixKernels* selectMatrixKernels(const CpuFeatures& features) {
#if defined(__x86_64__)
  if (features.avx512 && features.avx512vnni) return &avx512vnniKernels;
  if (features.avx2) return &avx2Kernels;
#endif
  (void)features;
  return &portableKernels;
}

}  // namespace clavis
