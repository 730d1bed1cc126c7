// How a member gives newcomers the replicated state.
#ifndef TALLY_CLIENT_STATE_DONOR_H_
#define TALLY_CLIENT_STATE_DONOR_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "base/buffer.h"
#include "proto/tally/v1/recovery.pb.h"

namespace tally {

// Notes who wants the state, and cuts it into parts as they take it in. Pure state machine. Not
// thread-safe.
class StateDonor {
 public:
  // To be sent over that aggregator.
  struct Part {
    size_t aggregator = 0;
    v1::StatePart message;
    std::string piece;
  };

  // A newcomer asks, or tells how far it has come. Returns the parts that it may be sent now; one
  // without a slice if it asks for the rest of a state that this worker has not begun.
  std::vector<Part> Request(size_t aggregator, const v1::StateRequest& request, absl::Time now);

  // Somebody waits for a state at the end of round `next_round` - 1, or an earlier one.
  bool wanted(uint64_t next_round) const;

  // Gives all of those the state: `head` is the first part without id and slice. Returns the parts
  // that they may be sent now.
  std::vector<Part> Give(const v1::StatePart& head, SharedBuffer bytes, uint64_t next_round);

  // This worker cannot give what is wanted: returns word of it.
  std::vector<Part> Decline();

  // Forgets newcomers that have not been heard of since then: a state is large.
  void ForgetSilent(absl::Time since);

  // Nothing reaches newcomers over that aggregator any more: they ask anew.
  void Forget(size_t aggregator);

 private:
  struct Donation {
    size_t aggregator = 0;
    std::string newcomer;
    // The first round after the earliest state that helps.
    uint64_t min_next = 0;
    // Null until it is given.
    SharedBuffer bytes;
    v1::StatePart head;
    uint64_t received_bytes = 0;
    uint64_t sent_bytes = 0;
    absl::Time heard_at;
  };

  static std::vector<Part> NextParts(uint64_t id, Donation& donation);

  std::map<uint64_t, Donation> donations_;  // by request id
};

}  // namespace tally

#endif  // TALLY_CLIENT_STATE_DONOR_H_
