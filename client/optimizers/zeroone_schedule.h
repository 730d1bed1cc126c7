// Which steps of 0/1 Adam exchange what.
#ifndef TALLY_CLIENT_OPTIMIZERS_ZEROONE_SCHEDULE_H_
#define TALLY_CLIENT_OPTIMIZERS_ZEROONE_SCHEDULE_H_

#include <cstdint>

#include "absl/status/status.h"
#include "client/saved_state.h"

namespace tally {

// The defaults are those of DeepSpeed's 0/1 Adam.
struct ZeroOneScheduleOptions {
  // Steps until the variance is frozen, at least 1.
  uint64_t variance_steps = 100'000;
  // The interval between two refreshes of the variance doubles after so many of them; at least 1.
  uint64_t variance_scaler = 16;
  // The interval between two exchanges after the freeze doubles after so many steps; at least 1.
  uint64_t local_step_scaler = 32'678;
  // The longest such interval, from 1 to 2^32.
  uint64_t max_local_steps = 16;
};

// Returns INVALID_ARGUMENT, naming the field, if one is out of its range.
absl::Status ValidateZeroOneScheduleOptions(const ZeroOneScheduleOptions& options);

// Steps are counted from 1. Both intervals begin at 1:
//
//   until variance_steps   every V-th step refreshes the variance by dense means, the others
//                          exchange gradients by signs
//   after it               every L-th step exchanges what the workers did since the last time, the
//                          others exchange nothing
//
// It depends on nothing but the number of steps, so all workers agree. Not thread-safe.
class ZeroOneSchedule {
 public:
  enum class Action : uint8_t { kRefresh, kSigns, kLocal, kExchange };

  explicit ZeroOneSchedule(const ZeroOneScheduleOptions& options) : options_(options) {}

  // What the next step is.
  Action Next() const;
  // That step is over.
  void Advance();

  uint64_t steps() const { return steps_; }
  // Whether the next step is one after the freeze.
  bool frozen() const { return steps_ >= options_.variance_steps; }
  // Whether the start, in which every step refreshes the variance, is over.
  bool compresses() const { return frozen() || variance_interval_ > 1; }

  void Save(SavedStateWriter& writer) const;
  // Returns INVALID_ARGUMENT if the saved one has another size or an interval of 0; then nothing
  // has changed.
  absl::Status Load(const SavedState& saved);

 private:
  ZeroOneScheduleOptions options_;
  uint64_t steps_ = 0;
  uint64_t variance_interval_ = 1;  // V
  uint64_t refreshes_ = 0;          // with this V
  uint64_t local_interval_ = 1;     // L
  uint64_t frozen_steps_ = 0;       // with this L
};

}  // namespace tally

#endif  // TALLY_CLIENT_OPTIMIZERS_ZEROONE_SCHEDULE_H_
