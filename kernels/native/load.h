// Reading a model: pieces of matrices go from files into packed form without a copy of a whole matrix in between.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "matrix.h"

namespace clavis {

/// Bytes of an open file.
struct FileRange {
  int descriptor;
  uint64_t offset;
  size_t bytes;
};

/// Rows of a matrix, small enough that they stay in a core's second-level cache between reading and packing.
struct LoadPiece {
  int format;  // GGUF type number
  size_t rows, width;
  uint8_t* target;  // where the packed rows begin
  size_t firstRange, ranges;  // where the rows lie in files, end to end
};

/// Words of the state that JavaScript sees: pieces that are done; 1 where it wants no more; 1 where a read failed.
enum LoadState : size_t { loadDone, loadStopped, loadFailed, loadStates };

/// The loading of pieces, in the order given, by threads of its own: reading may wait for a disk, and the team of
/// threads.h has answers of other models to compute meanwhile.
class Load {
 public:
  /// @param state  `loadStates` words, which outlive this
  Load(const MatrixKernels& matrix, std::vector<LoadPiece> pieces, std::vector<FileRange> ranges, int32_t* state);

  /// Returns at once. `whenDone` is called by the last thread; this may be destroyed there.
  void start(unsigned threads, std::function<void()> whenDone);

 private:
  void work();
  bool loadPiece(const LoadPiece& piece, uint8_t* staging) const;
  std::atomic_ref<int32_t> state(LoadState word) const { return std::atomic_ref<int32_t>(state_[word]); }

  const MatrixKernels& matrix_;
  std::vector<LoadPiece> pieces_;
  std::vector<FileRange> ranges_;
  int32_t* state_;
  size_t stagingBytes_ = 0;
  std::function<void()> whenDone_;
  std::atomic<size_t> next_{0};
  std::atomic<unsigned> working_{0};
};

}  // namespace clavis
