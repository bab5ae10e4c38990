#include "attention-fast.h"

namespace clavis {

const FastAttention* selectFastAttention(const CpuFeatures& features, size_t headWidth) {
  // Whole vectors; all models that prompts are long for have such heads.
  if (headWidth % 16 != 0) return nullptr;
#if defined(CLAVIS_AMX)
  if (features.amxBf16 && bf16TilesWork()) return &amxAttention;
  if (features.amxModel) return &amxModelAttention;
#endif
#if defined(__x86_64__)
  if (features.avx512bf16) return &pairsAvx512Attention;
  if (features.avx512) return &fusedAvx512Attention;
  if (features.avx2) return &fusedAvx2Attention;
#endif
  (void)features;
  return nullptr;
}

bool fastAttentionTakes(const Call& call) {
  const float scale = call.real(13);
  return scale > 1e-4f && scale < 1e2f;
}

}  // namespace clavis
