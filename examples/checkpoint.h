// What a worker writes down now and then, so that all workers together can go on from there.
#ifndef TALLY_EXAMPLES_CHECKPOINT_H_
#define TALLY_EXAMPLES_CHECKPOINT_H_

#include <cstdint>
#include <deque>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace tally {

struct Checkpoint {
  std::string run;       // Client::SaveRun
  std::string training;  // SaveTrainingState, this worker's whole state
};

// A worker's checkpoints in one directory, a file for each round. Not thread-safe.
class CheckpointFiles {
 public:
  CheckpointFiles(std::string directory, std::string worker)
      : directory_(std::move(directory)), worker_(std::move(worker)) {}

  // Writes the checkpoint after that round, whole or not at all (if the process dies; a machine
  // that loses power may lose what was not on disk yet), and removes all that this object wrote but
  // the last two: while workers write one, each has the one before.
  // Returns UNAVAILABLE, naming the file, if it cannot be written.
  absl::Status Write(uint64_t round, const Checkpoint& checkpoint);

  // Returns NOT_FOUND, naming the file, if there is none of that round; DATA_LOSS if it was cut.
  // What is in it says by itself whether it is damaged.
  absl::StatusOr<Checkpoint> Read(uint64_t round) const;

 private:
  std::string PathOf(uint64_t round) const;

  const std::string directory_;
  const std::string worker_;
  std::deque<uint64_t> written_;
};

}  // namespace tally

#endif  // TALLY_EXAMPLES_CHECKPOINT_H_
