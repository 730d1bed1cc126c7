// Whose memory it is that a test allocates.
#ifndef TALLY_TESTS_UTIL_MEMORY_OWNER_H_
#define TALLY_TESTS_UTIL_MEMORY_OWNER_H_

#include <cstddef>
#include <cstdint>

namespace tally {

inline constexpr size_t kMaxMemoryOwners = 16;

// While it lives, what this thread allocates by operator new belongs to `owner`, below
// kMaxMemoryOwners, until it is freed, wherever that is. Scopes nest. A binary that links this
// counts its every allocation; under a sanitizer, whose operators new come first, nobody owns
// anything.
class MemoryOwner {
 public:
  explicit MemoryOwner(size_t owner);
  ~MemoryOwner();
  MemoryOwner(const MemoryOwner&) = delete;
  MemoryOwner& operator=(const MemoryOwner&) = delete;

 private:
  const size_t outer_;
};

// Bytes that belong to it.
int64_t OwnedBytes(size_t owner);

}  // namespace tally

#endif  // TALLY_TESTS_UTIL_MEMORY_OWNER_H_
