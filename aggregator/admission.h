// Says no before memory is short.
#ifndef TALLY_AGGREGATOR_ADMISSION_H_
#define TALLY_AGGREGATOR_ADMISSION_H_

#include <cstdint>

#include "absl/status/status.h"
#include "aggregator/job_description.h"
#include "codecs/limits.h"

namespace tally {

// Results whose payloads are kept per chunk, for workers whose stream broke: two, or as many as a
// late member may miss.
size_t KeptResults(const JobDescription& description);
// Workers that may watch a job at a time, and rounds of which the results may lie in the queue of
// one of them: who takes in less is cut off.
inline constexpr int kMaxObservers = 8;
inline constexpr int kQueuedRounds = 2;
// Headers kept per chunk.
inline constexpr int kKeptHeaders = 4096;

// Upper bound of the memory that a job can make this aggregator hold, whatever its workers send:
// the layout, contributions staged within the window, in transit per worker one contribution and
// one each of what it may replay after a crash, one result being computed, with its scratch, per
// chunk of the window, and of every chunk its residual and a snapshot of it, its kept results and
// headers and its roster. A recovery stages no more than the window does. What waits in a stream's
// own buffers is the transport's share (server/exchange_stream.h). Observers share the results that
// they are slow to take in; each may have a piece of the state on its way to it. Of what leavers
// hand over a few residuals are on their way at a time.
uint64_t WorstCaseBytes(const JobDescription& description, uint32_t window_chunks);

// What may lie in an observer's queue.
uint64_t MaxQueuedBytes(const JobDescription& description);
// The same for a member of a job that goes on without late ones; 0: without bound, since others
// wait for it.
uint64_t MaxMemberQueuedBytes(const JobDescription& description);

// The ledger of admitted memory. Not thread-safe.
class Admission {
 public:
  explicit Admission(uint64_t limit_bytes) : limit_bytes_(limit_bytes) {}

  // `held_bytes` stay free, for others.
  // Returns RESOURCE_EXHAUSTED, with what the job needs and what is left, if it does not fit.
  absl::Status Admit(uint64_t bytes, uint64_t held_bytes = 0);
  void Release(uint64_t bytes) { admitted_bytes_ -= bytes; }

  uint64_t limit_bytes() const { return limit_bytes_; }
  uint64_t admitted_bytes() const { return admitted_bytes_; }

 private:
  const uint64_t limit_bytes_;
  uint64_t admitted_bytes_ = 0;
};

}  // namespace tally

#endif  // TALLY_AGGREGATOR_ADMISSION_H_
