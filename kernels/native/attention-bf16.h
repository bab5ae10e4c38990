// Factors of bf16 for attention-blocks.h: two neighbours along the inner dimension in a lane. Included after it, with
// AVX512-BF16 allowed.

/// Of two vectors of sixteen bf16 in one: the first of either, the second of either, …
struct alignas(64) PairOrder {
  uint16_t at[32];
  constexpr PairOrder() : at() {
    for (int i = 0; i < 32; i++) at[i] = uint16_t(i / 2 + i % 2 * 16);
  }
};
constexpr PairOrder kPairOrder;

struct BfloatFactors {
  using Value = uint16_t;
  static constexpr size_t pair = 2;

  /// Sixteen columns' values, first[i] beside second[i].
  static void put(Value* to, F first, F second) {
    const __m512i order = _mm512_load_si512(kPairOrder.at);
    const __m512i both = (__m512i)_mm512_cvtne2ps_pbh(second.a, first.a);
    _mm512_storeu_si512(to, _mm512_permutexvar_epi16(order, both));
  }

  /// 32 values of a line.
  static void putRow(Value* to, F first, F second) {
    _mm512_storeu_si512(to, (__m512i)_mm512_cvtne2ps_pbh(second.a, first.a));
  }
};
