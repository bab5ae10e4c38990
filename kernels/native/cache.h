// Writing to and reading from the key-value cache (its layout: program.h). Included like lanes.h.

/// n f32 values as binary16, to nearest even; finite values too large become ±65,504.
inline void toHalves(uint16_t* out, const float* x, size_t n) {
  size_t i = 0;
#if CLAVIS_LANES == 16
  const __m512 most = _mm512_set1_ps(65504.0f), least = _mm512_set1_ps(-65504.0f);
  for (; i + 16 <= n; i += 16) {
    const __m512 v = _mm512_loadu_ps(x + i);
    // The second operand is the result where one is NaN.
    const __m512 bounded = _mm512_min_ps(most, _mm512_max_ps(least, v));
    const __mmask16 infinite = _mm512_cmp_ps_mask(_mm512_abs_ps(v), _mm512_set1_ps(INFINITY), _CMP_EQ_OQ);
    const __m256i halves = _mm512_cvtps_ph(_mm512_mask_blend_ps(infinite, bounded, v), _MM_FROUND_TO_NEAREST_INT);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + i), halves);
  }
#elif CLAVIS_LANES == 8
  const __m256 most = _mm256_set1_ps(65504.0f), least = _mm256_set1_ps(-65504.0f);
  for (; i + 8 <= n; i += 8) {
    const __m256 v = _mm256_loadu_ps(x + i);
    // The second operand is the result where one is NaN.
    const __m256 bounded = _mm256_min_ps(most, _mm256_max_ps(least, v));
    const __m256 infinite = _mm256_cmp_ps(rAbs(v), _mm256_set1_ps(INFINITY), _CMP_EQ_OQ);
    const __m128i halves = _mm256_cvtps_ph(_mm256_blendv_ps(bounded, v, infinite), _MM_FROUND_TO_NEAREST_INT);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + i), halves);
  }
#endif
  for (; i < n; i++) out[i] = toHalf(x[i]);
}

/// n values (32 divides n) as codes and a scale per 32, as activations are quantised (docs/numerics.md).
inline void toCodes(int8_t* codes, float* scales, const float* x, size_t n) {
  for (size_t i = 0; i < n; i += 32) {
    const F low = load(x + i), high = load(x + i + 16);
    const float amax = largest(larger(magnitude(low), magnitude(high)));
    // NaN or infinity in any lane makes this NaN; `largest` alone may miss a NaN.
    const float zero = join(low * splat(0.0f) + high * splat(0.0f));
    float scale = amax / 127.0f, inverse = 127.0f / amax;
    if (zero != 0) {
      scale = NAN;
      inverse = 0;
    } else if (amax < 1e-30f) {
      scale = inverse = 0;
    }
    scales[i / 32] = scale;
    alignas(64) float rounded[32];
    store(rounded, toFloat(toInt(low * splat(inverse))));
    store(rounded + 16, toFloat(toInt(high * splat(inverse))));
    for (size_t j = 0; j < 32; j++) codes[i + j] = inverse == 0 ? 0 : static_cast<int8_t>(rounded[j]);
  }
}

/// Writes keys a and values b of tokens [first, last).
void kvStore(const Call& call, size_t first, size_t last, uint8_t* scratch) {
  const size_t layer = call.size(8), n = call.size(9), heads = call.size(10);
  const Cache& cache = call.program.cache;
  const Step& step = call.program.step;
  for (size_t row = first; row < last; row++) {
    const size_t position = static_cast<size_t>(step.positions[row]);
    const size_t page = step.page(row, position), within = position % pagePositions;
    for (size_t head = 0; head < heads; head++) {
      const float* key = call.aF32(row) + head * n;
      const float* value = call.bF32(row) + head * n;
      uint8_t* keys = cache.keys(layer, page, head);
      uint8_t* values = cache.values(layer, page, head);
      if (cache.quantized) {
        int8_t* codes = reinterpret_cast<int8_t*>(scratch);
        float* scales = reinterpret_cast<float*>(scratch + n);
        toCodes(codes, scales, key, n);
        float* keyScales = reinterpret_cast<float*>(keys + n * pagePositions);
        for (size_t e = 0; e < n; e++) keys[e * pagePositions + within] = static_cast<uint8_t>(codes[e]);
        for (size_t b = 0; b < n / 32; b++) keyScales[b * pagePositions + within] = scales[b];
        uint8_t* line = values + within * (n + n / 32 * sizeof(float));
        toCodes(reinterpret_cast<int8_t*>(line), reinterpret_cast<float*>(line + n), value, n);
      } else {
        uint16_t* halves = reinterpret_cast<uint16_t*>(scratch);
        toHalves(halves, key, n);
        uint16_t* column = reinterpret_cast<uint16_t*>(keys) + within;
        for (size_t e = 0; e < n; e++) column[e * pagePositions] = halves[e];
        toHalves(reinterpret_cast<uint16_t*>(values) + within * n, value, n);
      }
    }
  }
}

/// One head's keys of a page as f32: panel[e · 32 + position].
inline void loadKeys(float* panel, const uint8_t* keys, size_t n, bool quantized) {
  if (quantized) {
    const int8_t* codes = reinterpret_cast<const int8_t*>(keys);
    const float* scales = reinterpret_cast<const float*>(keys + n * pagePositions);
    for (size_t b = 0; b < n / 32; b++, scales += pagePositions) {
      const F low = load(scales), high = load(scales + 16);
      for (size_t e = 0; e < 32; e++, codes += pagePositions, panel += pagePositions) {
        store(panel, low * fromCodes(codes));
        store(panel + 16, high * fromCodes(codes + 16));
      }
    }
    return;
  }
  const uint16_t* halves = reinterpret_cast<const uint16_t*>(keys);
  for (size_t i = 0; i < n * pagePositions; i += 16) store(panel + i, fromHalves(halves + i));
}

/// Positions [from, to) of one head's values of a page as f32: panel[position · stride + e]; stride is n, rounded
/// up to 16. What lies behind the n values is not written.
inline void loadValues(float* panel, size_t stride, const uint8_t* values, size_t n, size_t from, size_t to,
                       bool quantized) {
  for (size_t t = from; t < to; t++) {
    float* out = panel + t * stride;
    if (quantized) {
      const uint8_t* line = values + t * (n + n / 32 * sizeof(float));
      const int8_t* codes = reinterpret_cast<const int8_t*>(line);
      const float* scales = reinterpret_cast<const float*>(line + n);
      for (size_t e = 0; e < n; e += 16) store(out + e, splat(scales[e / 32]) * fromCodes(codes + e));
      continue;
    }
    const uint16_t* halves = reinterpret_cast<const uint16_t*>(values) + t * n;
    size_t e = 0;
    for (; e + 16 <= n; e += 16) store(out + e, fromHalves(halves + e));
    if (e < n) {
      uint16_t rest[16] = {};
      std::memcpy(rest, halves + e, (n - e) * sizeof(uint16_t));
      store(out + e, fromHalves(rest));
    }
  }
}
