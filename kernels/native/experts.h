// Mixtures of experts: which experts a token takes, and the weighted sum of what they say; their products are in
// tape.cc. Included like lanes.h.

/// y = exp(x − max) · (1 / sum16 of those), n values.
inline void softmax(float* y, const float* x, size_t n) {
  float most = x[0];
  for (size_t i = 1; i < n; i++) most = x[i] > most ? x[i] : most;
  const F top = splat(most);
  mapRow(y, x, n, [top](F v) { return exp(v - top); });
  const F inverse = splat(1.0f / sum16(y, n));
  mapRow(y, y, n, [inverse](F v) { return v * inverse; });
}

/// `used` expert ids (i32) and probabilities (f32) from n router logits, for tokens [first, last).
void route(const Call& call, size_t first, size_t last, uint8_t* scratch) {
  const size_t n = call.size(8), used = call.size(9);
  const bool normalize = call.word(10) != 0;
  float* p = reinterpret_cast<float*>(scratch);
  for (size_t row = first; row < last; row++) {
    int32_t* ids = reinterpret_cast<int32_t*>(call.out(row));
    float* chosen = reinterpret_cast<float*>(ids + used);
    softmax(p, call.aF32(row), n);
    float total = 0;
    for (size_t j = 0; j < used; j++) {
      // Those already taken hold −1; of equals, and of NaN, the first stays.
      size_t best = 0;
      while (best + 1 < n && p[best] == -1) best++;
      for (size_t e = best + 1; e < n; e++) best = p[e] > p[best] ? e : best;
      ids[j] = static_cast<int32_t>(best);
      chosen[j] = p[best];
      total += p[best];
      p[best] = -1;
    }
    if (!normalize) continue;
    for (size_t j = 0; j < used; j++) chosen[j] /= total;
  }
}

/// out[t] = Σ_j probability[t, j] · a[t·used + j], from +0 in the order taken, for tokens [first, last).
void expertSum(const Call& call, size_t first, size_t last, uint8_t*) {
  const size_t n = call.size(8), used = call.size(9);
  for (size_t row = first; row < last; row++) {
    const float* chosen = call.bF32(row) + used;
    float* y = call.outF32(row);
    for (size_t i = 0; i < n; i += 16) {
      const size_t count = n - i < 16 ? n - i : 16;
      F sum = splat(0.0f);
      for (size_t j = 0; j < used; j++) {
        const float* x = call.aF32(row * used + j) + i;
        sum = sum + splat(chosen[j]) * (count == 16 ? load(x) : loadPart(x, count));
      }
      if (count == 16) store(y + i, sum);
      else storePart(y + i, sum, count);
    }
  }
}
