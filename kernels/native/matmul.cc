#include "matmul.h"

namespace clavis {

const MatrixKernels* selectMatrixKernels(const CpuFeatures& features) {
#if defined(__x86_64__)
  if (features.avx512 && features.avx512vnni) return &avx512vnniKernels;
  if (features.avxvnni) return &avxvnniKernels;
  if (features.avxvnniTwin) return &avxvnniEvexKernels;
  if (features.avx2) return &avx2Kernels;
  if (features.ssse3) return &ssse3Kernels;
#elif defined(__aarch64__)
  if (features.i8mm) return &i8mmKernels;
  if (features.dotprod) return &dotprodKernels;
  if (features.neon) return &neonKernels;
#endif
  (void)features;
  return &portableKernels;
}

}  // namespace clavis
