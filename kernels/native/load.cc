#include "load.h"

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <thread>
#include <unistd.h>

#include "memory.h"

namespace clavis {

namespace {

/// Reads the whole range; false at the end of the file or where the system fails.
bool readRange(const FileRange& range, uint8_t* target) {
  for (size_t done = 0; done < range.bytes;) {
    const ssize_t got = pread(range.descriptor, target + done, range.bytes - done, static_cast<off_t>(range.offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    done += static_cast<size_t>(got);
  }
  return true;
}

}  // namespace

Load::Load(const MatrixKernels& matrix, std::vector<LoadPiece> pieces, std::vector<FileRange> ranges, int32_t* state)
    : matrix_(matrix), pieces_(std::move(pieces)), ranges_(std::move(ranges)), state_(state) {
  for (const LoadPiece& piece : pieces_) {
    size_t bytes = 0;
    for (size_t i = 0; i < piece.ranges; i++) bytes += ranges_[piece.firstRange + i].bytes;
    stagingBytes_ = std::max(stagingBytes_, bytes);
  }
}

void Load::start(unsigned threads, std::function<void()> whenDone) {
  whenDone_ = std::move(whenDone);
  // One more than there are, so that the work cannot end before all have started.
  working_.store(1);
  for (unsigned i = 0; i < threads; i++) {
    working_.fetch_add(1);
    try {
      std::thread([this] { work(); }).detach();
    } catch (const std::system_error&) {
      working_.fetch_sub(1);
      if (i == 0) state(loadFailed).store(1);
      break;
    }
  }
  if (working_.fetch_sub(1) == 1) whenDone_();
}

void Load::work() {
  const Region staging = Region::allocate(stagingBytes_);
  if (staging.data() == nullptr) state(loadFailed).store(1);
  for (;;) {
    if (state(loadStopped).load() != 0 || state(loadFailed).load() != 0) break;
    const size_t piece = next_.fetch_add(1);
    if (piece >= pieces_.size()) break;
    if (loadPiece(pieces_[piece], staging.data())) {
      state(loadDone).fetch_add(1);
    } else {
      state(loadFailed).store(1);
    }
  }
  // Moved, because the call may destroy this.
  if (working_.fetch_sub(1) == 1) std::function<void()>(std::move(whenDone_))();
}

bool Load::loadPiece(const LoadPiece& piece, uint8_t* staging) const {
  size_t bytes = 0;
  for (size_t i = 0; i < piece.ranges; i++) {
    const FileRange& range = ranges_[piece.firstRange + i];
    if (!readRange(range, staging + bytes)) return false;
    bytes += range.bytes;
  }
  matrix_.packRows(piece.format, staging, piece.target, piece.rows, piece.width);
  return true;
}

}  // namespace clavis
