// An aggregator in memory that connects the workers of one process: for tests of what stands on the
// exchange.
#ifndef TALLY_TESTS_UTIL_LOOPBACK_EXCHANGER_H_
#define TALLY_TESTS_UTIL_LOOPBACK_EXCHANGER_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/types/optional.h"
#include "aggregator/job_description.h"
#include "aggregator/residual.h"
#include "base/buffer.h"
#include "base/mutex.h"
#include "client/exchanger.h"
#include "codecs/exchange.h"
#include "codecs/layout.h"
#include "codecs/place.h"
#include "kernels/backend.h"

namespace tally {

// One exchange as it happened.
struct LoopbackEntry {
  uint32_t chunk = 0;
  Place place;
  Exchange exchange;
  std::vector<SharedBuffer> contributions;  // [num_workers] null: abstained
  std::vector<bool> counted;                // [num_workers]
  SharedBuffer result;                      // null: nobody took part
};

struct LoopbackOptions {
  size_t num_workers = 1;
  // True: the result of this round of the chunk does without this worker's contribution. Unset: no
  // misses.
  std::function<bool(size_t worker, uint64_t round, uint32_t chunk)> misses = nullptr;
  // True: the result of this round of the chunk says that tracking starts anew. Unset: none does.
  std::function<bool(uint64_t round, uint32_t chunk)> rebases = nullptr;
  bool keep_log = false;
  // The run's; decides what is drawn.
  uint64_t seed = 0;
};

// Worker w plays its rounds on worker(w), each worker in a thread of its own. An exchange closes
// when all workers have contributed or abstained; what it gives depends on nothing but the
// contributions, the script and the residual. Thread-safe across workers.
class LoopbackGroup {
 public:
  // `backend` must outlive the group.
  LoopbackGroup(Layout layout, LoopbackOptions options, const Backend* backend);
  ~LoopbackGroup();

  Exchanger* worker(size_t index);

  // Makes all calls of all workers fail with `status` from now on: a worker that gives up calls it,
  // or the others would wait for ever.
  void Stop(absl::Status status);

  // Runs `work(w)` for every worker in a thread of its own; a failure stops the others. Returns the
  // first worker's status that is not what Stop caused.
  absl::Status RunWorkers(const std::function<absl::Status(size_t worker)>& work);

  // What happened so far, in order of rounds, then chunks. Not while workers run.
  std::vector<LoopbackEntry> TakeLog();

 private:
  class Worker;

  struct Chunk {
    size_t num_arrived = 0;
    absl::optional<Exchange> exchange;
    std::vector<bool> arrived;
    std::vector<SharedBuffer> contributions;
    std::shared_ptr<Residual> residual;  // of sign exchanges
  };

  absl::Status Arrive(size_t worker, uint64_t round, uint32_t chunk, const Exchange& exchange,
                      SharedBuffer contribution) ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status Close(uint64_t round, uint32_t chunk) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  const LoopbackOptions options_;
  const std::shared_ptr<const JobDescription> description_;
  const Backend& backend_;
  std::vector<std::unique_ptr<Worker>> workers_;
  Mutex mutex_;
  CondVar result_arrived_;
  absl::Status stopped_ ABSL_GUARDED_BY(mutex_);
  std::vector<Chunk> chunks_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::deque<ChunkResult>> results_ ABSL_GUARDED_BY(mutex_);  // by worker
  std::vector<LoopbackEntry> log_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tally

#endif  // TALLY_TESTS_UTIL_LOOPBACK_EXCHANGER_H_
