// How fast this machine reads memory and multiplies whole numbers, as the kernels here do it: the two limits that the
// speed of a model is compared with.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "matrix.h"
#include "memory.h"

namespace clavis {

/// Passes of all threads over a buffer that no cache holds, then products of Q8_0 weights that a core's cache does.
/// A few tenths of a second; fewer passes where they take long. It goes in phases, like a job (threads.h).
class Probe {
 public:
  Probe(const MatrixKernels& matrix, unsigned threads);

  /// Whether there was memory for it.
  bool hasMemory() const;

  /// As Job::advance.
  uint32_t advance();

  /// As Job::chunk.
  void chunk(uint32_t chunk, unsigned thread);

  /// Bytes a second that all threads read together; median of the passes. Once advance() has returned 0.
  double bytesPerSecond() const;

  /// Multiplications and additions a second of all threads, counted apart; likewise.
  double operationsPerSecond() const;

 private:
  using Clock = std::chrono::steady_clock;
  enum class Stage { none, fill, read, multiply };

  uint32_t begin(Stage stage, size_t chunks);
  uint8_t* areaOf(unsigned thread) const { return own_.data() + thread * ownBytes_; }

  const MatrixKernels& matrix_;
  size_t threads_;
  size_t outputBytes_, activationBytes_, ownBytes_;
  Region large_;   // what is read
  Region weight_;  // one packed matrix for all threads
  Region own_;     // of each thread: outputs, activations, scratch
  Stage stage_ = Stage::none;
  Clock::time_point start_, passStart_;
  std::vector<double> readSeconds_, multiplySeconds_;
};

}  // namespace clavis
