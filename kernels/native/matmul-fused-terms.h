// The terms of matmul-fused.h for weights that become f32. Included after it, with how many sums the registers hold:
// kFusedColumns × kFusedRows.

/// Sums in f32 of weights that become f32.
template <int format>
struct FusedTerms {
  static constexpr int id = format, mostColumns = kFusedColumns, mostRows = kFusedRows;
  static constexpr size_t step = Vec::lanes, bytes = floatBytes(format), valueBytes = 4;
  // What takes instructions to make is kept for all of the others.
  static constexpr bool holdsWeights = true;
  using Held = Vec::Floats;
  FUSED Vec::Floats weights(const uint8_t* row, size_t at) {
    const uint8_t* from = row + bytes * at;
    if constexpr (format == kF32) return Vec::loadFloats(from);
    if constexpr (format == kF16) return Vec::halves(from);
    return Vec::fromBits(Vec::shiftLeft(Vec::loadShorts(from), 16));
  }
  FUSED void prepare(const uint8_t* from, uint8_t* to) { std::memcpy(to, from, 4 * step); }
  FUSED Vec::Floats activations(const uint8_t* row, size_t at) { return Vec::loadFloats(row + 4 * at); }
  FUSED Vec::Floats add(Vec::Floats sum, Vec::Floats w, Vec::Floats a) { return Vec::fusedAdd(w, a, sum); }
};
