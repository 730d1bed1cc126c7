// What is left to chance, all of it from one seed: faults, and simulations of them.
#ifndef TALLY_BASE_CHOICES_H_
#define TALLY_BASE_CHOICES_H_

#include <cstdint>

#include "absl/time/time.h"
#include "base/mix64.h"

namespace tally {

// A stream of draws; streams of different purposes do not disturb each other. Not thread-safe.
class Choices {
 public:
  Choices(uint64_t seed, uint64_t purpose) : key_(Mix64(seed * kGolden64 + purpose)) {}

  uint64_t Next() { return Mix64(key_ + ++count_ * kGolden64); }
  // From 0 to n - 1.
  uint64_t Below(uint64_t n) { return Next() % n; }
  bool OneIn(uint64_t n) { return Below(n) == 0; }
  absl::Duration Between(absl::Duration low, absl::Duration high) {
    const int64_t span = absl::ToInt64Microseconds(high - low) + 1;
    return low + absl::Microseconds(static_cast<int64_t>(Below(static_cast<uint64_t>(span))));
  }

 private:
  const uint64_t key_;
  uint64_t count_ = 0;
};

}  // namespace tally

#endif  // TALLY_BASE_CHOICES_H_
