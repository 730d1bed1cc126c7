#include "tests/util/live_bytes.h"

#include <malloc.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <new>

// Of the sanitizers' runtimes; null without one.
extern "C" size_t __sanitizer_get_current_allocated_bytes() __attribute__((weak));

namespace {

constexpr size_t kDefaultAlignment = __STDCPP_DEFAULT_NEW_ALIGNMENT__;
constexpr size_t kNobody = tally::kMaxMemoryOwners;

thread_local size_t current_owner = kNobody;
std::atomic<int64_t> live_bytes[tally::kMaxMemoryOwners + 1];

// Right before every allocation.
struct Label {
  size_t owner;
  size_t num_bytes;
};

// From the start of its block to an allocation.
size_t OffsetFor(size_t alignment) { return std::max(alignment, sizeof(Label)); }

void* Allocate(size_t size, size_t alignment) {
  const size_t offset = OffsetFor(alignment);
  void* block = nullptr;
  if (alignment <= kDefaultAlignment) {
    block = std::malloc(offset + size);
  } else if (posix_memalign(&block, alignment, offset + size) != 0) {
    block = nullptr;
  }
  if (block == nullptr) std::abort();
  char* const memory = static_cast<char*>(block) + offset;
  const Label label = {current_owner, malloc_usable_size(block) - offset};
  std::memcpy(memory - sizeof(Label), &label, sizeof(Label));
  live_bytes[label.owner] += static_cast<int64_t>(label.num_bytes);
  return memory;
}

void Free(void* memory, size_t alignment) {
  if (memory == nullptr) return;
  char* const begin = static_cast<char*>(memory);
  Label label;
  std::memcpy(&label, begin - sizeof(Label), sizeof(Label));
  live_bytes[label.owner] -= static_cast<int64_t>(label.num_bytes);
  std::free(begin - OffsetFor(alignment));
}

}  // namespace

namespace tally {

int64_t LiveBytes() {
  if (!KnowsOwners()) {
    return static_cast<int64_t>(__sanitizer_get_current_allocated_bytes());
  }
  int64_t sum = 0;
  for (const std::atomic<int64_t>& bytes : live_bytes) sum += bytes;
  return sum;
}

MemoryOwner::MemoryOwner(size_t owner) : outer_(current_owner) { current_owner = owner; }
MemoryOwner::~MemoryOwner() { current_owner = outer_; }

int64_t LiveBytesOf(size_t owner) { return live_bytes[owner]; }

bool KnowsOwners() { return __sanitizer_get_current_allocated_bytes == nullptr; }

}  // namespace tally

// The array and nothrow forms of the library call these.
void* operator new(size_t size) { return Allocate(size, kDefaultAlignment); }
void* operator new(size_t size, std::align_val_t alignment) {
  return Allocate(size, static_cast<size_t>(alignment));
}
void operator delete(void* memory) noexcept { Free(memory, kDefaultAlignment); }
void operator delete(void* memory, size_t) noexcept { Free(memory, kDefaultAlignment); }
void operator delete(void* memory, std::align_val_t alignment) noexcept {
  Free(memory, static_cast<size_t>(alignment));
}
void operator delete(void* memory, size_t, std::align_val_t alignment) noexcept {
  Free(memory, static_cast<size_t>(alignment));
}
