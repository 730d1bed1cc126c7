// How much memory a test holds, and whose it is.
#ifndef TALLY_TESTS_UTIL_LIVE_BYTES_H_
#define TALLY_TESTS_UTIL_LIVE_BYTES_H_

#include <cstddef>
#include <cstdint>

namespace tally {

// Bytes that operator new has handed out and that have not come back, as the allocator rounds them.
// A binary that links this counts its every allocation; under a sanitizer, whose operators new come
// first, that one's count of the heap is told.
int64_t LiveBytes();

inline constexpr size_t kMaxMemoryOwners = 16;

// While it lives, what this thread allocates belongs to `owner`, below kMaxMemoryOwners, until it
// is freed, wherever that is. Scopes nest.
class MemoryOwner {
 public:
  explicit MemoryOwner(size_t owner);
  ~MemoryOwner();
  MemoryOwner(const MemoryOwner&) = delete;
  MemoryOwner& operator=(const MemoryOwner&) = delete;

 private:
  const size_t outer_;
};

// Of LiveBytes those that belong to it; 0 where !KnowsOwners().
int64_t LiveBytesOf(size_t owner);

// Not under a sanitizer.
bool KnowsOwners();

}  // namespace tally

#endif  // TALLY_TESTS_UTIL_LIVE_BYTES_H_
