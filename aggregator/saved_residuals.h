// The aggregator's residuals of a run that was saved, given back by the workers that resume it.
#ifndef TALLY_AGGREGATOR_SAVED_RESIDUALS_H_
#define TALLY_AGGREGATOR_SAVED_RESIDUALS_H_

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/optional.h"
#include "aggregator/job_description.h"
#include "aggregator/residual.h"
#include "aggregator/residual_custody.h"
#include "codecs/roster.h"
#include "proto/tally/v1/membership.pb.h"

namespace tally {

// What a chunk of a run begins with.
struct SavedResidual {
  // [num_elements of the chunk]; null: zero.
  std::shared_ptr<Residual> residual;
  // It was not zero, but nobody has it; its norm.
  bool lost = false;
  double norm = 0;
  // The run goes on with other workers than it was saved by, so what is tracked over the roster
  // begins anew.
  bool other_workers = false;
};

// Each worker that resumes says, chunk by chunk, where the run stood when it was saved, whether the
// residual was zero, and whether a snapshot of it is in its custody. Before the run begins these
// snapshots are fetched:
//
//   Enter, Enter... --everybody is here--> Asks --> Take, Take... --> complete() --> Find
//
// Pure state machine. Not thread-safe.
class SavedResiduals {
 public:
  // What is to be asked of whom.
  struct Ask {
    MemberId member;
    v1::Need need;
  };

  explicit SavedResiduals(std::shared_ptr<const JobDescription> description)
      : description_(std::move(description)) {}

  // Returns INVALID_ARGUMENT, naming the chunk and both values, if the Hello's worker does not
  // resume from where others do, or its chunks are not this aggregator's.
  absl::Status Check(const v1::Hello& hello) const;
  // A worker has said Hello, which was checked; for chunks that have begun, or if it resumes
  // nothing, it says nothing here.
  void Enter(const MemberId& member, const v1::Hello& hello);
  // It has gone.
  void Withdraw(const MemberId& member);

  // What the worker, which is here, has told of residuals that it holds, as in its Hello.
  v1::Hello HoldingsOf(const MemberId& member) const;

  // Snapshots that holders have not been asked for.
  std::vector<Ask> TakeAsks();
  // Takes a snapshot. One that nobody waits for is dropped.
  // Returns INVALID_ARGUMENT if a value is not finite.
  absl::Status Take(const MemberId& member, const ResidualSnapshot& snapshot);
  // Every snapshot that somebody here holds has come.
  bool complete() const;
  // Chunks whose snapshots have been asked for and have not come, and who is to send them.
  size_t num_missing() const;
  std::set<std::string> Awaited() const;

  // For a run that begins with this roster. Only if complete().
  SavedResidual Find(uint32_t chunk, const Roster& roster) const;
  // Lets go of everything: the run has begun.
  void Clear() { chunks_.clear(); }

 private:
  struct Chunk {
    v1::Entry head;
    double residual_norm = 0;
    uint64_t workers_digest = 0;
    // Who is here and has said so.
    std::set<std::string> tellers;
    // Who is here and says that it holds the snapshot, by worker.
    std::map<std::string, MemberId> holders;
    absl::optional<MemberId> asked;
    std::shared_ptr<Residual> residual;

    bool is_missing() const { return residual_norm > 0 && residual == nullptr && !holders.empty(); }
  };

  absl::Status CheckAgrees(uint32_t chunk, const v1::ChunkProgress::Saved& saved) const;

  const std::shared_ptr<const JobDescription> description_;
  std::map<uint32_t, Chunk> chunks_;  // by index; those that somebody here has told of
};

}  // namespace tally

#endif  // TALLY_AGGREGATOR_SAVED_RESIDUALS_H_
