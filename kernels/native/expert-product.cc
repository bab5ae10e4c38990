#include "expert-product.h"

#include <algorithm>
#include <cstring>

#include "chunks.h"

namespace clavis {

namespace {

/// Rows of one expert that are multiplied together, and columns (a multiple of any group) between putting their outputs
/// in place: what they and their inputs take stays within a core's second-level cache.
constexpr size_t mostRows = 64, mostColumns = 256;

/// Choices, token · used + j, in the order of their experts.
struct Order {
  int32_t* chosen;   // how many experts were
  int32_t* experts;  // [experts] their ids, ascending
  int32_t* ends;     // [experts] where the choices of each expert, chosen or not, end
  int32_t* choices;  // [rows · used]
  explicit Order(const Call& call)
      : chosen(reinterpret_cast<int32_t*>(call.program.prepared)),
        experts(chosen + 1),
        ends(experts + call.weight(8).experts),
        choices(ends + call.weight(8).experts) {}

  size_t begin(size_t expert) const { return expert == 0 ? 0 : static_cast<size_t>(ends[expert - 1]); }
  size_t end(size_t expert) const { return static_cast<size_t>(ends[expert]); }
};

/// How the product is cut: into chunks of `columns` of one expert.
struct Cut {
  size_t columns, tiles, chunks;
  explicit Cut(const Call& call) {
    const size_t experts = static_cast<size_t>(*Order(call).chosen), group = call.program.matrix->group;
    const size_t groups = divideUp(call.size(9), group), most = groupsPerChunk(call, 1);
    // Every chunk gathers its rows anew: an expert of many is cut only as far as threads need to share.
    constexpr size_t chunksPerThread = 8;
    const size_t load = divideUp(call.rows() * call.size(11), experts);
    const size_t needed = divideUp(chunksPerThread * call.program.threads, experts);
    tiles = std::min(divideUp(groups, most), std::max(needed, divideUp(groups, most * std::min<size_t>(load, 8))));
    columns = divideUp(groups, tiles) * group;
    tiles = divideUp(call.size(9), columns);
    chunks = experts * tiles;
  }
};

/// Gathered inputs; then these as kernels for many rows take them; outputs; and what the product itself needs.
struct Scratch {
  size_t prepared, outputs, rest, bytes;
  explicit Scratch(const Call& call) {
    const MatrixKernels& matrix = *call.program.matrix;
    const int format = call.weight(8).format;
    const ManyRowKernels* manyRows = call.weight(8).manyRows;
    const size_t k = call.size(10);
    const bool prepares = manyRows != nullptr && manyRows->preparedBytes != nullptr;
    prepared = to64(mostRows * call.aStride());
    outputs = prepared + (prepares ? to64(manyRows->preparedBytes(mostRows, k)) : 0);
    rest = outputs + mostRows * mostColumns * sizeof(float);
    bytes = rest + matrix.scratchBytes(format, k);
    if (manyRows != nullptr) bytes = std::max(bytes, rest + manyRows->scratchBytes(format, k));
  }
};

}  // namespace

size_t expertOrderBytes(const Call& call, size_t tokens) {
  return (1 + 2 * call.weight(8).experts + tokens * call.size(11)) * sizeof(int32_t);
}

void orderByExpert(const Call& call) {
  const Order order(call);
  const size_t experts = call.weight(8).experts, used = call.size(11), rows = call.rows();
  const auto expertsOf = [&](size_t row) { return reinterpret_cast<const int32_t*>(call.b(row)); };
  std::fill(order.ends, order.ends + experts, 0);
  for (size_t row = 0; row < rows; row++) {
    for (size_t j = 0; j < used; j++) order.ends[expertsOf(row)[j]]++;
  }
  int32_t sum = 0, chosen = 0;
  for (size_t expert = 0; expert < experts; expert++) {
    const int32_t count = order.ends[expert];
    if (count > 0) order.experts[chosen++] = static_cast<int32_t>(expert);
    order.ends[expert] = sum;
    sum += count;
  }
  *order.chosen = chosen;
  // Each place that is filled moves an expert's beginning on, until it is the end.
  for (size_t row = 0; row < rows; row++) {
    for (size_t j = 0; j < used; j++) {
      order.choices[order.ends[expertsOf(row)[j]]++] = static_cast<int32_t>(row * used + j);
    }
  }
}

size_t expertChunks(const Call& call) { return Cut(call).chunks; }

void expertChunk(const Call& call, size_t chunk, uint8_t* scratch) {
  const MatrixKernels& matrix = *call.program.matrix;
  const Weight& weight = call.weight(8);
  const size_t n = call.size(9), k = call.size(10), used = call.size(11), stride = call.aStride();
  const bool shared = call.word(12) != 0;
  const Order order(call);
  const Cut cut(call);
  const Scratch places(call);
  const size_t expert = static_cast<size_t>(order.experts[chunk / cut.tiles]);
  const size_t first = chunk % cut.tiles * cut.columns, last = std::min(first + cut.columns, n);
  const uint8_t* columns = weight.data + expert * weight.expertBytes;
  uint8_t* rest = scratch + places.rest;
  const auto inputOf = [&](int32_t choice) {
    const size_t row = static_cast<size_t>(choice);
    return call.a(shared ? row / used : row);
  };
  const auto outputOf = [&](int32_t choice) { return call.outF32(static_cast<size_t>(choice)); };

  for (size_t at = order.begin(expert), end = order.end(expert); at < end; at += mostRows) {
    const size_t count = std::min(mostRows, end - at);
    const int32_t* choices = order.choices + at;
    if (count == 1) {
      matrix.matmulTile(weight.format, outputOf(choices[0]), 0, inputOf(choices[0]), 0, 1, columns, n, k, nullptr,
                        nullptr, 0, first, last, rest);
      continue;
    }
    const uint8_t* inputs = scratch;
    for (size_t i = 0; i < count; i++) std::memcpy(scratch + i * stride, inputOf(choices[i]), stride);
    auto multiply = matrix.matmulTile;
    size_t step = groupsPerChunk(call, count) * matrix.group;
    const ManyRowKernels* manyRows = weight.manyRows;
    if (manyRows != nullptr && count >= manyRows->fromRows) {
      multiply = manyRows->matmulTile;
      step = manyRows->mostColumns;
      if (manyRows->preparedBytes != nullptr) {
        manyRows->prepareRows(weight.format, scratch, stride, k, 0, count, scratch + places.prepared);
        inputs = scratch + places.prepared;
      }
    }
    step = std::min(step, mostColumns);
    float* outputs = reinterpret_cast<float*>(scratch + places.outputs);
    for (size_t column = first; column < last; column += step) {
      const size_t width = std::min(step, last - column);
      multiply(weight.format, outputs, mostColumns * sizeof(float), inputs, stride, count,
               columns + column / matrix.group * groupBytes(call), width, k, nullptr, nullptr, 0, 0, width, rest);
      for (size_t i = 0; i < count; i++) {
        std::memcpy(outputOf(choices[i]) + column, outputs + i * mostColumns, width * sizeof(float));
      }
    }
  }
}

size_t expertScratch(const Call& call) { return Scratch(call).bytes; }

}  // namespace clavis
