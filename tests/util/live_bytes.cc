#include "tests/util/live_bytes.h"

#include <malloc.h>

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>

// Of the sanitizers' runtimes; null without one.
extern "C" size_t __sanitizer_get_current_allocated_bytes() __attribute__((weak));

namespace {

std::atomic<int64_t> live_bytes{0};

void* Count(void* memory) {
  if (memory == nullptr) std::abort();
  live_bytes += static_cast<int64_t>(malloc_usable_size(memory));
  return memory;
}

void Discount(void* memory) {
  if (memory == nullptr) return;
  live_bytes -= static_cast<int64_t>(malloc_usable_size(memory));
  std::free(memory);
}

}  // namespace

namespace tally {

int64_t LiveBytes() {
  if (__sanitizer_get_current_allocated_bytes != nullptr) {
    return static_cast<int64_t>(__sanitizer_get_current_allocated_bytes());
  }
  return live_bytes;
}

}  // namespace tally

// The array and nothrow forms of the library call these.
void* operator new(size_t size) { return Count(std::malloc(size)); }
void* operator new(size_t size, std::align_val_t alignment) {
  void* memory = nullptr;
  if (posix_memalign(&memory, static_cast<size_t>(alignment), size) != 0) std::abort();
  return Count(memory);
}
void operator delete(void* memory) noexcept { Discount(memory); }
void operator delete(void* memory, size_t) noexcept { Discount(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { Discount(memory); }
void operator delete(void* memory, size_t, std::align_val_t) noexcept { Discount(memory); }
