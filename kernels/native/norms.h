// Included like lanes.h.

/// rmsNorm of rows [first, last): each of `groups` neighbours of n values alone; f32 or q8.
void rmsNorm(const Call& call, size_t first, size_t last, uint8_t* scratch) {
  const float* weight = call.vector(8);
  const size_t n = call.size(9), groups = call.size(10);
  const bool quantized = call.word(11) != 0;
  const float eps = call.real(12);
  for (size_t row = first; row < last; row++) {
    const float* x = call.aF32(row);
    float* y = quantized ? reinterpret_cast<float*>(scratch) : call.outF32(row);
    for (size_t start = 0; start < n * groups; start += n) {
      const F r = splat(1.0f / std::sqrt(sumSquares16(x + start, n) / static_cast<float>(n) + eps));
      mapRows(y + start, x + start, weight, n, [r](F v, F w) { return (v * r) * w; });
    }
    if (quantized) call.program.matrix->quantizeRow(y, call.out(row), n * groups);
  }
}

/// layerNorm of rows [first, last); f32 or q8.
void layerNorm(const Call& call, size_t first, size_t last, uint8_t* scratch) {
  const float* weight = call.vector(8);
  const size_t n = call.size(9);
  const float* bias = call.vector(10);
  const bool quantized = call.word(11) != 0;
  const float eps = call.real(12);
  float* c = reinterpret_cast<float*>(scratch);
  for (size_t row = first; row < last; row++) {
    const float* x = call.aF32(row);
    const F mean = splat(sum16(x, n) / static_cast<float>(n));
    mapRow(c, x, n, [mean](F v) { return v - mean; });
    const F r = splat(1.0f / std::sqrt(sumSquares16(c, n) / static_cast<float>(n) + eps));
    mapRows(c, c, weight, n, [r](F v, F w) { return (v * r) * w; });
    float* y = quantized ? c : call.outF32(row);
    mapRows(y, c, bias, n, [](F v, F b) { return v + b; });
    if (quantized) call.program.matrix->quantizeRow(y, call.out(row), n);
  }
}
