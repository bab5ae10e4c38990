// What the products with tiles share. Included inside their namespaces after formats-unpack.h; so no include guard.

constexpr size_t divideUp(size_t a, size_t b) { return (a + b - 1) / b; }

template <class T>
T* atRow(T* base, size_t row, size_t stride) {
  return reinterpret_cast<T*>(reinterpret_cast<uintptr_t>(base) + row * stride);
}

/// Takes `count` ≤ 16 sums of each of `rows` rows, `stride` apart, over to outputs: with bias and residual where a
/// product begins, or to what is there.
TARGET static void finish(const ManyRowOutput& to, bool begins, size_t row, size_t rows, size_t column, size_t count,
                          const float* sums, size_t stride) {
  const __mmask16 present = __mmask16((1u << count) - 1);
  for (size_t r = 0; r < rows; ++r) {
    float* out = atRow(to.out, row + r, to.outStride) + column;
    Floats value = _mm512_load_ps(sums + stride * r);
    if (!begins) {
      value = Vec::add(value, _mm512_maskz_loadu_ps(present, out));
    } else {
      if (to.bias) value = Vec::add(value, _mm512_maskz_loadu_ps(present, to.bias + column));
      if (to.residual) {
        value = Vec::add(value, _mm512_maskz_loadu_ps(present, atRow(to.residual, row + r, to.residualStride) + column));
      }
    }
    _mm512_mask_storeu_ps(out, present, value);
  }
}
