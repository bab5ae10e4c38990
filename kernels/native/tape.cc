#include "tape.h"

#include <algorithm>
#include <cstring>

#include "attention-fast.h"
#include "chunks.h"
#include "expert-product.h"
#include "rows.h"

namespace clavis {

namespace {

/// Operation numbers, as in src/plan/tape.ts.
enum Op : int32_t {
  opEmbed = 1,
  opAddPosition,
  opRopeTable,
  opRmsNorm,
  opLayerNorm,
  opQuantize,
  opMatmul,
  opRope,
  opKvStore,
  opAttention,
  opAdd,
  opGated,
  opActivate,
  opSoftcap,
  opGatherRows,
  opRoute,
  opExpertMatmul,
  opExpertSum,
};

/// Values of a row-wise operation in one chunk: some microseconds of work, against 0.1 for claiming it.
constexpr size_t rowValues = 8192;
/// Values of softcap in one chunk; 16 divides it.
constexpr size_t softcapValues = 8192;
/// Rows with the call's `repeat`, where it has that word.
size_t repeatedRows(const Call& call) {
  switch (call.op()) {
    case opQuantize:
      return call.rows() * call.size(9);
    case opGated:
    case opActivate:
      return call.rows() * call.size(11);
    default:
      return call.rows();
  }
}

/// f32 values of one row that a row-wise operation reads.
size_t valuesOf(const Call& call) {
  switch (call.op()) {
    case opRmsNorm:
      return call.size(9) * call.size(10);
    case opRope:
      return call.size(8) * call.size(9);
    case opKvStore:
      return call.size(9) * call.size(10) * 2;
    case opEmbed:
    case opAddPosition:
    case opRopeTable:
    case opLayerNorm:
      return call.size(9);
    default:
      return call.size(8);
  }
}

size_t rowsPerChunk(const Call& call) { return std::max<size_t>(1, rowValues / std::max<size_t>(1, valuesOf(call))); }

/// Columns in one chunk of a product by the usual kernels. The chunks are a multiple of the threads, as far as that goes:
/// of five, the last would keep one of two threads waiting for a sixth of the time.
size_t usualColumns(const Call& call) {
  const size_t group = call.program.matrix->group, threads = call.program.threads;
  const size_t groups = divideUp(call.size(9), group), chunks = divideUp(groups, groupsPerChunk(call, call.rows()));
  return divideUp(groups, divideUp(chunks, threads) * threads) * group;
}

/// The kernels of a product of many rows; nullptr where the mode or the machine has none, or rows are too few.
const ManyRowKernels* manyRowsOf(const Call& call) {
  if (call.op() != opMatmul) return nullptr;
  const ManyRowKernels* kernels = call.weight(8).manyRows;
  return kernels != nullptr && call.rows() >= kernels->fromRows ? kernels : nullptr;
}

/// Whether a phase goes before the product's own: its activations are rewritten, or its choices of experts ordered.
bool isPrepared(const Call& call) {
  if (call.op() == opExpertMatmul) return true;
  const ManyRowKernels* kernels = manyRowsOf(call);
  return kernels != nullptr && kernels->preparedBytes != nullptr;
}

/// Columns in one chunk of a product of many rows: as many as its kernels like, unless threads would have too little to
/// share.
size_t manyRowColumns(const Call& call, const ManyRowKernels& kernels) {
  constexpr size_t least = 64, chunksPerThread = 4;
  const size_t share = divideUp(call.size(9), chunksPerThread * call.program.threads);
  return std::min(kernels.mostColumns, std::max(least, divideUp(share, 32) * 32));
}

/// Columns in one chunk of a product.
size_t matmulColumns(const Call& call) {
  const ManyRowKernels* kernels = manyRowsOf(call);
  return kernels != nullptr ? manyRowColumns(call, *kernels) : usualColumns(call);
}

/// The fast attention of a call; nullptr where the mode or the machine has none, or rows are too few.
const FastAttention* fastAttentionOf(const Call& call) {
  const FastAttention* fast = call.program.fastAttention;
  return fast != nullptr && call.rows() >= fastAttentionRows && fastAttentionTakes(call) ? fast : nullptr;
}

/// Rows in one chunk of fast attention, at most.
size_t fastAttentionChunk(const Call& call) {
  const size_t group = call.size(10) / call.size(11);
  return std::max(attentionRows, fastAttentionLines / group);
}

/// Rows in one chunk of attention.
size_t attentionChunk(const Call& call) {
  if (fastAttentionOf(call) == nullptr) return attentionRows;
  constexpr size_t chunksPerThread = 4;
  const size_t share = divideUp(call.rows() * call.size(11), chunksPerThread * call.program.threads);
  return std::min(fastAttentionChunk(call), std::max(attentionRows, share));
}

/// Into how many parts the query heads of one key head are cut: one, unless threads would have nothing to do. Each part
/// reads the keys and values again.
size_t attentionParts(const Call& call) {
  const size_t kvHeads = call.size(11), group = call.size(10) / kvHeads;
  const size_t chunks = divideUp(call.rows(), attentionChunk(call)) * kvHeads, threads = call.program.threads;
  return chunks >= threads ? 1 : std::min(group, divideUp(threads, chunks));
}

/// Into how many chunks a call is cut; 0 where it has no rows.
size_t chunksOf(const Call& call) {
  const size_t rows = call.rows();
  if (rows == 0) return 0;
  switch (call.op()) {
    case opMatmul:
      return divideUp(call.size(9), matmulColumns(call));
    case opExpertMatmul:
      return expertChunks(call);
    case opAttention:
      return divideUp(rows, attentionChunk(call)) * call.size(11) * attentionParts(call);
    case opSoftcap:
      return rows * divideUp(call.size(8), softcapValues);
    default:
      return divideUp(repeatedRows(call), rowsPerChunk(call));
  }
}

/// Columns of a product: those of one chunk.
void matmul(const Call& call, size_t chunk, uint8_t* scratch) {
  const Weight& weight = call.weight(8);
  const ManyRowKernels* manyRows = manyRowsOf(call);
  const size_t n = call.size(9), columns = matmulColumns(call), first = chunk * columns;
  const auto tile = manyRows != nullptr ? manyRows->matmulTile : call.program.matrix->matmulTile;
  const uint8_t* a = isPrepared(call) ? call.program.prepared : call.a(0);
  tile(weight.format, call.outF32(0), call.outStride(), a, call.aStride(), call.rows(), weight.data, n, call.size(10),
       call.vector(11), call.hasB() ? call.bF32(0) : nullptr, call.bStride(), first, std::min(first + columns, n),
       scratch);
}

/// Rows in one chunk of preparing: as many as lie in one tile.
constexpr size_t preparedRows = 16;

size_t preparingChunks(const Call& call) {
  return call.op() == opExpertMatmul ? 1 : divideUp(call.rows(), preparedRows);
}

void prepare(const Call& call, size_t chunk) {
  if (call.op() == opExpertMatmul) return orderByExpert(call);
  const size_t first = chunk * preparedRows;
  manyRowsOf(call)->prepareRows(call.weight(8).format, call.a(0), call.aStride(), call.size(10), first,
                            std::min(first + preparedRows, call.rows()), call.program.prepared);
}

RowKernel rowKernel(const RowKernels& rows, int32_t op) {
  switch (op) {
    case opEmbed:
      return rows.embed;
    case opAddPosition:
      return rows.addPosition;
    case opRopeTable:
      return rows.ropeTable;
    case opRmsNorm:
      return rows.rmsNorm;
    case opLayerNorm:
      return rows.layerNorm;
    case opQuantize:
      return rows.quantize;
    case opRope:
      return rows.rope;
    case opKvStore:
      return rows.kvStore;
    case opAdd:
      return rows.add;
    case opGated:
      return rows.gated;
    case opActivate:
      return rows.activate;
    case opGatherRows:
      return rows.gatherRows;
    case opRoute:
      return rows.route;
    default:
      return rows.expertSum;
  }
}

void runChunk(const Call& call, size_t chunk, unsigned thread) {
  const Program& program = call.program;
  uint8_t* scratch = program.scratchOf(thread);
  const size_t rows = call.rows();
  switch (call.op()) {
    case opMatmul:
      return matmul(call, chunk, scratch);
    case opExpertMatmul:
      return expertChunk(call, chunk, scratch);
    case opAttention: {
      // Later rows see more and take longer; chunks are claimed from the highest number down.
      const size_t kvHeads = call.size(11), group = call.size(10) / kvHeads, parts = attentionParts(call);
      const size_t part = chunk % parts, kvHead = chunk / parts % kvHeads;
      const size_t size = attentionChunk(call), first = chunk / parts / kvHeads * size;
      const FastAttention* fast = fastAttentionOf(call);
      const auto attention = fast != nullptr ? fast->attention : program.rows->attention;
      return attention(call, first, std::min(first + size, rows), kvHead, kvHead * group + group * part / parts,
                       kvHead * group + group * (part + 1) / parts, scratch, program.scratchBytes);
    }
    case opSoftcap: {
      const size_t tiles = divideUp(call.size(8), softcapValues), from = chunk % tiles * softcapValues;
      return program.rows->softcap(call, chunk / tiles, from, std::min(from + softcapValues, call.size(8)));
    }
    default: {
      const size_t size = rowsPerChunk(call), first = chunk * size;
      return rowKernel(*program.rows, call.op())(call, first, std::min(first + size, repeatedRows(call)), scratch);
    }
  }
}

/// Bytes that one call needs.
size_t scratchOf(const Call& call, size_t tokens, size_t positions) {
  const MatrixKernels& matrix = *call.program.matrix;
  switch (call.op()) {
    case opMatmul: {
      const Weight& weight = call.weight(8);
      return std::max(matrix.scratchBytes(weight.format, call.size(10)),
                      weight.manyRows != nullptr ? weight.manyRows->scratchBytes(weight.format, call.size(10)) : 0);
    }
    case opExpertMatmul:
      return expertScratch(call);
    case opAttention: {
      // Room for whole chunks as long as that stays within a core's second-level cache; for one row in any case.
      const size_t group = call.size(10) / call.size(11);
      const size_t rows = std::min(tokens, attentionRows);
      constexpr size_t comfortable = size_t{1} << 20;
      const size_t usual = std::max(attentionScratch(call.size(9), group, positions),
                                    std::min(attentionScratch(call.size(9), group * rows, positions), comfortable));
      const FastAttention* fast = call.program.fastAttention;
      if (fast == nullptr) return usual;
      return std::max(usual, fast->scratchBytes(call.size(9), group * std::min(tokens, fastAttentionChunk(call))));
    }
    default:
      return valuesOf(call) * sizeof(float);
  }
}

}  // namespace

void TapeRun::begin(size_t at) {
  at_ = at;
  preparing_ = at_ < program_.calls && call().rows() > 0 && isPrepared(call());
}

void TapeRun::next() {
  if (preparing_) preparing_ = false;
  else begin(at_ + 1);
}

uint32_t TapeRun::advance(unsigned thread) {
  if (started_) next();
  else begin(0);
  started_ = true;
  for (; at_ < program_.calls; next()) {
    const size_t chunks = preparing_ ? preparingChunks(call()) : chunksOf(call());
    // One thread alone would share with nobody.
    if (chunks > 1 && program_.threads > 1) return static_cast<uint32_t>(chunks);
    for (size_t i = chunks; i > 0; i--) this->chunk(static_cast<uint32_t>(i - 1), thread);
  }
  return 0;
}

void TapeRun::chunk(uint32_t chunk, unsigned thread) const {
  if (preparing_) prepare(call(), chunk);
  else runChunk(call(), chunk, thread);
}

size_t tapeScratch(const Program& program, size_t tokens, size_t positions) {
  size_t bytes = 64;
  for (size_t i = 0; i < program.calls; i++) {
    bytes = std::max(bytes, scratchOf({program, program.tape + i * tapeWords}, tokens, positions));
  }
  // Row kernels write whole vectors of sixteen.
  return to64(bytes) + 64;
}

size_t tapePrepared(const Program& program, size_t tokens) {
  size_t bytes = 0;
  for (size_t i = 0; i < program.calls; i++) {
    const Call call{program, program.tape + i * tapeWords};
    if (call.op() == opExpertMatmul) bytes = std::max(bytes, expertOrderBytes(call, tokens));
    if (call.op() != opMatmul) continue;
    const ManyRowKernels* kernels = call.weight(8).manyRows;
    if (kernels == nullptr || kernels->preparedBytes == nullptr) continue;
    bytes = std::max(bytes, kernels->preparedBytes(tokens, call.size(10)));
  }
  return bytes;
}

}  // namespace clavis
