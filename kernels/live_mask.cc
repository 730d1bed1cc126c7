#include "kernels/live_mask.h"

#include <bit>
#include <cstring>

namespace tally {

uint64_t CountLive(absl::Span<const uint8_t> live, uint64_t begin, uint64_t end) {
  if (live.empty()) return end - begin;
  const auto bit = [live](uint64_t i) { return (live[i / 8] >> (i % 8)) & 1; };
  uint64_t count = 0;
  uint64_t i = begin;
  while (i < end && i % 8 != 0) count += bit(i++);
  for (; i + 64 <= end; i += 64) {
    uint64_t word;
    std::memcpy(&word, live.data() + i / 8, sizeof(word));
    count += std::popcount(word);
  }
  while (i < end) count += bit(i++);
  return count;
}

}  // namespace tally
