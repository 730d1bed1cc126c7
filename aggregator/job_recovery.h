// How an aggregator that has lost a run reads it back from the workers.
#ifndef TALLY_AGGREGATOR_JOB_RECOVERY_H_
#define TALLY_AGGREGATOR_JOB_RECOVERY_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "aggregator/chunk_recovery.h"
#include "aggregator/exchange_task.h"
#include "aggregator/job_description.h"
#include "aggregator/replay_reader.h"
#include "codecs/roster.h"
#include "proto/tally/v1/membership.pb.h"

namespace tally {

// The recoveries of all chunks that this aggregator owns. Contributions are asked for on behalf of
// a few chunks at a time, so that they fit where those of open exchanges will be. Pure state
// machine. Not thread-safe.
class JobRecovery {
 public:
  struct Work {
    std::vector<ChunkRecovery::Ask> asks;
    std::vector<ExchangeTask> tasks;
  };

  JobRecovery(uint64_t job_serial, std::shared_ptr<const JobDescription> description,
              uint32_t window_chunks);

  // What a worker's Hello says of each chunk of this aggregator.
  using Claims = std::map<uint32_t, ChunkClaim>;
  // Returns INVALID_ARGUMENT, naming the field, if that contradicts itself.
  static absl::StatusOr<Claims> ReadClaims(const JobDescription& description,
                                           const v1::Hello& hello);

  // A worker has come.
  void Enter(const MemberId& member, Claims claims);
  // It has gone.
  void Withdraw(const MemberId& member);

  // The member is dead: it is not waited for.
  void Evict(const MemberId& member);

  // As ChunkRecovery::Take.
  absl::Status Take(const MemberId& member, Replayed piece);
  void TakeOutcome(const ExchangeOutcome& outcome);

  // What is to be done next.
  Work Proceed();

  // Every chunk is recovered. Chunks that nobody holds an entry of are among them, if some other
  // chunk has a history: they begin with its roster.
  bool done() const;
  // Workers that it waits for, each once: members, and those who have left lately.
  std::vector<MemberId> missing() const;
  // Those of them that are in some chunk's roster.
  std::vector<MemberId> missing_members() const;
  size_t num_recovered() const;
  std::vector<ChunkRecovery>& chunks() { return chunks_; }
  const std::vector<ChunkRecovery>& chunks() const { return chunks_; }
  // The roster with which a chunk without history begins.
  const Roster& roster_to_begin() const;

 private:
  ChunkRecovery& Find(uint32_t chunk);

  const std::shared_ptr<const JobDescription> description_;
  const size_t max_folding_;
  // Ascending.
  std::vector<ChunkRecovery> chunks_;
};

}  // namespace tally

#endif  // TALLY_AGGREGATOR_JOB_RECOVERY_H_
