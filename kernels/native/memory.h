// Memory for weights, activations and the cache: whole pages from the system, huge ones where it has them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

namespace clavis {

/// Zeroed memory, aligned to 2 MiB and taken page by page as it is first written; given back when destroyed.
/// Huge pages are worth a quarter of the reading speed: the processor looks up fewer addresses.
class Region {
 public:
  Region() = default;
  Region(Region&& other) noexcept { swap(other); }
  Region& operator=(Region&& other) noexcept {
    swap(other);
    return *this;
  }
  ~Region();

  /// @returns a region without data where the system has no such room
  static Region allocate(size_t bytes);

  uint8_t* data() const { return data_; }
  size_t bytes() const { return bytes_; }

 private:
  void swap(Region& other) {
    std::swap(base_, other.base_);
    std::swap(mapped_, other.mapped_);
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
  }

  void* base_ = nullptr;
  size_t mapped_ = 0;
  uint8_t* data_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace clavis
