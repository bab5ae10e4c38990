// The functions of docs/numerics.md, sixteen lanes at a time. Every operation is rounded on its own; nothing is fused.
// Source of the coefficients: Cephes expf, sinf, cosf (Moshier). Included like lanes.h.

/// e^x in each lane: NaN stays NaN, above 88.72283 infinity, below −87.33654 zero.
inline F exp(F x) {
  const I n = toInt(x * splat(1.44269504f));
  const F whole = toFloat(n);
  const F r = (x - whole * splat(0.693359375f)) - whole * splat(-2.12194440e-4f);
  F p = splat(1.9875691500e-4f);
  p = p * r + splat(1.3981999507e-3f);
  p = p * r + splat(8.3334519073e-3f);
  p = p * r + splat(4.1665795894e-2f);
  p = p * r + splat(1.6666665459e-1f);
  p = p * r + splat(5.0000001201e-1f);
  F y = (p * (r * r) + r) + splat(1.0f);
  // 2^n in two factors, because n reaches 128, one more than the exponent field holds.
  const I half = halved(n), bias = splatInt(127);
  y = y * asExponent(half + bias);
  y = y * asExponent((n - half) + bias);
  y = above(x, splat(88.72283f), splat(INFINITY), y);
  return above(splat(-87.33654f), x, splat(0.0f), y);
}

/// x / (1 + e^−x) in each lane.
inline F silu(F x) { return x / (splat(1.0f) + exp(splat(-0.0f) - x)); }

/// 1 − 2 / (e^2x + 1) in each lane.
inline F tanh(F x) {
  return splat(1.0f) - splat(2.0f) / (exp(splat(2.0f) * x) + splat(1.0f));
}

/// The tanh form of gelu in each lane. Source: Hendrycks and Gimpel 2016, arXiv:1606.08415.
inline F gelu(F x) {
  const F cube = (splat(0.044715f) * x) * (x * x);
  const F inner = splat(0.79788456f) * (x + cube);
  return (splat(0.5f) * x) * (splat(1.0f) + tanh(inner));
}

/// cap · tanh(x / cap) in each lane.
inline F softcap(F x, F cap) { return cap * tanh(x / cap); }

/// sum16 of n values. A last group is filled up with +0, which changes no lane: a lane that starts at +0 never
/// becomes −0.
inline float sum16(const float* x, size_t n) {
  F sum = splat(0.0f);
  size_t i = 0;
  for (; i + 16 <= n; i += 16) sum = sum + load(x + i);
  if (i < n) sum = sum + loadPart(x + i, n - i);
  return join(sum);
}

/// sum16 of x².
inline float sumSquares16(const float* x, size_t n) {
  F sum = splat(0.0f);
  size_t i = 0;
  for (; i + 16 <= n; i += 16) {
    const F v = load(x + i);
    sum = sum + v * v;
  }
  if (i < n) {
    const F v = loadPart(x + i, n - i);
    sum = sum + v * v;
  }
  return join(sum);
}

/// y[i] = function(i, lanes of a[i]), n values.
template <typename Function>
inline void mapRow(float* y, const float* a, size_t n, Function function) {
  size_t i = 0;
  for (; i + 16 <= n; i += 16) store(y + i, function(load(a + i)));
  if (i < n) storePart(y + i, function(loadPart(a + i, n - i)), n - i);
}

/// y[i] = function(lanes of a[i], lanes of b[i]), n values.
template <typename Function>
inline void mapRows(float* y, const float* a, const float* b, size_t n, Function function) {
  size_t i = 0;
  for (; i + 16 <= n; i += 16) store(y + i, function(load(a + i), load(b + i)));
  if (i < n) storePart(y + i, function(loadPart(a + i, n - i), loadPart(b + i, n - i)), n - i);
}
