#include "tests/util/memory_owner.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <new>

namespace {

constexpr size_t kNobody = tally::kMaxMemoryOwners;
constexpr size_t kDefaultAlignment = __STDCPP_DEFAULT_NEW_ALIGNMENT__;

thread_local size_t current_owner = kNobody;
std::atomic<int64_t> owned_bytes[tally::kMaxMemoryOwners + 1];

// Right before every allocation.
struct Label {
  size_t owner;
  size_t size;
};

// The label's place, kept at the allocation's alignment.
size_t LabelBytes(size_t alignment) { return std::max(alignment, sizeof(Label)); }

void* Allocate(size_t size, size_t alignment) {
  const size_t offset = LabelBytes(alignment);
  void* block = nullptr;
  if (alignment <= kDefaultAlignment) {
    block = std::malloc(offset + size);
  } else if (posix_memalign(&block, alignment, offset + size) != 0) {
    block = nullptr;
  }
  if (block == nullptr) std::abort();
  char* const memory = static_cast<char*>(block) + offset;
  const Label label = {current_owner, size};
  std::memcpy(memory - sizeof(Label), &label, sizeof(Label));
  owned_bytes[label.owner] += static_cast<int64_t>(size);
  return memory;
}

void Free(void* memory, size_t alignment) {
  if (memory == nullptr) return;
  char* const begin = static_cast<char*>(memory);
  Label label;
  std::memcpy(&label, begin - sizeof(Label), sizeof(Label));
  owned_bytes[label.owner] -= static_cast<int64_t>(label.size);
  std::free(begin - LabelBytes(alignment));
}

}  // namespace

namespace tally {

MemoryOwner::MemoryOwner(size_t owner) : outer_(current_owner) { current_owner = owner; }
MemoryOwner::~MemoryOwner() { current_owner = outer_; }

int64_t OwnedBytes(size_t owner) { return owned_bytes[owner]; }

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
