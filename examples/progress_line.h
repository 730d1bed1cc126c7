// How far a run is, for the person who watches it.
#ifndef TALLY_EXAMPLES_PROGRESS_LINE_H_
#define TALLY_EXAMPLES_PROGRESS_LINE_H_

#include <cstdint>
#include <cstdio>
#include <string>

#include "absl/time/time.h"
#include "base/clock.h"

namespace tally {

// A run after a round.
struct Progress {
  std::string optimizer;
  uint64_t round = 0;
  uint64_t rounds = 0;
  double training_loss = 0;
  uint64_t bytes_up = 0;
  uint64_t bytes_down = 0;
  bool compressing = false;
  absl::Duration elapsed;
};

// "onebit_adam  round 240 of 600  loss 2.314  8.1 rounds/s  up 12.3MiB, down 12.3MiB  44 s left".
std::string FormatProgress(const Progress& progress);

// Shows progress on a stream: one line that is written over five times a second where a person
// watches, eleven lines in all in a file. Not thread-safe.
class ProgressLine {
 public:
  // `stream` and `clock` must outlive the line. `is_terminal`: a person watches.
  ProgressLine(std::FILE* stream, bool is_terminal, const Clock* clock);

  // To be called after every round.
  void Show(const Progress& progress);

 private:
  bool IsDue(const Progress& progress);

  std::FILE* const stream_;
  const bool is_terminal_;
  const Clock& clock_;
  absl::Time next_ = absl::InfinitePast();
};

}  // namespace tally

#endif  // TALLY_EXAMPLES_PROGRESS_LINE_H_
