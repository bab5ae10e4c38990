// Runs matrix kernels on requests from stdin and writes what they give to stdout, so that a test in any language can
// compare them, under sanitizers or an emulator, too. Buffers are exactly as large as the contract says.
//
// Request:  ten i32 (op, format, rows, n, k, first, last, flags, level name's length, 0), the name, then data.
//   op 0  →  the chosen kernels' name, 64 bytes
//   op 1  matmul: n rows of weights as in the file; rows × k f32; n f32 if flags & 1; rows × n f32 if flags & 2
//         (flags & 4: the residual is the output)  →  rows × n f32, −7 where nothing was written
//   op 2  gather: n rows of weights  →  n × k f32
//   op 4  as op 1, by the level's kernels for many rows; flags & 8: those with the bits of docs/numerics.md
//   op 5  the name of these kernels for the format, 64 bytes; zeros where there are none
//   op 3  quantize: rows × k f32  →  rows × (k codes, k/32 scales, k/32 and k/16 negated sums)

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "../../kernels/native/cpu.h"
#include "../../kernels/native/formats.h"
#include "../../kernels/native/matmul-many.h"
#include "../../kernels/native/matrix.h"

using namespace clavis;

namespace {

/// Memory on a cache line, of exactly so many bytes.
struct Bytes {
  explicit Bytes(size_t size) : size(size) {
    if (posix_memalign(reinterpret_cast<void**>(&data), 64, size ? size : 1)) std::abort();
  }
  ~Bytes() { std::free(data); }
  Bytes(const Bytes&) = delete;
  uint8_t* data;
  size_t size;
  float* floats() { return reinterpret_cast<float*>(data); }
};

bool read(void* to, size_t size) { return std::fread(to, 1, size, stdin) == size; }
void write(const void* from, size_t size) { std::fwrite(from, 1, size, stdout); }

std::unique_ptr<Bytes> input(size_t size) {
  auto bytes = std::make_unique<Bytes>(size);
  if (!read(bytes->data, size)) std::abort();
  return bytes;
}

size_t q8RowBytes(size_t n) { return (n + n / 32 * 4 + n / 16 * 4 + 63) / 64 * 64; }

/// What the kernels of a level need, as far as this machine has it.
CpuFeatures featuresOf(const std::string& level) {
  CpuFeatures features = detectCpu();
  if (level == "portable") return {};
  if (level == "ssse3") return {.ssse3 = features.ssse3};
  if (level == "amx" && !features.amxBf16 && !features.amxInt8) return {};
  return limitCpu(features, level.c_str());
}

/// The kernels for many rows of a level and format, or those of them with the bits of docs/numerics.md. Level
/// "amx-unasked" takes the tiles without the system's leave, which Linux does not give on an emulated processor that
/// lacks XFD.
const ManyRowKernels* manyRowKernelsOf(const std::string& level, int format, bool exact) {
#if defined(CLAVIS_AMX)
  if (level == "amx-unasked") {
    const CpuFeatures features = detectCpu();
    if (!exact && features.amxBf16 && amxBf16Kernels.multiplies(format)) return &amxBf16Kernels;
    return features.amxInt8 && amxInt8Kernels.multiplies(format) ? &amxInt8Kernels : nullptr;
  }
#endif
  return selectManyRowKernels(featuresOf(level), format, exact);
}

void run(const MatrixKernels& kernels, const ManyRowKernels* manyRows, const int32_t (&request)[10]) {
  const int format = request[1];
  const size_t rows = request[2], n = request[3], k = request[4], first = request[5], last = request[6];
  const int flags = request[7];
  const BlockFormat* blocks = blockFormat(format);
  const size_t q8 = q8RowBytes(k);
  if (request[0] == 3) {
    const auto x = input(rows * k * 4);
    Bytes row(q8);
    for (size_t r = 0; r < rows; ++r) {
      kernels.quantizeRow(x->floats() + r * k, row.data, k);
      write(row.data, k + k / 32 * 12);
    }
    return;
  }

  const size_t rowBytes = blocks ? k / blocks->values * fileBlockBytes(format) : k * floatBytes(format);
  Bytes packed(kernels.packedBytes(format, n, k));
  {
    const auto source = input(n * rowBytes);
    // In two pieces, as a file is read.
    const size_t half = n / 2 / kernels.group * kernels.group;
    kernels.packRows(format, source->data, packed.data, half, k);
    kernels.packRows(format, source->data + half * rowBytes, packed.data + kernels.packedBytes(format, half, k),
                     n - half, k);
  }
  if (request[0] == 2) {
    Bytes out(k * 4);
    for (size_t row = 0; row < n; ++row) {
      kernels.gatherRow(format, packed.data, n, k, row, out.floats());
      write(out.data, out.size);
    }
    return;
  }
  const auto x = input(rows * k * 4);
  const auto bias = input(flags & 1 ? n * 4 : 0);
  const auto residual = input(flags & 2 ? rows * n * 4 : 0);
  const size_t aStride = blocks ? q8 : k * 4;
  Bytes a(rows * aStride);
  for (size_t r = 0; r < rows; ++r) {
    if (blocks) {
      kernels.quantizeRow(x->floats() + r * k, a.data + r * aStride, k);
    } else {
      std::memcpy(a.data + r * aStride, x->floats() + r * k, k * 4);
    }
  }
  Bytes out(rows * n * 4);
  for (size_t i = 0; i < rows * n; ++i) out.floats()[i] = -7;
  if (flags & 4) std::memcpy(out.data, residual->data, out.size);
  const bool ofManyRows = request[0] == 4;
  const bool isPrepared = ofManyRows && manyRows->preparedBytes != nullptr;
  Bytes prepared(isPrepared ? manyRows->preparedBytes(rows, k) : 0);
  for (size_t row = 0; isPrepared && row < rows; row += 16) {
    manyRows->prepareRows(format, a.data, aStride, k, row, row + 16 < rows ? row + 16 : rows, prepared.data);
  }
  Bytes scratch(ofManyRows ? manyRows->scratchBytes(format, k) : kernels.scratchBytes(format, k));
  const auto tile = ofManyRows ? manyRows->matmulTile : kernels.matmulTile;
  tile(format, out.floats(), n * 4, isPrepared ? prepared.data : a.data, aStride, rows, packed.data, n, k,
       flags & 1 ? bias->floats() : nullptr, flags & 4 ? out.floats() : flags & 2 ? residual->floats() : nullptr, n * 4,
       first, last, scratch.data);
  write(out.data, out.size);
}

}  // namespace

int main() {
  int32_t request[10];
  while (read(request, sizeof request)) {
    std::string level(size_t(request[8]), ' ');
    if (!read(level.data(), level.size())) return 1;
    const MatrixKernels& kernels = *selectMatrixKernels(featuresOf(level));
    const ManyRowKernels* manyRows = manyRowKernelsOf(level, request[1], request[7] & 8);
    if (request[0] == 0 || request[0] == 5) {
      char name[64] = {};
      std::snprintf(name, sizeof name, "%s", request[0] == 0 ? kernels.name : manyRows != nullptr ? manyRows->name : "");
      write(name, sizeof name);
    } else {
      if (request[0] == 4 && manyRows == nullptr) return 2;
      run(kernels, manyRows, request);
    }
  }
  return std::fflush(stdout);
}
