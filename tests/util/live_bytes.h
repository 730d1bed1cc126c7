// How much memory a test holds.
#ifndef TALLY_TESTS_UTIL_LIVE_BYTES_H_
#define TALLY_TESTS_UTIL_LIVE_BYTES_H_

#include <cstdint>

namespace tally {

// Bytes that operator new has handed out and that have not come back, as the allocator rounds them.
// A binary that links this counts its every allocation; under a sanitizer, whose operators new come
// first, that one's count of the heap is told.
int64_t LiveBytes();

}  // namespace tally

#endif  // TALLY_TESTS_UTIL_LIVE_BYTES_H_
