#include "probe.h"

#include <algorithm>
#include <cstring>

#if defined(__linux__)
#include <unistd.h>
#endif

namespace clavis {

namespace {

/// Bytes that one chunk reads.
constexpr size_t readBytes = size_t{1} << 20;
constexpr size_t leastBytes = size_t{128} << 20, mostBytes = size_t{512} << 20;

/// Seconds after which no further pass is begun, counted from the start: for reading, for all.
constexpr double readSeconds = 0.2, allSeconds = 0.35;
constexpr size_t leastPasses = 3, mostPasses = 9;

/// The product: some 350 KB of weights, activations and outputs, which a second-level cache holds.
constexpr int q8_0 = 8;
constexpr size_t rows = 64, columns = 256, width = 1024;
constexpr size_t blockBytes = 34;
constexpr size_t chunksPerThread = 8;

size_t to64(size_t bytes) { return (bytes + 63) & ~size_t{63}; }

/// Four times what the last cache holds, so that little of one pass is left there for the next.
size_t largeBytes() {
  size_t cache = 0;
#if defined(_SC_LEVEL3_CACHE_SIZE)
  cache = static_cast<size_t>(std::max(0L, sysconf(_SC_LEVEL3_CACHE_SIZE)));
#endif
  return std::clamp(4 * cache, leastBytes, mostBytes) / readBytes * readBytes;
}

/// Reads every byte; the sum keeps the compiler from leaving it out.
uint64_t sumOf(const uint8_t* data, size_t bytes) {
  using Lanes = uint64_t __attribute__((vector_size(16)));
  Lanes sums[4] = {};
  for (size_t at = 0; at < bytes; at += sizeof sums) {
    Lanes values[4];
    std::memcpy(values, data + at, sizeof values);
    for (size_t i = 0; i < 4; i++) sums[i] += values[i];
  }
  const Lanes sum = (sums[0] + sums[1]) + (sums[2] + sums[3]);
  return sum[0] + sum[1];
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

}  // namespace

Probe::Probe(const MatrixKernels& matrix, unsigned threads) : matrix_(matrix), threads_(threads) {
  outputBytes_ = rows * columns * sizeof(float);
  // A row of q8 (src/plan/tape.ts): codes, scales, sums.
  activationBytes_ = to64(width + width / 32 * 12);
  ownBytes_ = to64(outputBytes_ + rows * activationBytes_ + matrix_.scratchBytes(q8_0, width));
  large_ = Region::allocate(largeBytes());
  weight_ = Region::allocate(matrix_.packedBytes(q8_0, columns, width));
  own_ = Region::allocate(ownBytes_ * threads_);
  readSeconds_.reserve(mostPasses);
  multiplySeconds_.reserve(mostPasses);
}

bool Probe::hasMemory() const {
  return large_.data() != nullptr && weight_.data() != nullptr && own_.data() != nullptr;
}

uint32_t Probe::begin(Stage stage, size_t chunks) {
  stage_ = stage;
  passStart_ = Clock::now();
  return static_cast<uint32_t>(chunks);
}

uint32_t Probe::advance() {
  const Clock::time_point now = Clock::now();
  const auto seconds = [now](Clock::time_point from) { return std::chrono::duration<double>(now - from).count(); };
  const auto goesOn = [&](const std::vector<double>& passes, double limit) {
    return passes.size() < leastPasses || (passes.size() < mostPasses && seconds(start_) < limit);
  };
  const size_t chunks = large_.bytes() / readBytes;
  switch (stage_) {
    case Stage::none: {
      start_ = now;
      std::vector<uint8_t> blocks(columns * width / 32 * blockBytes);
      for (size_t i = 0; i < blocks.size(); i++) {
        const size_t within = i % blockBytes;
        blocks[i] = within == 0 ? 0 : within == 1 ? 0x2c : static_cast<uint8_t>(i * 37);  // scale 2⁻⁴, any codes
      }
      matrix_.packRows(q8_0, blocks.data(), weight_.data(), columns, width);
      return begin(Stage::fill, std::max(chunks, threads_));
    }
    case Stage::fill:
      return begin(Stage::read, chunks);
    case Stage::read:
      readSeconds_.push_back(seconds(passStart_));
      if (goesOn(readSeconds_, readSeconds)) return begin(Stage::read, chunks);
      return begin(Stage::multiply, chunksPerThread * threads_);
    case Stage::multiply:
      multiplySeconds_.push_back(seconds(passStart_));
      if (goesOn(multiplySeconds_, allSeconds)) return begin(Stage::multiply, chunksPerThread * threads_);
  }
  return 0;
}

void Probe::chunk(uint32_t chunk, unsigned thread) {
  switch (stage_) {
    case Stage::none:
      return;
    case Stage::fill: {
      // Memory that was never written is one page of zeros, which a cache holds.
      const size_t at = chunk * readBytes;
      if (at < large_.bytes()) std::memset(large_.data() + at, static_cast<int>(chunk % 255 + 1), readBytes);
      if (chunk >= threads_) return;
      std::vector<float> values(width);
      uint8_t* activations = areaOf(chunk) + outputBytes_;
      for (size_t row = 0; row < rows; row++) {
        for (size_t i = 0; i < width; i++) values[i] = static_cast<float>((row * 31 + i * 17) % 255) - 127.0f;
        matrix_.quantizeRow(values.data(), activations + row * activationBytes_, width);
      }
      return;
    }
    case Stage::read: {
      const uint64_t sum = sumOf(large_.data() + chunk * readBytes, readBytes);
      std::memcpy(areaOf(thread), &sum, sizeof sum);
      return;
    }
    case Stage::multiply: {
      uint8_t* area = areaOf(thread);
      const uint8_t* activations = area + outputBytes_;
      matrix_.matmulTile(q8_0, reinterpret_cast<float*>(area), columns * sizeof(float), activations, activationBytes_,
                         rows, weight_.data(), columns, width, nullptr, nullptr, 0, 0, columns,
                         area + outputBytes_ + rows * activationBytes_);
    }
  }
}

double Probe::bytesPerSecond() const { return static_cast<double>(large_.bytes()) / median(readSeconds_); }

double Probe::operationsPerSecond() const {
  constexpr double operations = 2.0 * rows * columns * width;
  return operations * static_cast<double>(chunksPerThread * threads_) / median(multiplySeconds_);
}

}  // namespace clavis
