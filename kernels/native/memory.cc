#include "memory.h"

#if defined(_WIN32)
#include <windows.h>
#else
#include <sys/mman.h>
#endif

namespace clavis {

namespace {
constexpr size_t hugePage = size_t{2} << 20;
}

Region Region::allocate(size_t bytes) {
  Region region;
  if (bytes == 0) bytes = 1;
  if (bytes > SIZE_MAX / 2) return region;
  const size_t rounded = (bytes + hugePage - 1) & ~(hugePage - 1);
#if defined(_WIN32)
  void* base = VirtualAlloc(nullptr, rounded, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
  if (base == nullptr) return region;
  region.base_ = base;
  region.mapped_ = rounded;
  region.data_ = static_cast<uint8_t*>(base);
#else
  const size_t mapped = rounded + hugePage;
  void* base = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED) return region;
  region.base_ = base;
  region.mapped_ = mapped;
  const uintptr_t start = reinterpret_cast<uintptr_t>(base);
  region.data_ = static_cast<uint8_t*>(base) + ((hugePage - (start & (hugePage - 1))) & (hugePage - 1));
#if defined(MADV_HUGEPAGE)
  // Small regions stay in small pages: a huge one would be mostly empty. An error leaves small pages, too.
  if (bytes >= hugePage) madvise(region.data_, rounded, MADV_HUGEPAGE);
#endif
#endif
  region.bytes_ = bytes;
  return region;
}

Region::~Region() {
  if (base_ == nullptr) return;
#if defined(_WIN32)
  VirtualFree(base_, 0, MEM_RELEASE);
#else
  munmap(base_, mapped_);
#endif
}

}  // namespace clavis
