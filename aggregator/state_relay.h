// Who gives a newcomer the replicated state, and what passes through on its way.
#ifndef TALLY_AGGREGATOR_STATE_RELAY_H_
#define TALLY_AGGREGATOR_STATE_RELAY_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/optional.h"
#include "absl/types/span.h"
#include "codecs/roster.h"
#include "proto/tally/v1/recovery.pb.h"

namespace tally {

// A newcomer asks for the state; one member, chosen by hash among those that are here, gives it,
// slice by slice as the newcomer takes it in, so that little is ever on its way. Another request id
// chooses anew. Aggregators look at none of the state's bytes.
//
// Pure state machine. Not thread-safe.
class StateRelay {
 public:
  // A member by the stream that it has here: over another one it knows of no request.
  struct Donor {
    MemberId member;
    uint64_t stream = 0;
    friend bool operator==(const Donor&, const Donor&) = default;
  };
  // A request whose donor gives nothing any more.
  struct Orphan {
    MemberId newcomer;
    uint64_t id = 0;
  };

  // Notes what `newcomer` asks for and returns whom: the donor that it has, or one of `candidates`
  // for a new id. Unset if there is nobody.
  absl::optional<Donor> Request(const MemberId& newcomer, const v1::StateRequest& request,
                                absl::Span<const Donor> candidates);

  // A piece comes from `donor`. Returns whom it goes to; unset if nobody waits for it any more.
  // Returns INVALID_ARGUMENT if it reaches further past what the newcomer has than it may.
  absl::StatusOr<absl::optional<MemberId>> Relay(const MemberId& donor, const v1::StatePart& part,
                                                 size_t piece_bytes);

  // Forgets requests whose newcomers do not wait any more, and those whose donors do not give any
  // more, which are returned.
  std::vector<Orphan> Sweep(absl::FunctionRef<bool(const Donor&)> gives,
                            absl::FunctionRef<bool(const MemberId&)> waits);

 private:
  struct Route {
    uint64_t id = 0;
    MemberId newcomer;
    Donor donor;
    uint64_t received_bytes = 0;
  };

  // By the newcomer's worker id.
  std::map<std::string, Route> routes_;
};

}  // namespace tally

#endif  // TALLY_AGGREGATOR_STATE_RELAY_H_
