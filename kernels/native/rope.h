// Included like lanes.h.

/// Pairs (cos, sin) of position · frequency for tokens [first, last), times the magnitude scale.
void ropeTable(const Call& call, size_t first, size_t last, uint8_t*) {
  const double* frequencies = reinterpret_cast<const double*>(call.weight(8).data);
  const size_t pairs = call.size(9) / 2;
  const float magnitude = call.real(10);
  for (size_t row = first; row < last; row++) {
    const double position = call.program.step.positions[row];
    float* out = call.outF32(row);
    for (size_t i = 0; i < pairs; i++) {
      const double angle = position * frequencies[i];
      // To the nearest whole number, ties to even: below 2^51, adding 1.5 · 2^52 leaves no bits behind the point.
      const double q = (angle * 0.6366197723675814 + 0x1.8p52) - 0x1.8p52;  // 2/π
      // π/2 in two parts, the first of 33 bits, so that q times it is exact.
      const float r = static_cast<float>(angle - q * 1.5707963267341256 - q * 6.077100506506192e-11);
      const float z = r * r;
      const float sine = (((-1.9515295891e-4f * z + 8.3321608736e-3f) * z - 1.6666654611e-1f) * z) * r + r;
      const float cosine =
          (((2.443315711809948e-5f * z - 1.388731625493765e-3f) * z + 4.166664568298827e-2f) * (z * z) - 0.5f * z) +
          1.0f;
      const int quadrant = static_cast<int>(static_cast<int64_t>(q) & 3);
      float c = (quadrant & 1) != 0 ? sine : cosine;
      float s = (quadrant & 1) != 0 ? cosine : sine;
      if (quadrant == 1 || quadrant == 2) c = -c;
      if (quadrant >= 2) s = -s;
      out[2 * i] = c * magnitude;
      out[2 * i + 1] = s * magnitude;
    }
  }
}

/// out = a rotated by the table b, for rows [first, last); out may be a.
void rope(const Call& call, size_t first, size_t last, uint8_t*) {
  const size_t n = call.size(8), heads = call.size(9), rotated = call.size(10);
  const bool adjacent = call.word(11) == 0;
  for (size_t row = first; row < last; row++) {
    const float* table = call.bF32(row);
    const float* x = call.aF32(row);
    float* y = call.outF32(row);
    for (size_t head = 0; head < heads; head++, x += n, y += n) {
      // The values of pair i lie at i · step and `apart` behind it.
      const size_t pairs = rotated / 2, step = adjacent ? 2 : 1, apart = adjacent ? 1 : pairs;
      for (size_t i = 0; i < pairs; i++) {
        const float cos = table[2 * i], sin = table[2 * i + 1];
        const float one = x[i * step], other = x[i * step + apart];
        y[i * step] = one * cos - other * sin;
        y[i * step + apart] = one * sin + other * cos;
      }
      if (y != x) std::memcpy(y + rotated, x + rotated, (n - rotated) * sizeof(float));
    }
  }
}
