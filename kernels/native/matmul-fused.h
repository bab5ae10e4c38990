// Products with weights of floats for fast mode: each multiplication and addition one instruction, where the contract's
// kernels (matmul-body.h) take two, and as many sums at a time as the registers hold. Included, like those, inside a
// namespace of its own after TARGET and Vec have been defined; so no include guard.
//
// Rows of activations are copied to where they do not lie a power of two apart: the ten streams that a tile reads would
// otherwise share eight lines of the first-level cache (F32, 64 rows of 2,048: 72 GOPS instead of 98).
//
// A Terms says how values are multiplied: weights(row, at) and activations(row, at) give registers of `step` values,
// add(sum, w, a) adds their products to the lanes of a sum. Sums do not depend on how many are taken together.

#define FUSED TARGET static inline __attribute__((always_inline))

/// Addresses of up to six rows.
struct RowPointers {
  const uint8_t* at[6];
};

/// Bytes from one prepared row of activations to the next: an odd number of cache lines, with room for a whole step.
template <class Terms>
constexpr size_t preparedStride(size_t k) {
  return ((k + Terms::step - 1) / Terms::step * Terms::step * Terms::valueBytes + 63) / 64 * 64 | 64;
}

template <class Terms>
static size_t preparedBytes(size_t rows, size_t k) {
  return rows * preparedStride<Terms>(k);
}

/// As ManyRowKernels::prepareRows: zeros beyond k.
template <class Terms>
TARGET static void prepareRows(int, const uint8_t* a, size_t aStride, size_t k, size_t first, size_t last,
                               uint8_t* prepared) {
  constexpr size_t stepBytes = Terms::step * Terms::valueBytes;
  for (size_t row = first; row < last; ++row) {
    const uint8_t* from = a + row * aStride;
    uint8_t* to = prepared + row * preparedStride<Terms>(k);
    const size_t whole = k / Terms::step * Terms::step;
    for (size_t at = 0; at < whole; at += Terms::step, to += stepBytes) Terms::prepare(from + 4 * at, to);
    if (whole < k) {
      uint8_t values[4 * Terms::step] = {};
      std::memcpy(values, from + 4 * whole, 4 * (k - whole));
      Terms::prepare(values, to);
    }
  }
}

template <class Terms, int W, int R>
FUSED void addTerms(Vec::Floats (&sums)[W][R], const RowPointers& weight, const RowPointers& a, size_t at) {
  typename Terms::Held held[Terms::holdsWeights ? W : R];
#pragma GCC unroll 6
  for (int i = 0; i < (Terms::holdsWeights ? W : R); ++i) {
    if constexpr (Terms::holdsWeights) held[i] = Terms::weights(weight.at[i], at);
    else held[i] = Terms::activations(a.at[i], at);
  }
#pragma GCC unroll 6
  for (int i = 0; i < (Terms::holdsWeights ? R : W); ++i) {
    const auto other = Terms::holdsWeights ? Terms::activations(a.at[i], at) : Terms::weights(weight.at[i], at);
#pragma GCC unroll 6
    for (int j = 0; j < (Terms::holdsWeights ? W : R); ++j) {
      if constexpr (Terms::holdsWeights) sums[j][i] = Terms::add(sums[j][i], held[j], other);
      else sums[i][j] = Terms::add(sums[i][j], other, held[j]);
    }
  }
}

