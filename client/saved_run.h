// What a worker saves of a run beside its model, so that all workers together can resume it.
#ifndef TALLY_CLIENT_SAVED_RUN_H_
#define TALLY_CLIENT_SAVED_RUN_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/buffer.h"
#include "client/inheritance.h"
#include "codecs/layout.h"
#include "codecs/place.h"

namespace tally {

// Where a run stood when its workers saved it, between two rounds.
struct SavedRun {
  struct Chunk {
    // The last entry of its history, and the digest up to it: equal on all workers.
    Place place;
    uint64_t chain = 0;
    // Whom the next exchange would have waited for (Roster::WorkersDigest).
    uint64_t workers_digest = 0;
    // Norm (2) of the aggregator's residual; 0: it was zero.
    double residual_norm = 0;
    // That residual, fp32, little-endian, if it was in this worker's custody. Else null.
    SharedBuffer snapshot;
  };

  // Whose it is: what a worker keeps to itself is worth nothing to another.
  std::string worker;
  // The round that comes next.
  uint64_t next_round = 0;
  // By index in the layout.
  std::vector<Chunk> chunks;
  // What others have handed to this worker, and its trainer had not taken yet.
  std::vector<Inheritance> inheritances;
};

// As bytes, in the format of client/saved_state.h.
std::string EncodeSavedRun(const SavedRun& run, const Layout& layout);

// Returns DATA_LOSS if the bytes are damaged; INVALID_ARGUMENT, naming what differs, if they are no
// saved run, or one of another layout.
absl::StatusOr<SavedRun> DecodeSavedRun(absl::string_view bytes, const Layout& layout);

}  // namespace tally

#endif  // TALLY_CLIENT_SAVED_RUN_H_
