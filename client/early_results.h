// Results that came before the caller opened their round.
#ifndef TALLY_CLIENT_EARLY_RESULTS_H_
#define TALLY_CLIENT_EARLY_RESULTS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "client/exchanger.h"

namespace tally {

// Others may close rounds without this worker: while it catches up after it has come, or when it is
// late. A caller that hangs must not let them fill the memory, so there is a limit, beyond what a
// newcomer began with. Not thread-safe.
class EarlyResults {
 public:
  // As long as there are not more than `max_results`, their bytes do not matter.
  EarlyResults(size_t max_results, uint64_t max_bytes)
      : max_results_(max_results), max_bytes_(max_bytes) {}

  // Returns RESOURCE_EXHAUSTED, with both figures, if there are too many now.
  absl::Status Add(ChunkResult result);
  // So many bytes more may wait: a newcomer begins with results that it has yet to play.
  void GrantBacklog(uint64_t num_bytes) { max_bytes_ += num_bytes; }
  // The results of that round, in the order in which they came.
  std::vector<ChunkResult> Take(uint64_t round);

  bool empty() const { return results_.empty(); }

 private:
  const size_t max_results_;
  uint64_t max_bytes_;
  std::vector<ChunkResult> results_;
  uint64_t num_bytes_ = 0;
};

}  // namespace tally

#endif  // TALLY_CLIENT_EARLY_RESULTS_H_
