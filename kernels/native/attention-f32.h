// Factors of f32 for attention-blocks.h, each product fused with its sum. Included after it, with CLAVIS_LANES of 16 or 8.

/// With AVX-512 sixteen sums, which hide the latency of an instruction, as more would; with AVX2, where a vector of sixteen
/// is two registers, twelve, two second factors and a first one of the sixteen.
struct Fused {
  using Value = float;
  static constexpr size_t pair = 1, depth = 1, lines = CLAVIS_LANES == 16 ? 4 : 6, columns = CLAVIS_LANES == 16 ? 4 : 1;
  using Factors = F;

  static void put(Value* to, F value, F) { store(to, value); }
  static void putRow(Value* to, F first, F second) {
    store(to, first);
    store(to + 16, second);
  }
  static F loadFactors(const Value* at) { return load(at); }
  static F spreadFactor(const Value* at) { return splat(*at); }
  static F addProducts(F sum, F x, F y) { return fusedAdd(x, y, sum); }

  static void begin() {}
  static void end() {}
  static void multiply(float* out, size_t outStride, const Value* a, size_t aStride, const Value* b, size_t panelStride,
                       size_t panels, size_t depth, bool adds) {
    multiplyVectors<Fused>(out, outStride, a, aStride, b, panelStride, panels, depth, adds);
  }
};