/// W columns × R rows.
template <class Terms, int W, int R>
TARGET static void fusedTile(const ManyRowOutput& to, const RowPointers& weight, const RowPointers& a, size_t row,
                             size_t column, size_t k) {
  Vec::Floats sums[W][R];
#pragma GCC unroll 6
  for (int w = 0; w < W; ++w) {
#pragma GCC unroll 6
    for (int r = 0; r < R; ++r) sums[w][r] = Vec::splat(0.0f);
  }
  const size_t whole = k / Terms::step * Terms::step;
  for (size_t at = 0; at < whole; at += Terms::step) addTerms<Terms, W, R>(sums, weight, a, at);
  if (whole < k) {
    alignas(64) uint8_t weights[W][Terms::bytes * Terms::step] = {};
    RowPointers lastWeights, lastValues;
    for (int w = 0; w < W; ++w) {
      std::memcpy(weights[w], weight.at[w] + Terms::bytes * whole, Terms::bytes * (k - whole));
      lastWeights.at[w] = weights[w];
    }
    for (int r = 0; r < R; ++r) lastValues.at[r] = a.at[r] + Terms::valueBytes * whole;
    addTerms<Terms, W, R>(sums, lastWeights, lastValues, 0);
  }
  // Unrolled, or the sums would have addresses, and so be kept in memory.
  float joined[R][W];
#pragma GCC unroll 6
  for (int w = 0; w < W; ++w) {
#pragma GCC unroll 6
    for (int r = 0; r < R; ++r) joined[r][w] = sumOf(sums[w][r]);
  }
  for (int r = 0; r < R; ++r) {
    auto* out = reinterpret_cast<float*>(reinterpret_cast<uint8_t*>(to.out) + (row + r) * to.outStride) + column;
    const auto* residual =
        reinterpret_cast<const float*>(reinterpret_cast<uintptr_t>(to.residual) + (row + r) * to.residualStride);
    for (int w = 0; w < W; ++w) {
      float value = joined[r][w];
      if (to.bias) value = value + to.bias[column + w];
      if (to.residual) value = residual[column + w] + value;
      out[w] = value;
    }
  }
}

/// R rows of activations from `row` on × columns [first, last).
template <class Terms, int R>
TARGET static void fusedRows(const ManyRowOutput& to, const uint8_t* a, size_t row, const uint8_t* weight, size_t k,
                             size_t first, size_t last) {
  constexpr int W = Terms::mostColumns;
  const size_t stride = Terms::bytes * k;
  const size_t step = (kGroup * stride + 63) / 64 * 64;
  const auto rowAt = [=](size_t column) { return weight + column / kGroup * step + column % kGroup * stride; };
  RowPointers activations, weights;
  for (int r = 0; r < R; ++r) activations.at[r] = a + (row + r) * preparedStride<Terms>(k);
  size_t column = first;
  for (; column + W <= last; column += W) {
    for (int w = 0; w < W; ++w) weights.at[w] = rowAt(column + w);
    fusedTile<Terms, W, R>(to, weights, activations, row, column, k);
  }
  for (; column < last; ++column) {
    weights.at[0] = rowAt(column);
    fusedTile<Terms, 1, R>(to, weights, activations, row, column, k);
  }
}

template <class Terms>
TARGET static void fusedProduct(const ManyRowOutput& to, const uint8_t* a, size_t rows, const uint8_t* weight, size_t k,
                                size_t first, size_t last) {
  constexpr int most = Terms::mostRows;
  size_t row = 0;
  for (; row + most <= rows; row += most) fusedRows<Terms, most>(to, a, row, weight, k, first, last);
  for (; row + 2 <= rows; row += 2) fusedRows<Terms, 2>(to, a, row, weight, k, first, last);
  if (row < rows) fusedRows<Terms, 1>(to, a, row, weight, k, first, last);
}

/// As ManyRowKernels::matmulTile.
template <class... Each>
TARGET static void matmulTile(int format, float* out, size_t outStride, const uint8_t* a, size_t, size_t rows,
                              const uint8_t* weight, size_t, size_t k, const float* bias, const float* residual,
                              size_t residualStride, size_t first, size_t last, uint8_t*) {
  const ManyRowOutput to{out, outStride, bias, residual, residualStride};
  ((format == Each::id ? fusedProduct<Each>(to, a, rows, weight, k, first, last) : void()), ...);
}

template <class... Each>
static bool multiplies(int format) {
  return ((format == Each::id) || ...);
}
